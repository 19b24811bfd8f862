import Glibc
public import RuleEngine

/// The rule files of an installation: every `*.yaml` and `*.yml` below a folder, but not `*.test.yaml`.
public struct RuleFolder: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// The files in the order of their paths, and what could not be read. A folder that is not there holds no files.
    ///
    /// Blocks on file I/O. Symbolic links are followed; a folder that is reached twice is read once, so that loops end.
    public func read() -> (sources: [RuleLoader.Source], diagnostics: [Diagnostic]) {
        var found = Found()
        var entered: Set<FolderIdentity> = []
        Self.collect(path, isRoot: true, into: &found, &entered)
        let sources = found.paths.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.compactMap { Self.source($0, &found.diagnostics) }
        return (sources, found.diagnostics)
    }

    /// Whether it is there, whatever it holds.
    public var exists: Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// One file, whatever its name is.
    public static func readFile(_ path: String) -> (source: RuleLoader.Source?, diagnostics: [Diagnostic]) {
        var diagnostics: [Diagnostic] = []
        let source = source(path, &diagnostics)
        return (source, diagnostics)
    }

    /// Whether a file of this name holds rules.
    public static func isRuleFile(_ name: String) -> Bool {
        guard name.hasSuffix(".yaml") || name.hasSuffix(".yml") else { return false }
        return !name.hasPrefix(".") && !name.hasSuffix(".test.yaml") && !name.hasSuffix(".test.yml")
    }

    private struct Found {
        var paths: [String] = []
        var diagnostics: [Diagnostic] = []
    }

    private struct FolderIdentity: Hashable {
        var device: UInt
        var node: UInt
    }

    private static func collect(_ folder: String, isRoot: Bool, into found: inout Found, _ entered: inout Set<FolderIdentity>) {
        var status = stat()
        guard stat(folder, &status) == 0 else {
            if errno != ENOENT { found.diagnostics.append(unreadable(folder)) }
            return
        }
        guard entered.insert(FolderIdentity(device: UInt(status.st_dev), node: UInt(status.st_ino))).inserted else { return }
        guard let stream = opendir(folder) else {
            found.diagnostics.append(unreadable(folder))
            return
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix(".") else { continue }
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            var status = stat()
            guard stat(path, &status) == 0 else {
                if isRuleFile(name) { found.diagnostics.append(unreadable(path)) }
                continue
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                collect(path, isRoot: false, into: &found, &entered)
            } else if status.st_mode & S_IFMT == S_IFREG, isRuleFile(name) {
                found.paths.append(path)
            }
        }
    }

    private static func source(_ path: String, _ diagnostics: inout [Diagnostic]) -> RuleLoader.Source? {
        guard let file = fopen(path, "rb") else {
            diagnostics.append(unreadable(path))
            return nil
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        // One byte beyond the bound is enough for the loader to refuse the file.
        while bytes.count <= YAMLReader.maximumBytes {
            let count = fread(&chunk, 1, chunk.count, file)
            if count > 0 { bytes += chunk[..<count] }
            if count < chunk.count { break }
        }
        guard ferror(file) == 0 else {
            diagnostics.append(unreadable(path))
            return nil
        }
        return RuleLoader.Source(name: path, bytes: bytes)
    }

    private static func unreadable(_ path: String) -> Diagnostic {
        let reason = String(cString: strerror(errno))
        return Diagnostic(
            code: "unreadable-file", "a rule file must be readable: \(reason)", at: SourceLocation(file: path, line: 1, column: 1))
    }
}
