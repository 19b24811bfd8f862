import RuleEngine

/// `influx` of a test: what queries are answered.
struct TestAnswersReader {
    let reading: FileReading

    private static let keys = ["alert", "group", "with", "query", "write", "at", "rows", "error"].map { KnownKey($0) }

    /// Answers to rules (`alert`) and to scripts (`query`, `write`).
    func read(_ node: YAMLNode) -> (answers: [TestAnswer], replies: [TestReply]) {
        var found: (answers: [TestAnswer], replies: [TestReply]) = ([], [])
        for node in reading.list(node, "influx") ?? [] {
            guard let mapping = MappingReader(node, subject: "an answer", keys: Self.keys, in: reading) else { continue }
            let named = ["alert", "query", "write"].compactMap { mapping.entry($0) }
            if named.count > 1 {
                reading.report(
                    "conflicting-keys", "an answer is to a rule ('alert'), or to a script's 'query' or 'write': to one of them",
                    at: named[1].keyRange)
            } else if mapping.has("query") || mapping.has("write") {
                if let reply = reply(mapping) { found.replies.append(reply) }
            } else if let answer = answer(mapping) {
                found.answers.append(answer)
            }
        }
        return found
    }

    private func reply(_ mapping: MappingReader) -> TestReply? {
        if let stray = ["group", "with"].compactMap({ mapping.entry($0) }).first {
            reading.report("conflicting-keys", "'\(stray.key)' is said of a rule's 'alert'", at: stray.keyRange)
        }
        guard case .some(let at) = mapping["at"].map({ reading.duration($0, "at") }) ?? .zero else { return nil }
        if let node = mapping["write"] {
            guard let measurement = reading.name(node, "write"), let content = content(mapping, isWrite: true) else { return nil }
            return TestReply(.write(measurement: measurement), at: at.inNanoseconds, content)
        }
        guard let text = mapping["query"].flatMap({ reading.name($0, "query") }), let content = content(mapping) else { return nil }
        // What is wrong with the query the script is told.
        let query = QueryText(text)
        let tags = query.mistakes.isEmpty ? query.tags?.map(\.name) ?? [] : []
        return TestReply(.query(text, tags: tags), at: at.inNanoseconds, content)
    }

    private func content(_ mapping: MappingReader, isWrite: Bool = false) -> TestReply.Content? {
        if let error = mapping.entry("error"), mapping.has("rows") {
            reading.report("conflicting-keys", "an answer has 'rows' or an 'error', not both", at: error.keyRange)
        }
        if isWrite || mapping.has("error") { return mapping.required("error").flatMap { reading.name($0, "error") }.map { .failed($0) } }
        guard let list = mapping.required("rows").flatMap({ reading.list($0, "rows") }) else { return nil }
        return .rows(list.compactMap { row($0) })
    }

    private func answer(_ mapping: MappingReader) -> TestAnswer? {
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
