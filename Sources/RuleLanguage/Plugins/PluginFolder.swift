public import CEL
import Glibc
public import RuleEngine

/// The plugins of an installation: folders below `plugins.path` that hold a `plugin.yaml`.
public struct PluginFolder: Sendable {
    public static let manifestName = "plugin.yaml"

    /// What was found: the manifests that could be read, everything that is wrong, and the texts for showing it.
    public struct Contents: Sendable {
        public var manifests: [PluginManifest] = []
        public var diagnostics: [Diagnostic] = []
        public var sources: [RuleLoader.Source] = []
        public init() {}
    }

    public let path: String

    public init(_ path: String) { self.path = path }

    /// Whether the path is a plugin's folder, or one of several plugins.
    public var holdsPlugins: Bool { Self.isPlugin(path) || !folders().isEmpty }

    /// All of them in the order of their names. A folder that is not there holds none. Blocks on file I/O.
    public func read(environment: Environment) -> Contents {
        var contents = Contents()
        for folder in Self.isPlugin(path) ? [path] : folders() { Self.read(folder, environment, &contents) }
        return contents
    }

    /// The manifests with what the names of all of them mean.
    public func catalog(environment: Environment) -> (catalog: PluginCatalog, contents: Contents) {
        var contents = read(environment: environment)
        let (catalog, diagnostics) = PluginCatalog.assembling(contents.manifests, environment: environment)
        contents.diagnostics = (contents.diagnostics + diagnostics).inOrder
        return (catalog, contents)
    }

    private static func read(_ folder: String, _ environment: Environment, _ contents: inout Contents) {
        let (source, found) = RuleFolder.readFile("\(folder)/\(manifestName)")
        contents.diagnostics += found
        guard let source else { return }
        contents.sources.append(source)
        let findings = Findings()
        let reading = FileReading(file: SourceFile(name: source.name, bytes: source.bytes), findings: findings, environment: environment)
        let manifest = PluginManifestReader(reading: reading, folder: folder).read()
        contents.diagnostics += findings.diagnostics.inOrder
        guard let manifest else { return }
        contents.manifests.append(manifest)
        let file =
            switch manifest.code {
            case .lua: "init.lua"
            case .native(let library): library
            }
        if access("\(folder)/\(file)", R_OK) != 0 {
            let isNative = manifest.code != .lua
            contents.diagnostics.append(
                Diagnostic(
                    isNative ? .warning : .error, code: "missing-file", "a plugin needs its file '\(file)'", at: manifest.location,
                    hint: isNative ? "build it: scripts/build-plugin \(folder)" : nil))
        }
    }

    private static func isPlugin(_ folder: String) -> Bool { access("\(folder)/\(manifestName)", F_OK) == 0 }

    private func folders() -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let folder = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
            if !name.hasPrefix("."), Self.isPlugin(folder) { found.append(folder) }
        }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}
