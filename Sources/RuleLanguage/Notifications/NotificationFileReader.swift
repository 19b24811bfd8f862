public import CEL
public import RuleEngine

/// Reads `notifications.yaml`, which is Alertmanager's file: the route tree and the receivers.
///
/// What would silently change who is notified (inhibition, time intervals, channels that there are not) is an error; what has no effect on
/// that is a warning.
public struct NotificationFileReader: Sendable {
    public let environment: Environment
    /// Compiles the regular expressions of matchers.
    public let compile: RegexCompiler
    /// Whose channels receivers may have, and what is said of them in the configuration.
    public let plugins: PluginCatalog
    public let settings: [String: PluginValues]

    public init(
        environment: Environment, compile: @escaping RegexCompiler, plugins: PluginCatalog = .empty,
        settings: [String: PluginValues] = [:]
    ) {
        self.environment = environment
        self.compile = compile
        self.plugins = plugins
        self.settings = settings
    }

    private static let keys =
        ["route", "receivers", "global", "templates"].map { KnownKey($0) }
        + ["inhibit_rules", "time_intervals", "mute_time_intervals", "tracing"].map { .notSupported($0, unlessEmpty: true) }

    /// The configuration, or nil when anything is wrong with it.
    public func read(_ source: RuleLoader.Source) -> (configuration: NotificationConfiguration?, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(
            file: SourceFile(name: source.name, bytes: source.bytes), findings: findings, environment: environment, plugins: plugins)
        let configuration = configuration(reading)
        let diagnostics = findings.diagnostics.inOrder
        return (diagnostics.hasErrors ? nil : configuration, diagnostics)
    }

    private func configuration(_ reading: FileReading) -> NotificationConfiguration? {
        guard let root = YAMLReader.read(reading.file, into: reading.findings), !root.isNull else {
            if reading.findings.errorCount == 0 {
                reading.report("missing-key", "a notification file needs 'route' and 'receivers'", at: 0..<0)
            }
            return nil
        }
        return configuration(root, reading)
    }

    /// The same where it stands inside another file.
    func configuration(_ root: YAMLNode, _ reading: FileReading) -> NotificationConfiguration? {
        var keys = Self.keys
        if case .mapping(let entries) = root.content { keys += entries.filter { $0.key.hasPrefix("x-") }.map { KnownKey($0.key) } }
        guard let mapping = MappingReader(root, subject: "a notification file", keys: keys, in: reading) else { return nil }
        checkGlobal(mapping, reading)
        if let templates = mapping.entry("templates"), !templates.value.isEmpty {
            reading.warn("without-effect", "Go templates are not read: 'templates' has no effect", at: templates.keyRange)
        }
        let receivers = mapping.required("receivers").map { ReceiverReader(reading: reading, settings: settings).read($0) }
        let names = receivers.map { $0.map(\.name) }
        let reader = RouteReader(reading: reading, compile: compile, receivers: names)
        let route = mapping.required("route").flatMap { reader.root($0) }
        guard let route, let receivers else { return nil }
        return NotificationConfiguration(route: route, receivers: receivers)
    }

    /// Alertmanager's defaults for channels and for alerts whose sender does not say when they end.
    private func checkGlobal(_ mapping: MappingReader, _ reading: FileReading) {
        guard let node = mapping["global"], let entries = reading.entries(node, "global") else { return }
        for entry in entries where !entry.value.isEmpty {
            if entry.key == "http_config" {
                reading.report("not-supported", "'http_config' must stand in each of 'webhook_configs'", at: entry.keyRange)
            } else {
                reading.warn("without-effect", "'\(entry.key)' has no effect here", at: entry.keyRange)
            }
        }
    }
}
