public import CEL

/// The plugins of an installation and what each name of theirs means. A value that is handed to whoever asks; there is no other registry.
public struct PluginCatalog: Sendable {
    public struct Found: Sendable {
        public var manifest: PluginManifest
        public var provision: PluginManifest.Provision
    }
    /// By name.
    public let manifests: [PluginManifest]
    private let provisions: [PluginManifest.Provision.Kind: [String: Found]]

    public static let empty = PluginCatalog(manifests: [], provisions: [:])

    private init(manifests: [PluginManifest], provisions: [PluginManifest.Provision.Kind: [String: Found]]) {
        self.manifests = manifests
        self.provisions = provisions
    }

    /// Names that the server itself provides.
    private static let ownNames: [PluginManifest.Provision.Kind: Set<String>] = [
        .decoder: ["auto", "json", "text", "bytes"], .channel: ["webhook", "log", "mqtt", "email", "amqp"],
    ]

    /// Two that claim one name are an error that shows both places; the first keeps it.
    ///
    /// - Parameter environment: the functions that there are without plugins.
    public static func assembling(_ manifests: [PluginManifest], environment: Environment) -> (PluginCatalog, [Diagnostic]) {
        var diagnostics: [Diagnostic] = []
        var kept: [PluginManifest] = []
        var provisions: [PluginManifest.Provision.Kind: [String: Found]] = [:]
        for manifest in manifests.sorted(by: { ($0.name, $0.location) < ($1.name, $1.location) }) {
            if let other = kept.last, other.name == manifest.name {
                diagnostics.append(conflict("plugins' names must be unique: '\(manifest.name)'", manifest.location, other.location))
                continue
            }
            kept.append(manifest)
            for provision in manifest.provisions {
                let name = provision.kind == .action ? "\(manifest.name).\(provision.name)" : provision.name
                if let problem = ownName(provision, environment) {
                    diagnostics.append(problem)
                } else if let other = provisions[provision.kind]?[name] {
                    diagnostics.append(
                        conflict(
                            "only one plugin can provide the \(provision.kind.rawValue) '\(name)'", provision.location,
                            other.provision.location))
                } else {
                    provisions[provision.kind, default: [:]][name] = Found(manifest: manifest, provision: provision)
                }
            }
        }
        return (PluginCatalog(manifests: kept, provisions: provisions), diagnostics)
    }

    private static func conflict(_ message: String, _ location: SourceLocation, _ other: SourceLocation) -> Diagnostic {
        Diagnostic(
            code: "duplicate-plugin", message, at: location, notes: ["the other one stands at \(other.file):\(other.line):\(other.column)"])
    }

    private static func ownName(_ provision: PluginManifest.Provision, _ environment: Environment) -> Diagnostic? {
        let isOwn =
            provision.kind == .function
            ? RuleNames.hasFunction(provision.name, environment) : ownNames[provision.kind]?.contains(provision.name) ?? false
        guard isOwn else { return nil }
        return Diagnostic(
            code: "reserved-name", "a plugin cannot provide the \(provision.kind.rawValue) '\(provision.name)': the server has its own",
            at: provision.location)
    }

    public func manifest(_ name: String) -> PluginManifest? { manifests.first { $0.name == name } }

    /// What a name means: of actions `plugin.action`.
    public func find(_ kind: PluginManifest.Provision.Kind, _ name: String) -> Found? { provisions[kind]?[name] }

    public func names(_ kind: PluginManifest.Provision.Kind) -> [String] { provisions[kind].map { $0.keys.sorted() } ?? [] }
}
