import RuleEngine

/// An entry of `readings`: `{topic:, every:, <field>: "<series>"}`, `{topic:, at:, <field>: <value>}`, or `payload:`, `hex:`, `fields:` instead.
struct TestReadingsReader {
    let reading: FileReading

    private static let ownKeys = ["topic", "every", "at", "payload", "hex", "fields", "retained"]

    func read(_ node: YAMLNode) -> TestReadings? {
        guard case .mapping(let entries) = node.content else {
            reading.wrongType(node, "an entry of 'readings' must be a mapping")
            return nil
        }
        let shortForm = entries.filter { !Self.ownKeys.contains($0.key) }
        guard let mapping = MappingReader(node, subject: "an entry of 'readings'", keys: entries.map { KnownKey($0.key) }, in: reading),
            let topicNode = mapping.required("topic"), let topic = topic(topicNode)
        else { return nil }
        let at = mapping["at"].flatMap { reading.duration($0, "at") }
        let every = mapping["every"].flatMap { reading.duration($0, "every", atLeast: .milliseconds(1)) }
        guard mapping.has("at") || mapping.has("every") else {
            mapping.missing("an entry of 'readings' needs 'every' (a series) or 'at' (a single reading)")
            return nil
        }
        let retained = mapping["retained"].flatMap { reading.bool($0, "retained") } ?? false
        guard let content = content(mapping, shortForm, isSeries: mapping.has("every")) else { return nil }
        return TestReadings(
            topic: topic, at: at?.inNanoseconds ?? 0, interval: every?.inNanoseconds ?? 0, content: content, isRetained: retained)
    }

    private func topic(_ node: YAMLNode) -> String? {
        guard let topic = reading.name(node, "topic") else { return nil }
        if topic.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") || $0 == 0 }) || topic.utf8.count > 65_535 {
            reading.report("topic", "a reading comes on a topic, which holds no '+' and no '#'", at: node.range)
            return nil
        }
        return topic
    }

    private func content(_ mapping: MappingReader, _ shortForm: [YAMLNode.Entry], isSeries: Bool) -> TestReadings.Content? {
        let whole = ["payload", "hex"].filter { mapping.has($0) }
        if let key = whole.first {
            let others = whole.dropFirst() + (mapping.has("fields") ? ["fields"] : []) + shortForm.map(\.key)
            if let other = others.first, let entry = mapping.entry(other) {
                reading.report("two-payloads", "'\(key)' is the whole payload: '\(other)' cannot stand beside it", at: entry.keyRange)
                return nil
            }
            guard !isSeries, let node = mapping[key] else {
                reading.report(
                    "two-payloads", "'\(key)' is one message: it needs 'at' instead of 'every'",
                    at: mapping.entry("every")?.keyRange ?? mapping.node.headRange)
                return nil
            }
            return key == "hex" ? hexadecimal(node) : payload(node)
        }
        var fields = shortForm.compactMap { field($0, isSeries) }
        if let node = mapping["fields"] { fields += (reading.entries(node, "fields") ?? []).compactMap { field($0, isSeries) } }
        if shortForm.isEmpty, !mapping.has("fields") { mapping.missing("an entry of 'readings' needs a field, 'payload' or 'hex'") }
        return fields.isEmpty ? nil : .fields(fields)
    }

    /// Text is sent as it stands; anything else as JSON.
    private func payload(_ node: YAMLNode) -> TestReadings.Content {
        if case .scalar(let text, _) = node.content { return .payload(Array(text.utf8)) }
        return .payload(Array(reading.document(node).json.utf8))
    }

    private func hexadecimal(_ node: YAMLNode) -> TestReadings.Content? {
        guard let text = reading.text(node, "hex") else { return nil }
        let digits = text.utf8.filter { $0 > 32 }
        let values = digits.map { digit -> UInt8? in
            switch digit {
            case 48...57: digit - 48
            case 65...70: digit - 55
            case 97...102: digit - 87
            default: nil
            }
        }
        guard digits.count % 2 == 0, !values.contains(nil) else {
            reading.report("hexadecimal", "'hex' must be pairs of hexadecimal digits", at: node.range)
            return nil
        }
        let known = values.compactMap { $0 }
        return .payload(stride(from: 0, to: known.count - 1, by: 2).map { known[$0] << 4 | known[$0 + 1] })
    }

    private func field(_ entry: YAMLNode.Entry, _ isSeries: Bool) -> TestField? {
        switch entry.value.content {
        case .mapping(let members):
            let inner = members.compactMap { field($0, isSeries) }
            return TestField(entry.key, members.isEmpty ? .constant(.emptyObject) : .members(inner))
        case .sequence: return TestField(entry.key, .constant(reading.document(entry.value)))
        case .scalar(let text, let style):
            if isSeries, !entry.value.isNull { return series(entry.value, text, style).map { TestField(entry.key, .series($0)) } }
            return TestField(entry.key, .series(TestSeries([.init(sample(entry.value))])))
        }
    }

    private func series(_ node: YAMLNode, _ text: String, _ style: YAMLNode.Style) -> TestSeries? {
        do {
            return try SeriesNotation.read(text)
        } catch {
            let source = reading.file.sourceText(text, style, at: node.range)
            reading.findings.report("series", error.message, at: source.location(of: error.range), hint: error.hint)
            return nil
        }
    }

    /// A single value: quoted it is text, whatever it looks like.
    private func sample(_ node: YAMLNode) -> TestSample {
        switch reading.document(node) {
        case .bool(let value): .bool(value)
        case .int(let value): .number(Double(value))
        case .double(let value): .number(value)
        case .string(let text): .text(text)
        case .null, .array, .object, .instant: .null
        }
    }
}
