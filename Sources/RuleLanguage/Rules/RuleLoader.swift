public import CEL
public import RuleEngine

/// Turns the text of rule files, and of groups made through the API, into a catalogue, or into everything that is wrong with them.
///
/// What is checked here: YAML, keys, values, names, topic filters, templates, and the syntax of expressions. Which names and types an
/// expression may use is known when the catalogue is planned. Pure: files are read by `RuleFolder`.
public struct RuleLoader: Sendable {
    /// A text and the name that diagnostics give it.
    public struct Source: Sendable {
        public var name: String
        public var bytes: [UInt8]
        public init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
    }

    public let environment: Environment
    public let plugins: PluginCatalog

    /// - Parameter plugins: whose decoders and actions rules may use. (Their functions are in `environment`.)
    public init(environment: Environment, plugins: PluginCatalog = .empty) {
        self.environment = environment
        self.plugins = plugins
    }

    /// A catalogue of all files and stored groups; nil when anything is wrong, since a set of rules is taken whole or not at all.
    ///
    /// The name of a stored group's source is the group's name; in diagnostics it stands as `group:NAME`.
    public func load(files: [Source], storeGroups: [Source] = []) -> (catalog: RuleCatalog?, diagnostics: [Diagnostic]) {
        let (readable, diagnostics) = loadReadable(files: files, storeGroups: storeGroups)
        return (diagnostics.hasErrors ? nil : readable, diagnostics)
    }

    /// Every rule, with what of it can be read. Never to be run when there are errors: it is for looking for further mistakes (of names and
    /// types), so that all are told at once.
    public func loadReadable(files: [Source], storeGroups: [Source] = []) -> (catalog: RuleCatalog, diagnostics: [Diagnostic]) {
        let findings = Findings()
        var groups: [RuleGroup] = []
        for file in files {
            groups += RuleFileReader(reading: reading(file, findings)).read()
        }
        for group in storeGroups {
            if let group = storedGroup(group, findings) { groups.append(group) }
        }
        // The name of a group without one is missing, which has been reported; two of them are no duplicates.
        let found = RuleCatalog.assembling(groups.filter { !$0.name.isEmpty }).diagnostics
        if findings.errorCount > 0 || found.hasErrors { makeUnique(&groups) }
        var catalog = RuleCatalog.assembling(groups).catalog
        let read = Set(catalog.scriptCalls.map(\.location))
        catalog.otherScriptCalls = findings.scriptCalls.filter { !read.contains($0.location) }
        return (catalog, (findings.diagnostics + found).inOrder)
    }

    /// Rules that cannot be told apart by their names get others, which nobody sees.
    private func makeUnique(_ groups: inout [RuleGroup]) {
        var names: Set<RuleIdentity> = []
        for group in groups.indices {
            for rule in groups[group].rules.indices {
                let identity = groups[group].rules[rule].identity
                if names.insert(identity).inserted { continue }
                groups[group].rules[rule].identity = RuleIdentity(group: "\(identity.group)\0\(group)", alert: "\(identity.alert)\0\(rule)")
            }
        }
    }

    /// One group in the form of an entry of `groups:`; `name:` may be left out, and must be `name` where it stands.
    public func loadGroup(yaml: [UInt8], name: String) -> (group: RuleGroup?, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let group = storedGroup(Source(name: name, bytes: yaml), findings)
        let diagnostics = findings.diagnostics.inOrder
        return (diagnostics.hasErrors ? nil : group, diagnostics)
    }

    private func storedGroup(_ source: Source, _ findings: Findings) -> RuleGroup? {
        let reading = reading(Source(name: Self.sourceName(ofGroup: source.name), bytes: source.bytes), findings)
        let errors = findings.errorCount
        guard let root = YAMLReader.read(reading.file, into: findings) else {
            if findings.errorCount == errors { reading.report("empty-group", "a group needs rules", at: 0..<0) }
            return nil
        }
        return GroupReader(reading: reading, origin: .store).read(root, expectedName: source.name)
    }

    private func reading(_ source: Source, _ findings: Findings) -> FileReading {
        FileReading(
            file: SourceFile(name: source.name, bytes: source.bytes), findings: findings, environment: environment, plugins: plugins)
    }

    /// What diagnostics call the text of a group that is kept in the store.
    public static func sourceName(ofGroup name: String) -> String { "group:\(name)" }
}

extension DiagnosticRenderer {
    /// Shows lines of these sources (of a stored group's under `RuleLoader.sourceName(ofGroup:)`).
    public init(sources: [RuleLoader.Source]) {
        var lines: [String: [String]] = [:]
        for source in sources { lines[source.name] = SourceFile(name: source.name, bytes: source.bytes).lines }
        self.init { [lines] in lines[$0] }
    }
}
