import RuleEngine

/// What the rules of a group have unless they say otherwise.
struct GroupDefaults {
    /// The outer nil: the group has no `on`; the inner one: it has a broken one, which has been reported.
    var subscriptions: SubscriptionReader.Subscriptions??
    var labels: [NamedTemplate] = []
    var lets: [LetBinding] = []
    /// The group's `on`, for what it leaves when it is broken.
    var topics: YAMLNode?
    var every: Duration?
    var missing: MissingPolicy?
    var mode = Rule.Mode.live
    var isEnabled = true
}

/// One entry of a group's `rules`.
struct RuleReader {
    let reading: FileReading
    let group: String
    let defaults: GroupDefaults

    private static let keys =
        [
            "alert", "on", "by", "expr", "resolve_expr", "levels", "let", "value", "for", "keep_firing_for", "missing", "every", "labels",
            "annotations", "event", "sequence", "limit", "actions", "mode", "enabled", "influx", "offset", "device", "with",
        ].map { KnownKey($0) }
        + [KnownKey("record", refused: "recording rules are not supported: 'record' has no meaning here")]

    /// What is wrong with the rule is reported, and the rest of it returned, so that it can be looked at for mistakes of names and types in the
    /// same run; nil when there is too little of it.
    func read(_ node: YAMLNode) -> Rule? {
        guard let mapping = MappingReader(node, subject: "a rule", keys: Self.keys, in: reading) else { return nil }
        let name = (mapping.has("record") ? nil : mapping.required("alert")).flatMap { reading.name($0, "alert") }
        let isEvent = mapping["event"].map { reading.bool($0, "event") } ?? false
        let sequence = mapping.entry("sequence").map { self.sequence(mapping, $0) }
        let levels = sequence == nil ? LevelReader(reading: reading, isEvent: isEvent == true).read(mapping) : []
        let every = mapping["every"].map { reading.every($0) } ?? defaults.every
        let query = query(mapping, every)
        let subscriptions =
            mapping.has("influx")
            ? nil : sequence.map(\.subscriptions) ?? subscriptions(mapping, isOnClock: every != nil || mapping.has("every"))
        let by = mapping.has("influx") ? queryBy(mapping, query ?? nil) : self.by(mapping, subscriptions)
        var rule = Rule(
            identity: RuleIdentity(group: group, alert: name ?? ""),
            location: reading.file.location(of: mapping.entry("alert")?.keyRange ?? node.headRange),
            subscriptions: subscriptions??.all ?? [], by: by, levels: levels)
        if case .some(.none) = subscriptions, sequence == nil {
            useRemains(of: mapping["on"] ?? defaults.topics, hasBy: mapping.has("by"), &rule)
        }
        rule.every = every
        rule.query = query ?? nil
        rule.device = device(mapping, by)
        rule.sequence = sequence?.steps ?? []
        rule.isEvent = isEvent ?? false || sequence != nil
        readTexts(mapping, captures: subscriptions??.captures ?? Set(rule.by), hasLevels: mapping.has("levels"), into: &rule)
        readOptions(mapping, into: &rule)
        readSides(mapping, captures: subscriptions??.captures ?? [], into: &rule)
        if let sequence { check(sequence, mapping, rule) } else { checkEvent(mapping, rule) }
        checkCaptures(mapping, subscriptions ?? nil)
        rule.yaml = reading.yaml(node.range)
        if case .some(.none) = query { return nil }
        if rule.levels.isEmpty, rule.sequence.isEmpty {
            guard sequence == nil, let always = reading.expression(SourceText("true", file: reading.file.name)) else { return nil }
            rule.levels = [Level(condition: always)]
        }
        if case .none = subscriptions, every == nil, !mapping.has("influx") {
            useRemains(of: node, hasBy: false, &rule)
            rule.labels = []
        }
        return rule
    }

    /// Where `on` is broken or not there, which names are captures is guessed.
    private func useRemains(of topics: YAMLNode?, hasBy: Bool, _ rule: inout Rule) {
        guard let remains = topics.map({ SubscriptionReader.remains(of: $0) }) else { return }
        rule.subscriptions = remains.all
        if !hasBy { rule.by = remains.common }
    }

    /// The outer nil: none, which is right for a rule on the clock; the inner one: broken.
    private func subscriptions(_ mapping: MappingReader, isOnClock: Bool) -> SubscriptionReader.Subscriptions?? {
        if let own = mapping["on"] { return .some(SubscriptionReader(reading: reading).read(own)) }
        if let inherited = defaults.subscriptions { return inherited }
        if !isOnClock { mapping.missing("a rule needs 'on', or 'every' to run by the clock") }
        return nil
    }

    private func sequence(_ mapping: MappingReader, _ entry: YAMLNode.Entry) -> SequenceReader.Sequence {
        let own = mapping["on"].map { SubscriptionReader(reading: reading).read($0) }
        return SequenceReader(reading: reading, inherited: own ?? defaults.subscriptions).read(entry)
    }

    /// The outer nil: the rule has no `influx`; the inner one: a broken one.
    private func query(_ mapping: MappingReader, _ every: Duration?) -> HistoryQuery?? {
        let offset = mapping.entry("offset")
        guard let entry = mapping.entry("influx") else {
            if let offset { reading.report("conflicting-keys", "'offset' is for rules with 'influx'", at: offset.keyRange) }
            return nil
        }
        if let on = mapping.entry("on") {
            reading.report("conflicting-keys", "a rule has 'influx' or 'on' as its source, not both", at: on.keyRange)
        }
        if every == nil, !mapping.has("every") {
            reading.report("missing-key", "'influx' needs 'every': how often the query is asked", at: entry.keyRange)
        }
        let length = offset.flatMap { reading.duration($0.value, "offset") }
        return .some(QueryReader(reading: reading).query(entry.value, every: every, offset: length))
    }

    /// How the tags of a query name the device; of topics their filters say it.
    private func device(_ mapping: MappingReader, _ tags: [String]) -> [TopicSubscription.DevicePart]? {
        guard let entry = mapping.entry("device") else { return nil }
        guard mapping.has("influx") else {
            reading.report(
                "conflicting-keys", "'device' of a rule is for 'influx'; of a topic it stands with the topic", at: entry.keyRange,
                hint: "on: [{topic: '…', device: '…'}]")
            return nil
        }
        return DevicePatternReader(reading: reading, names: tags).read(entry.value) { name, location in
            reading.findings.report(
                "unknown-capture", "'device' must name tags of the query: '\(name)' is none", at: location,
                notes: [tags.isEmpty ? "the query has no tags" : "tags: \(tags.joined(separator: ", "))"],
                hint: nearestName(to: name, in: tags).map { "did you mean '\($0)'?" })
        }
    }

    /// The tags by which the answer is grouped; `by` says them where the query does not.
    private func queryBy(_ mapping: MappingReader, _ query: HistoryQuery?) -> [String] {
        guard let entry = mapping.entry("by") else {
            if let query, query.tags == nil {
                reading.report(
                    "by", "a query that does not name its tags needs 'by': which tags make an instance",
                    at: mapping.entry("influx")?.keyRange ?? mapping.node.headRange)
            }
            return query?.tags ?? []
        }
        if let query, query.tags != nil {
            reading.report(
                "conflicting-keys", "the instances of a query are those of its GROUP BY: 'by' is for GROUP BY * and patterns",
                at: entry.keyRange)
            return []
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

    private func readSides(_ mapping: MappingReader, captures: Set<String>, into rule: inout Rule) {
        guard let node = mapping["with"] else { return }
        let taken = captures.union(rule.by).union(rule.lets.map(\.name)).union(["device"])
        rule.sides = QueryReader(reading: reading).sides(node, by: rule.by, taken: taken)
    }

    private func by(_ mapping: MappingReader, _ subscriptions: SubscriptionReader.Subscriptions??) -> [String] {
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

    private func readTexts(_ mapping: MappingReader, captures: Set<String>, hasLevels: Bool, into rule: inout Rule) {
        var lets = defaults.lets
        if let node = mapping["let"] {
            let own = reading.lets(node, captures: captures)
            lets.removeAll { inherited in own.contains { $0.name == inherited.name } }
            lets += own
        }
        rule.lets = lets
        // The level is the label 'severity': a group's label of that name is for its rules without levels.
        var labels = defaults.labels.filter { !hasLevels || $0.name != "severity" }
        if let entry = mapping.entry("labels") {
            let own = reading.namedTemplates(entry.value, "labels")
            labels.removeAll { inherited in own.contains { $0.name == inherited.name } }
            labels += own
            if hasLevels, let severity = (reading.severityEntry(entry.value)) {
                reading.report("reserved-name", "with 'levels', the label 'severity' is the level and cannot be set", at: severity.keyRange)
            }
        }
        rule.labels = labels
        if let node = mapping["annotations"] { rule.annotations = reading.namedTemplates(node, "annotations") }
        if let node = mapping["value"] { rule.value = reading.expression(node, "value") }
        if let node = mapping["actions"] { (rule.firingActions, rule.resolvedActions) = ActionReader(reading: reading).read(node) }
    }

    private func readOptions(_ mapping: MappingReader, into rule: inout Rule) {
        if let node = mapping["keep_firing_for"] { rule.keepFiringFor = reading.duration(node, "keep_firing_for") ?? .zero }
        if let node = mapping["missing"] {
            rule.missing = reading.missingPolicy(node)
        } else if !rule.isEvent {
            rule.missing = defaults.missing
        }
        if let node = mapping["limit"] { rule.limit = reading.integer(node, "limit", in: 1...Int.max) }
        rule.mode = mapping["mode"].flatMap { reading.mode($0) } ?? defaults.mode
        rule.isEnabled = mapping["enabled"].flatMap { reading.bool($0, "enabled") } ?? defaults.isEnabled
    }

    private func checkEvent(_ mapping: MappingReader, _ rule: Rule) {
        guard rule.isEvent else { return }
        for key in ["keep_firing_for", "missing"] {
            guard let entry = mapping.entry(key) else { continue }
            reading.report("event", "an event is an occurrence and lasts no time: it takes no '\(key)'", at: entry.keyRange)
        }
        refuseEvery(mapping, rule, "event", "an event is a reading: it takes no 'every'")
    }

    private func refuseEvery(_ mapping: MappingReader, _ rule: Rule, _ code: String, _ message: String) {
        guard rule.every != nil || mapping.has("every") else { return }
        reading.report(
            code, message, at: mapping.entry("every")?.keyRange ?? mapping.node.headRange,
            notes: mapping.has("every") ? [] : ["it has 'every' from its group"])
    }

    /// A sequence is told of when it is complete, as an event.
    private func check(_ sequence: SequenceReader.Sequence, _ mapping: MappingReader, _ rule: Rule) {
        for key in ["expr", "levels"] {
            guard let entry = mapping.entry(key) else { continue }
            reading.report("conflicting-keys", "a rule has 'sequence' or '\(key)': each step has its own condition", at: entry.keyRange)
        }
        for key in ["resolve_expr", "for", "keep_firing_for", "missing"] {
            guard let entry = mapping.entry(key) else { continue }
            reading.report(
                "sequence", "a sequence is an event when it is complete, and lasts no time: it takes no '\(key)'", at: entry.keyRange)
        }
        refuseEvery(mapping, rule, "sequence", "the steps of a sequence are readings: it takes no 'every'")
        if let entry = mapping.entry("influx") {
            reading.report("sequence", "the steps of a sequence are readings: it takes no 'influx'", at: entry.keyRange)
        }
        if let entry = mapping.entry("event"), reading.isFalse(entry.value) {
            reading.report("sequence", "a sequence is an event when it is complete", at: entry.keyRange)
        }
        if let entry = mapping.entry("on"), !sequence.usesInherited {
            reading.report("conflicting-keys", "every step has its own 'on': the rule's would not be used", at: entry.keyRange)
        }
    }

    private func checkCaptures(_ mapping: MappingReader, _ subscriptions: SubscriptionReader.Subscriptions?) {
        guard let subscriptions else { return }
        if mapping.has("levels"), subscriptions.captures.contains("severity") {
            reading.report(
                "reserved-name", "with 'levels', the label 'severity' is the level: no capture can have that name",
                at: mapping.entry("levels")?.keyRange ?? mapping.node.headRange)
        }
        guard let own = mapping.entry("on") else { return }
        for inherited in defaults.lets where subscriptions.captures.contains(inherited.name) {
            reading.report(
                "duplicate-name", "'\(inherited.name)' is a named expression of the group and cannot be a capture too",
                at: own.value.headRange)
        }
    }
}

extension FileReading {
    fileprivate func isFalse(_ node: YAMLNode) -> Bool {
        if case .scalar(let text, .plain) = node.content { text.lowercased() == "false" } else { false }
    }

    /// `every`. A wrong one, which is reported, leaves the rule one that looks at the clock.
    func every(_ node: YAMLNode) -> Duration { duration(node, "every", atLeast: .seconds(1)) ?? .seconds(1) }

    func mode(_ node: YAMLNode) -> Rule.Mode? { choice(node, "mode", [("live", .live), ("shadow", .shadow)]) }

    fileprivate func severityEntry(_ labels: YAMLNode) -> YAMLNode.Entry? {
        guard case .mapping(let entries) = labels.content else { return nil }
        return entries.first { $0.key == "severity" }
    }

    /// `missing`: `{after: 10m, policy: nodata}`.
    func missingPolicy(_ node: YAMLNode) -> MissingPolicy? {
        guard let mapping = MappingReader(node, subject: "'missing'", keys: [KnownKey("after"), KnownKey("policy")], in: self) else {
            return nil
        }
        let outcomes: [(String, MissingPolicy.Outcome)] = [("hold", .hold), ("ok", .ok), ("alert", .alert), ("nodata", .nodata)]
        let outcome = mapping["policy"].map { choice($0, "policy", outcomes) } ?? .hold
        let deadline = mapping.required("after").flatMap { missingDeadline($0) }
        guard let outcome, let deadline else { return nil }
        return MissingPolicy(deadline: deadline, outcome: outcome)
    }

    private func missingDeadline(_ node: YAMLNode) -> MissingPolicy.Deadline? {
        if case .scalar("auto", _) = node.content { return .beats(3) }
        if case .mapping = node.content {
            guard let mapping = MappingReader(node, subject: "'after'", keys: [KnownKey("beats")], in: self) else { return nil }
            return mapping.required("beats").flatMap { integer($0, "beats", in: 1...1000) }.map { .beats($0) }
        }
        return duration(node, "after", atLeast: .milliseconds(1)).map { .after($0) }
    }
}
