import RuleEngine

/// `on`: one filter or several, each with its options.
struct SubscriptionReader {
    let reading: FileReading

    private static let keys =
        ["topic", "decoder", "time_field", "value_as", "device", "qos", "retained"].map { KnownKey($0) }

    /// What `on` says, and which captures identify an instance unless `by` says otherwise.
    struct Subscriptions {
        var all: [TopicSubscription]
        /// The captures that every filter has, in the order of the first one.
        var common: [String]
        /// Captures of any filter.
        var captures: Set<String>
        var range: Range<Int>

        init(_ all: [TopicSubscription], range: Range<Int>) {
            self.all = all
            self.range = range
            common = all.first?.filter.captures.filter { name in all.allSatisfy { $0.filter.captures.contains(name) } } ?? []
            captures = Set(all.flatMap(\.filter.captures))
        }
    }

    /// What a broken `on`, which has been reported, leaves for looking at the rest of its rule: the names that stand in braces are captures.
    static func captures(inRemainsOf nodes: [YAMLNode]) -> [String] {
        var texts: [String] = []
        func collect(_ node: YAMLNode) {
            switch node.content {
            case .scalar(let text, _): texts.append(text)
            case .sequence(let items): for item in items { collect(item) }
            case .mapping(let entries): for entry in entries where entry.key == "topic" { collect(entry.value) }
            }
        }
        for node in nodes { collect(node) }
        var names: [String] = []
        for part in texts.flatMap({ $0.split(separator: "{", omittingEmptySubsequences: false).dropFirst() }) {
            let name = String(part.prefix { $0 != "}" && $0 != "#" })
            if Names.isIdentifier(name), Names.refusal(name, of: "a capture") == nil, !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// A filter that has these captures.
    static func remains(_ captures: [String], range: Range<Int>) -> Subscriptions {
        let filter = try? TopicFilter(captures.isEmpty ? "#" : captures.map { "{\($0)}" }.joined(separator: "/"))
        return Subscriptions(filter.map { [TopicSubscription(filter: $0)] } ?? [], range: range)
    }

    /// Nil when something is wrong, all of which has been reported.
    func read(_ node: YAMLNode) -> Subscriptions? {
        var nodes = [node]
        if case .sequence(let items) = node.content { nodes = items }
        if nodes.isEmpty || node.isNull {
            reading.report("topic-filter", "'on' needs a topic filter", at: node.headRange)
            return nil
        }
        let all = nodes.compactMap { subscription($0) }
        return all.count == nodes.count ? Subscriptions(all, range: node.headRange) : nil
    }

    private func subscription(_ node: YAMLNode) -> TopicSubscription? {
        guard case .mapping = node.content else { return filter(node, "on").map { TopicSubscription(filter: $0) } }
        // In flow style '{site}/x' is a mapping with the one key 'site'.
        if case .mapping(let entries) = node.content, entries.count == 1, entries[0].value.isNull,
            !Self.keys.contains(where: { $0.name == entries[0].key })
        {
            reading.report(
                "topic-filter", "a topic filter that begins with '{' must be quoted", at: node.range,
                notes: ["without quotes YAML takes it for a mapping"])
            return nil
        }
        let errors = reading.findings.errorCount
        guard let mapping = MappingReader(node, subject: "'on'", keys: Self.keys, in: reading) else { return nil }
        guard let topic = mapping.required("topic"), let filter = filter(topic, "topic") else { return nil }
        var found = TopicSubscription(filter: filter)
        if let node = mapping["decoder"], let decoder = decoder(node) { found.decoder = decoder }
        if let node = mapping["time_field"] { readTime(node, into: &found) }
        if let node = mapping["value_as"] { found.valueAs = capture(node, "value_as", of: filter) }
        if let node = mapping["device"] {
            found.device = DevicePatternReader(reading: reading, names: filter.captures).read(node) {
                unknownCapture($0, "device", of: filter, at: $1)
            }
        }
        if let node = mapping["qos"], let qos = reading.integer(node, "qos", in: 0...2) { found.qos = UInt8(qos) }
        if let node = mapping["retained"],
            let retained = reading.choice(node, "retained", [("use", TopicSubscription.Retained.use), ("skip", .skip)])
        {
            found.retained = retained
        }
        return reading.findings.errorCount == errors ? found : nil
    }

    /// `true`: the time that a plugin's decoder finds. Else a member.
    private func readTime(_ node: YAMLNode, into found: inout TopicSubscription) {
        guard case .scalar(let text, .plain) = node.content, ["true", "false"].contains(text) else {
            found.timeField = timeField(node, found.decoder)
            return
        }
        guard text == "true" else { return }
        guard case .named = found.decoder else {
            reading.report(
                "time-field", "'time_field: true' is the time that a plugin's decoder finds: with this one it must name a member",
                at: node.range)
            return
        }
        found.takesDecodersTime = true
    }

    /// A member of the payload, or of an object in it: `meta.at`.
    private func timeField(_ node: YAMLNode, _ decoder: TopicSubscription.Decoder) -> [String]? {
        guard let text = reading.name(node, "time_field") else { return nil }
        if decoder == .text || decoder == .bytes {
            reading.report("time-field", "with this decoder a payload has no members: there can be no 'time_field'", at: node.range)
            return nil
        }
        let names = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !names.contains("") else {
            reading.report("time-field", "'time_field' must be the name of a member of the payload, such as at or meta.at", at: node.range)
            return nil
        }
        guard !names.contains(where: { $0.contains { "[]`".contains($0) } }) else {
            reading.report(
                "time-field", "'time_field' is a path of members, such as meta.at: elements of lists cannot stand in it", at: node.range)
            return nil
        }
        return names
    }

    private func filter(_ node: YAMLNode, _ key: String) -> TopicFilter? {
        guard let text = reading.text(node, key), case .scalar(_, let style) = node.content else { return nil }
        let source = reading.file.sourceText(text, style, at: node.range)
        let filter: TopicFilter
        do {
            filter = try TopicFilter(text)
        } catch {
            reading.findings.report("topic-filter", error.message, at: source.location(of: error.range))
            return nil
        }
        for name in filter.captures {
            let refusal =
                name == "alertname"
                ? "a capture cannot be named 'alertname': the label belongs to the rule's name" : Names.refusal(name, of: "a capture")
            if let refusal {
                reading.findings.report("reserved-name", refusal, at: source.location(of: Self.place(of: name, in: text)))
                return nil
            }
        }
        return filter
    }

    private static func place(of capture: String, in text: String) -> Range<Int> {
        guard let found = text.firstRange(of: "{\(capture)") else { return 0..<text.utf8.count }
        let start = text.utf8.distance(from: text.startIndex, to: found.lowerBound) + 1
        return start..<start + capture.utf8.count
    }

    private func decoder(_ node: YAMLNode) -> TopicSubscription.Decoder? {
        guard let name = reading.text(node, "decoder") else { return nil }
        switch name {
        case "auto": return .automatic
        case "text": return .text
        case "bytes": return .bytes
        case _ where reading.plugins.find(.decoder, name) != nil: return .named(name)
        default:
            let known = ["auto", "bytes", "text"] + reading.plugins.names(.decoder)
            reading.report(
                "unknown-decoder", "there is no decoder '\(name)'", at: node.range,
                notes: ["known decoders: \(known.joined(separator: ", "))"],
                hint: nearestName(to: name, in: known).map { "did you mean '\($0)'?" })
            return nil
        }
    }

    private func capture(_ node: YAMLNode, _ key: String, of filter: TopicFilter) -> String? {
        guard let name = reading.text(node, key) else { return nil }
        guard filter.captures.contains(name) else {
            unknownCapture(name, key, of: filter, at: reading.file.location(of: node.range))
            return nil
        }
        return name
    }

    private func unknownCapture(_ name: String, _ key: String, of filter: TopicFilter, at location: SourceLocation) {
        let captures = filter.captures
        reading.findings.report(
            "unknown-capture", "'\(key)' must name captures of its topic filter: '\(name)' is none", at: location,
            notes: [captures.isEmpty ? "the filter has no captures" : "captures: \(captures.joined(separator: ", "))"],
            hint: nearestName(to: name, in: captures).map { "did you mean '\($0)'?" })
    }
}
