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
    /// same run; nil when it is no mapping.
    func read(_ node: YAMLNode) -> Rule? {
        guard let mapping = MappingReader(node, subject: "a rule", keys: Self.keys, in: reading) else { return nil }
        let name = (mapping.has("record") ? nil : mapping.required("alert")).flatMap { reading.name($0, "alert") }
        let isEvent = mapping["event"].map { reading.bool($0, "event") } ?? false
        let source = RuleSourceReader(reading: reading, defaults: defaults, mapping: mapping).read()
        let levels = LevelReader(reading: reading, isEvent: isEvent == true, isBesideSequence: source.sequence != nil).read(mapping)
        var rule = Rule(
            identity: RuleIdentity(group: group, alert: name ?? ""),
            location: reading.file.location(of: mapping.entry("alert")?.keyRange ?? node.headRange),
            subscriptions: source.subscriptions, by: source.by, levels: levels)
        rule.every = source.every
        rule.query = source.query
        rule.device = source.device
        rule.sequence = source.sequence?.steps ?? []
        rule.isEvent = isEvent ?? false || source.sequence != nil
        readTexts(mapping, captures: source.captures, hasLevels: mapping.has("levels"), into: &rule)
        readOptions(mapping, into: &rule)
        readSides(mapping, source, into: &rule)
        if let sequence = source.sequence { check(sequence, mapping, rule) } else { checkEvent(mapping, rule) }
        checkCaptures(mapping, source.topics)
        rule.yaml = reading.yaml(node.range)
        if rule.levels.isEmpty, rule.sequence.isEmpty {
            guard let always = reading.expression(SourceText("true", file: reading.file.name)) else { return nil }
            rule.levels = [Level(condition: always)]
        }
        if source.isGuessed { lookAtLabelsAsTexts(&rule) }
        return rule
    }

    /// A text may use any name; of a label that is said only where captures are known.
    private func lookAtLabelsAsTexts(_ rule: inout Rule) {
        rule.annotations += rule.labels
        rule.labels = rule.labels.map { NamedTemplate($0.name, Template([], source: $0.template.source)) }
    }

    private func readSides(_ mapping: MappingReader, _ source: RuleSource, into rule: inout Rule) {
        guard let node = mapping["with"] else { return }
        let taken = source.captures.union(rule.by).union(rule.lets.map(\.name)).union(["device"])
        rule.sides = QueryReader(reading: reading).sides(node, by: source.isGuessed ? nil : rule.by, taken: taken)
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
