import Glibc

/// A small file that is there whole, or not at all, whatever happens.
public enum DurableFile {
    public static func write(_ bytes: [UInt8], to path: String) throws(JournalFailure) {
        let temporary = path + ".part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(temporary) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            written += count
        }
        let isSafe = written == bytes.count && fsync(descriptor) == 0
        let failed = failure(temporary)
        close(descriptor)
        guard isSafe, rename(temporary, path) == 0 else {
            unlink(temporary)
            throw failed
        }
        synchronizeFolder(of: path)
    }

    private static func synchronizeFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func failure(_ path: String) -> JournalFailure {
        .unusable("'\(path)' cannot be written: \(String(cString: strerror(errno)))")
    }
}
