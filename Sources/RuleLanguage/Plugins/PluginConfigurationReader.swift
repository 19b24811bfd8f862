public import CEL
public import RuleEngine

/// `plugins.grants` and `plugins.settings` of the configuration file.
public struct PluginConfigurationReader: Sendable {
    private let catalog: PluginCatalog
    private let environment: Environment

    /// - Parameter catalog: the plugins that there are; grants and settings of others are mistakes.
    public init(catalog: PluginCatalog, environment: Environment) {
        self.catalog = catalog
        self.environment = environment
    }

    /// Of a whole configuration file; what else stands in it is not looked at.
    public func read(name: String, bytes: [UInt8]) -> (configuration: PluginConfiguration, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(file: SourceFile(name: name, bytes: bytes), findings: findings, environment: environment)
        var configuration = PluginConfiguration()
        if let root = YAMLReader.read(reading.file, into: findings), case .mapping(let entries) = root.content,
            let plugins = entries.first(where: { $0.key == "plugins" })?.value, case .mapping(let entries) = plugins.content
        {
            for entry in entries {
                switch entry.key {
                case "grants": grants(entry.value, reading, &configuration)
                case "settings": settings(entry.value, reading, &configuration)
                default: continue
                }
            }
        }
        return (configuration, findings.diagnostics.inOrder)
    }

    private func grants(_ node: YAMLNode, _ reading: FileReading, _ configuration: inout PluginConfiguration) {
        for entry in reading.entries(node, "grants") ?? [] {
            guard let manifest = plugin(entry, reading) else { continue }
            let granted = PluginManifestReader(reading: reading, folder: manifest.folder).permissions(entry.value, subject: "a grant")
            configuration.grants[entry.key] = granted
            if Self.isVain(granted, manifest.permissions) {
                reading.warn("without-effect", "plugin '\(entry.key)' does not ask for this", at: entry.keyRange)
            }
        }
    }

    private static func isVain(_ granted: PluginPermissions, _ asked: PluginPermissions) -> Bool {
        granted.isNative && !asked.isNative || !granted.hosts.isEmpty && asked.hosts.isEmpty
            || !granted.topics.isEmpty && asked.topics.isEmpty
    }

    private func settings(_ node: YAMLNode, _ reading: FileReading, _ configuration: inout PluginConfiguration) {
        for entry in reading.entries(node, "settings") ?? [] {
            guard let manifest = plugin(entry, reading) else { continue }
            let keys = PluginValuesReader.keys(manifest.settings)
            guard let mapping = MappingReader(entry.value, subject: "the settings of '\(entry.key)'", keys: keys, in: reading) else {
                continue
            }
            // What a channel still needs may stand in its receivers.
            let isComplete = manifest.provisions(.channel).isEmpty
            configuration.settings[entry.key] = PluginValuesReader(reading: reading).values(
                mapping, manifest.settings, isComplete: isComplete)
        }
    }

    private func plugin(_ entry: YAMLNode.Entry, _ reading: FileReading) -> PluginManifest? {
        if let manifest = catalog.manifest(entry.key) { return manifest }
        let known = catalog.manifests.map(\.name)
        reading.report(
            "unknown-plugin", "there is no plugin '\(entry.key)'", at: entry.keyRange,
            notes: [known.isEmpty ? "there are no plugins" : "plugins: \(known.joined(separator: ", "))"],
            hint: nearestName(to: entry.key, in: known).map { "did you mean '\($0)'?" })
        return nil
    }
}
