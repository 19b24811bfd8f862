#if canImport(Glibc)
    import Glibc
#endif

/// Small files of text.
enum TextFile {
    /// Nil when it cannot be read, is no UTF-8 or longer than `limit`. Blocks.
    static func read(_ path: String, limit: Int) -> String? {
        guard let file = fopen(path, "rbe") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 14)
        while bytes.count <= limit {
            let count = fread(&chunk, 1, chunk.count, file)
            bytes += chunk[..<count]
            if count < chunk.count { return ferror(file) == 0 ? String(validating: bytes, as: UTF8.self) : nil }
        }
        return nil
    }
}
