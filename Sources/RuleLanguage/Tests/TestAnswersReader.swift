import RuleEngine

/// `influx` of a test: what queries are answered.
struct TestAnswersReader {
    let reading: FileReading

    private static let keys = ["alert", "group", "with", "at", "rows", "error"].map { KnownKey($0) }

    func read(_ node: YAMLNode) -> [TestAnswer] { (reading.list(node, "influx") ?? []).compactMap { answer($0) } }

    private func answer(_ node: YAMLNode) -> TestAnswer? {
        guard let mapping = MappingReader(node, subject: "an answer", keys: Self.keys, in: reading) else { return nil }
        let at = mapping["at"].map { reading.duration($0, "at") } ?? .zero
        let group = mapping["group"].flatMap { reading.name($0, "group") }
        let side = mapping["with"].flatMap { reading.name($0, "with") }
        if let error = mapping.entry("error"), mapping.has("rows") {
            reading.report("conflicting-keys", "an answer has 'rows' or an 'error', not both", at: error.keyRange)
        }
        guard let alertNode = mapping.required("alert"), let alert = reading.name(alertNode, "alert"), let at = at?.inNanoseconds else {
            return nil
        }
        let content: TestAnswer.Content
        if let node = mapping["error"] {
            guard let reason = reading.name(node, "error") else { return nil }
            content = .failed(reason)
        } else {
            guard let list = mapping.required("rows").flatMap({ reading.list($0, "rows") }) else { return nil }
            content = .rows(list.compactMap { row($0) })
        }
        return TestAnswer(
            alert: alert, group: group, side: side, at: at, location: reading.file.location(of: (mapping["with"] ?? alertNode).range),
            content)
    }

    private func row(_ node: YAMLNode) -> TestAnswer.Row? {
        guard case .mapping(let entries) = node.content else {
            reading.wrongType(node, "a row must be a mapping of tags and columns")
            return nil
        }
        var row = TestAnswer.Row([])
        for entry in entries {
            if entry.key == "ago" {
                row.ago = reading.duration(entry.value, "ago")?.inNanoseconds
            } else if case .scalar = entry.value.content {
                row.members.append(Document.Member(entry.key, reading.document(entry.value)))
            } else {
                reading.wrongType(entry.value, "a row's '\(entry.key)' must be a single value")
            }
        }
        return row
    }
}
