import RuleEngine

/// What the rules of a group have unless they say otherwise.
struct GroupDefaults {
    /// The outer nil: the group has no `on`; the inner one: it has a broken one, which has been reported.
    var subscriptions: SubscriptionReader.Subscriptions??
    var labels: [NamedTemplate] = []
    var lets: [LetBinding] = []
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
            "annotations", "event", "limit", "actions", "mode", "enabled",
        ].map { KnownKey($0) }
        + ["influx", "with", "sequence", "offset"].map { .notSupported($0) }
        + [KnownKey("record", refused: "recording rules are not supported: 'record' has no meaning here")]

    /// Nil when something is wrong with the rule, all of which has been reported.
    func read(_ node: YAMLNode) -> Rule? {
        let errors = reading.findings.errorCount
        guard let mapping = MappingReader(node, subject: "a rule", keys: Self.keys, in: reading) else { return nil }
        let name = (mapping.has("record") ? nil : mapping.required("alert")).flatMap { reading.name($0, "alert") }
        let isEvent = mapping["event"].map { reading.bool($0, "event") } ?? false
        let levels = LevelReader(reading: reading, isEvent: isEvent == true).read(mapping)
        let every = mapping["every"].map { reading.duration($0, "every", atLeast: .seconds(1)) } ?? defaults.every
        let subscriptions = subscriptions(mapping, isOnClock: every != nil || mapping.has("every"))
        let by = self.by(mapping, subscriptions)
        var rule = Rule(
            identity: RuleIdentity(group: group, alert: name ?? ""),
            location: reading.file.location(of: mapping.entry("alert")?.keyRange ?? node.headRange),
            subscriptions: subscriptions??.all ?? [], by: by, levels: levels)
        rule.every = every
        rule.isEvent = isEvent ?? false
        readTexts(mapping, captures: subscriptions??.captures ?? [], hasLevels: mapping.has("levels"), into: &rule)
        readOptions(mapping, into: &rule)
        checkEvent(mapping, rule)
        checkCaptures(mapping, subscriptions ?? nil)
        rule.yaml = reading.yaml(node.range)
        if case .some(.none) = subscriptions { return nil }
        return reading.findings.errorCount == errors && name != nil && !levels.isEmpty ? rule : nil
    }

    /// The outer nil: none, which is right for a rule on the clock; the inner one: broken.
    private func subscriptions(_ mapping: MappingReader, isOnClock: Bool) -> SubscriptionReader.Subscriptions?? {
        if let own = mapping["on"] { return .some(SubscriptionReader(reading: reading).read(own)) }
        if let inherited = defaults.subscriptions { return inherited }
        // A source that this version refuses has been reported as such.
        if !isOnClock, !mapping.has("influx") {
            mapping.missing("a rule needs 'on', or 'every' to run by the clock")
        }
        return nil
    }

    private func by(_ mapping: MappingReader, _ subscriptions: SubscriptionReader.Subscriptions??) -> [String] {
        guard let entry = mapping.entry("by") else {
            guard let found = subscriptions ?? nil else { return [] }
            if found.all.count > 1, found.common.isEmpty {
                reading.report(
                    "by", "filters without a common capture need 'by'", at: mapping.entry("on")?.keyRange ?? mapping.node.headRange,
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
        if rule.every != nil {
            reading.report(
                "event", "an event is a reading: it takes no 'every'", at: mapping.entry("every")?.keyRange ?? mapping.node.headRange,
                notes: mapping.has("every") ? [] : ["it has 'every' from its group"])
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
