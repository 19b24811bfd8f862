public import CEL
public import RuleEngine

/// Reads `*.test.yaml`. Pure: the files that it names are read by the caller.
public struct RuleTestFileReader: Sendable {
    public let environment: Environment
    /// Compiles the regular expressions of matchers.
    public let compile: RegexCompiler
    /// Whose channels receivers may have.
    public let plugins: PluginCatalog

    public init(environment: Environment, compile: @escaping RegexCompiler, plugins: PluginCatalog = .empty) {
        self.environment = environment
        self.compile = compile
        self.plugins = plugins
    }

    private static let keys =
        [
            "rules", "automations", "notifications", "devices", "profiles", "vars", "influx", "http", "start", "time_zone", "location",
            "zones", "tests",
        ].map {
            KnownKey($0)
        }
        + ["silences"].map { .notSupported($0) }
    private static let testKeys =
        ["name", "start", "devices", "vars", "influx", "http", "readings", "changes", "expect"].map { KnownKey($0) }
        + ["silences"].map { .notSupported($0) }

    /// The tests, or nil when anything is wrong with them.
    public func read(_ source: RuleLoader.Source) -> (file: RuleTestFile?, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(
            file: SourceFile(name: source.name, bytes: source.bytes), findings: findings, environment: environment, plugins: plugins)
        let file = file(reading)
        let diagnostics = findings.diagnostics.inOrder
        return (diagnostics.hasErrors ? nil : file, diagnostics)
    }

    private func file(_ reading: FileReading) -> RuleTestFile? {
        guard let root = YAMLReader.read(reading.file, into: reading.findings), !root.isNull else {
            if reading.findings.errorCount == 0 { reading.report("missing-key", "a test file needs 'rules' and 'tests'", at: 0..<0) }
            return nil
        }
        var keys = Self.keys
        if case .mapping(let entries) = root.content { keys += entries.filter { $0.key.hasPrefix("x-") }.map { KnownKey($0.key) } }
        guard let mapping = MappingReader(root, subject: "a test file", keys: keys, in: reading) else { return nil }
        let automations = mapping["automations"].map { references($0, reading) } ?? []
        // A test of scripts alone names no rules.
        let rulesNode = automations.isEmpty ? mapping.required("rules") : mapping["rules"]
        let rules = rulesNode.map { references($0, reading) } ?? []
        let situation = SituationReader(reading: reading)
        let profiles = mapping["profiles"].map { situation.profiles($0) } ?? [:]
        let start = mapping["start"].flatMap { instant($0, reading) }
        let initial =
            (mapping["devices"].map { situation.devices($0, profiles, at: 0) } ?? [])
            + (mapping["vars"].map { situation.variables($0, at: 0) } ?? [])
        let (answers, replies) = outside(mapping, reading)
        var tests: [RuleTest] = []
        var names: [String: Range<Int>] = [:]
        for node in mapping.required("tests").flatMap({ reading.list($0, "tests") }) ?? [] {
            guard var test = test(node, reading, situation, profiles, &names) else { continue }
            if test.start == nil { test.start = start }
            test.test.initial = initial + test.test.initial
            test.test.answers = answers + test.test.answers
            test.test.replies = replies + test.test.replies
            test.test.start = test.start ?? Instant(nanoseconds: 0)
            tests.append(test.test)
        }
        return RuleTestFile(
            name: reading.file.name, rules: rules, automations: automations, notifications: notifications(mapping, reading), tests: tests,
            surroundings: reading.surroundings(mapping))
    }

    /// `influx` and `http`: what rules and scripts are answered.
    private func outside(_ mapping: MappingReader, _ reading: FileReading) -> ([TestAnswer], [TestReply]) {
        let influx = mapping["influx"].map { TestAnswersReader(reading: reading).read($0) } ?? (answers: [], replies: [])
        let http = mapping["http"].map { TestRepliesReader(reading: reading).read($0) } ?? []
        return (influx.answers, influx.replies + http)
    }

    private func references(_ node: YAMLNode, _ reading: FileReading) -> [RuleTestFile.Reference] {
        if case .scalar = node.content, !node.isNull { return reference(node, "rules", reading).map { [$0] } ?? [] }
        let items = reading.list(node, "rules") ?? []
        if items.isEmpty, node.isNull || node.isEmpty {
            reading.report("missing-key", "'rules' must name at least one file", at: node.headRange)
        }
        return items.compactMap { reference($0, "rules", reading) }
    }

    private func reference(_ node: YAMLNode, _ key: String, _ reading: FileReading) -> RuleTestFile.Reference? {
        reading.name(node, key).map { RuleTestFile.Reference(path: $0, location: reading.file.location(of: node.range)) }
    }

    private func notifications(_ mapping: MappingReader, _ reading: FileReading) -> RuleTestFile.Notifications {
        guard let node = mapping["notifications"], !node.isNull else { return .toDefault }
        if case .scalar = node.content { return reference(node, "notifications", reading).map { .file($0) } ?? .toDefault }
        return NotificationFileReader(environment: environment, compile: compile, plugins: plugins).configuration(node, reading).map {
            .inline($0)
        }
            ?? .toDefault
    }

    private func instant(_ node: YAMLNode, _ reading: FileReading) -> Instant? {
        guard let text = reading.text(node, "start") else { return nil }
        if let instant = Instant(rfc3339: text) { return instant }
        reading.report("instant", "'start' must be an instant such as 2026-03-01T12:00:00Z", at: node.range)
        return nil
    }

    private func test(
        _ node: YAMLNode, _ reading: FileReading, _ situation: SituationReader, _ profiles: [String: Document],
        _ names: inout [String: Range<Int>]
    ) -> (test: RuleTest, start: Instant?)? {
        guard let mapping = MappingReader(node, subject: "a test", keys: Self.testKeys, in: reading) else { return nil }
        guard let nameNode = mapping.required("name"), let name = reading.name(nameNode, "name") else { return nil }
        if let other = names[name] {
            reading.report(
                "duplicate-name", "tests' names must be unique in their file: '\(name)'", at: nameNode.range,
                notes: ["the other one stands at \(reading.place(other))"])
        }
        names[name] = nameNode.range
        var test = RuleTest(name: name, location: reading.file.location(of: nameNode.range))
        test.initial =
            (mapping["devices"].map { situation.devices($0, profiles, at: 0) } ?? [])
            + (mapping["vars"].map { situation.variables($0, at: 0) } ?? [])
        (test.answers, test.replies) = outside(mapping, reading)
        let readings = TestReadingsReader(reading: reading)
        test.readings = (mapping["readings"].flatMap { reading.list($0, "readings") } ?? []).compactMap { readings.read($0) }
        test.changes = (mapping["changes"].flatMap { reading.list($0, "changes") } ?? []).flatMap { situation.change($0, profiles) }
        let expectations = ExpectationReader(reading: reading)
        if let expect = mapping.required("expect") {
            let items = reading.list(expect, "expect") ?? []
            if items.isEmpty, expect.isEmpty {
                reading.report(
                    "missing-key", "a test without an expectation cannot fail", at: mapping.entry("expect")?.keyRange ?? expect.headRange)
            }
            test.expectations = items.flatMap { expectations.read($0) }
        }
        return (test, mapping["start"].flatMap { instant($0, reading) })
    }
}
