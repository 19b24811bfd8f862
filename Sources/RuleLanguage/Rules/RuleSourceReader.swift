import RuleEngine

/// Where a rule's readings come from and what makes an instance of them.
struct RuleSource {
    var subscriptions: [TopicSubscription] = []
    /// Those of `on` and of the steps when nothing is wrong with them.
    var topics: SubscriptionReader.Subscriptions?
    var by: [String] = []
    /// The names that are captures or tags, as far as they can be known.
    var captures: Set<String> = []
    var every: Duration?
    var query: HistoryQuery?
    var device: [TopicSubscription.DevicePart]?
    var sequence: SequenceReader.Sequence?
    /// What is wrong leaves open which names are captures: whether a label depends on a measured value cannot be said.
    var isGuessed = false
}

/// `on`, `sequence` or `influx` of a rule, with `by`, `every`, `offset` and `device`.
///
/// What is wrong is reported. What then comes back is a guess that is good enough to look for mistakes in the rest of the rule.
struct RuleSourceReader {
    let reading: FileReading
    let defaults: GroupDefaults
    let mapping: MappingReader

    func read() -> RuleSource {
        var source = RuleSource()
        source.every = mapping["every"].map { reading.every($0) } ?? defaults.every
        source.sequence = mapping.entry("sequence").map(sequence)
        if let entry = mapping.entry("influx") { readQuery(entry, into: &source) } else { readTopics(into: &source) }
        return source
    }

    // MARK: topics

    private func sequence(_ entry: YAMLNode.Entry) -> SequenceReader.Sequence {
        let own = mapping["on"].map { SubscriptionReader(reading: reading).read($0) }
        return SequenceReader(reading: reading, inherited: own ?? defaults.subscriptions).read(entry)
    }

    private func readTopics(into source: inout RuleSource) {
        if let offset = mapping.entry("offset") {
            reading.report("conflicting-keys", "'offset' is for rules with 'influx'", at: offset.keyRange)
        }
        if let device = mapping.entry("device") {
            reading.report(
                "conflicting-keys", "'device' of a rule is for 'influx'; of a topic it stands with the topic", at: device.keyRange,
                hint: "on: [{topic: '…', device: '…'}]")
        }
        let isOnClock = source.every != nil || mapping.has("every")
        let found: SubscriptionReader.Subscriptions??
        if let sequence = source.sequence { found = .some(sequence.subscriptions) } else { found = subscriptions(isOnClock: isOnClock) }
        source.by = by(found, isOnClock: isOnClock)
        switch found {
        case .some(.some(let topics)):
            source.topics = topics
            source.subscriptions = topics.all
            source.captures = topics.captures
        case .some(.none):
            let inherited = source.sequence?.usesInherited ?? true ? mapping["on"] ?? defaults.topics : nil
            guess(from: (source.sequence?.topics ?? []) + [inherited].compactMap { $0 }, &source)
        case .none:
            source.captures = Set(source.by)
            if !isOnClock { guess(from: [], &source) }
        }
    }

    /// The outer nil: none, which is right for a rule on the clock; the inner one: broken.
    private func subscriptions(isOnClock: Bool) -> SubscriptionReader.Subscriptions?? {
        if let own = mapping["on"] { return .some(SubscriptionReader(reading: reading).read(own)) }
        if let inherited = defaults.subscriptions { return inherited }
        if !isOnClock { mapping.missing("a rule needs 'on', or 'every' to run by the clock") }
        return nil
    }

    /// The names that stand in braces are captures, and those that `by` says.
    private func guess(from topics: [YAMLNode], _ source: inout RuleSource) {
        let named = SubscriptionReader.captures(inRemainsOf: topics)
        let given = mapping.has("by") ? source.by.filter { Names.isIdentifier($0) && !named.contains($0) } : []
        let remains = SubscriptionReader.remains(named + given, range: mapping.node.headRange)
        source.subscriptions = remains.all
        source.captures = remains.captures
        if !mapping.has("by") { source.by = remains.common }
        source.isGuessed = named.isEmpty
    }

    private func by(_ subscriptions: SubscriptionReader.Subscriptions??, isOnClock: Bool) -> [String] {
        guard let entry = mapping.entry("by") else {
            guard let found = subscriptions ?? nil else { return [] }
            if found.all.count > 1, found.common.isEmpty {
                reading.report(
                    "by", "filters without a common capture need 'by'",
                    at: (mapping.entry("sequence") ?? mapping.entry("on"))?.keyRange ?? mapping.node.headRange,
                    notes: ["'by: []' makes one instance of all of them"])
            }
            return found.common
        }
        guard let items = reading.list(entry.value, "by") else { return [] }
        var names: [String] = []
        for item in items {
            guard let name = reading.name(item, "by") else { continue }
            if names.contains(name) {
                reading.report("duplicate-name", "'by' names a capture once: '\(name)'", at: item.range)
                continue
            }
            names.append(name)
            switch subscriptions {
            case .some(.none): continue
            case .none where !isOnClock: continue
            case .none: reading.report("unknown-capture", "a rule on the clock has no captures: 'by' must be empty", at: item.range)
            case .some(.some(let found)):
                guard !found.common.contains(name) else { continue }
                let isPartial = found.captures.contains(name)
                reading.report(
                    "unknown-capture",
                    "'by' must name captures of every filter of 'on': '\(name)' is \(isPartial ? "not in all of them" : "none")",
                    at: item.range, notes: [found.common.isEmpty ? "there are none" : "captures: \(found.common.joined(separator: ", "))"],
                    hint: nearestName(to: name, in: found.common).map { "did you mean '\($0)'?" })
            }
        }
        return names
    }

    // MARK: influx

    private func readQuery(_ entry: YAMLNode.Entry, into source: inout RuleSource) {
        if let on = mapping.entry("on") {
            reading.report("conflicting-keys", "a rule has 'influx' or 'on' as its source, not both", at: on.keyRange)
            // A sequence has read it already.
            if source.sequence == nil { _ = SubscriptionReader(reading: reading).read(on.value) }
        }
        if source.every == nil {
            reading.report("missing-key", "'influx' needs 'every': how often the query is asked", at: entry.keyRange)
        }
        let offset = mapping["offset"].flatMap { reading.duration($0, "offset") }
        let found = QueryReader(reading: reading).query(entry.value, every: source.every, offset: offset)
        source.query = found.query
        source.isGuessed = !found.isWhole || mapping.has("on") || source.sequence != nil
        source.by = queryBy(found)
        source.captures = Set(source.by)
        source.device = device(found.isWhole ? source.by : nil)
    }

    /// How the tags of a query name the device; of topics their filters say it. No tags: they are not known.
    private func device(_ tags: [String]?) -> [TopicSubscription.DevicePart]? {
        guard let node = mapping["device"] else { return nil }
        return DevicePatternReader(reading: reading, names: tags ?? []).read(node) { name, location in
            guard let tags else { return }
            reading.findings.report(
                "unknown-capture", "'device' must name tags of the query: '\(name)' is none", at: location,
                notes: [tags.isEmpty ? "the query has no tags" : "tags: \(tags.joined(separator: ", "))"],
                hint: nearestName(to: name, in: tags).map { "did you mean '\($0)'?" })
        }
    }

    /// The tags by which the answer is grouped; `by` says them where the query does not.
    private func queryBy(_ found: QueryReader.Found) -> [String] {
        let tags = found.query.tags
        guard let entry = mapping.entry("by") else {
            if tags == nil {
                reading.report(
                    "by", "a query that does not name its tags needs 'by': which tags make an instance",
                    at: mapping.entry("influx")?.keyRange ?? mapping.node.headRange)
            }
            return tags ?? []
        }
        if let tags, found.isWhole {
            reading.report(
                "conflicting-keys", "the instances of a query are those of its GROUP BY: 'by' is for GROUP BY * and patterns",
                at: entry.keyRange)
            return tags
        }
        var names: [String] = []
        for item in reading.list(entry.value, "by") ?? [] {
            guard let name = reading.name(item, "by") else { continue }
            if names.contains(name) {
                reading.report("duplicate-name", "'by' names a tag once: '\(name)'", at: item.range)
            } else if !Names.isIdentifier(name) {
                reading.report(
                    "label-name", "a tag that becomes a label is letters, digits and '_', and begins with no digit", at: item.range)
            } else if let refusal = name == "alertname"
                ? "a tag cannot be named 'alertname': the label belongs to the rule's name" : Names.refusal(name, of: "a tag")
            {
                reading.report("reserved-name", refusal, at: item.range)
            } else {
                names.append(name)
            }
        }
        return names
    }
}
