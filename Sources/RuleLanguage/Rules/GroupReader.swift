import RuleEngine

/// One entry of `groups`.
struct GroupReader {
    let reading: FileReading
    let origin: RuleOrigin

    private static let keys =
        ["name", "on", "labels", "let", "every", "missing", "mode", "enabled", "rules"].map { KnownKey($0) } + [
            KnownKey("interval", refused: "rules are evaluated at each reading: there is no 'interval', but 'every'"),
            .notSupported("query_offset"), .notSupported("limit"), .notSupported("partial_response_strategy"),
            .notSupported("source_tenants"),
        ]

    /// What is wrong with the group and its rules is reported, and the rest of them returned: see `RuleReader.read`. `expectedName`: of a group made through the API, the name it is made under.
    func read(_ node: YAMLNode, expectedName: String? = nil) -> RuleGroup? {
        guard let mapping = MappingReader(node, subject: "a group", keys: Self.keys, in: reading) else { return nil }
        let name = name(mapping, expectedName)
        let defaults = defaults(mapping)
        let rules = rules(mapping, group: name ?? "", defaults: defaults)
        return RuleGroup(
            name: name ?? "", origin: origin, location: reading.file.location(of: mapping.entry("name")?.keyRange ?? node.headRange),
            rules: rules,
            yaml: reading.yaml(node.range))
    }

    private func name(_ mapping: MappingReader, _ expected: String?) -> String? {
        guard let node = mapping["name"] else {
            if expected == nil { _ = mapping.required("name") }
            return expected
        }
        guard let name = reading.name(node, "name") else { return nil }
        if let expected, !name.utf8.elementsEqual(expected.utf8) {
            reading.report("group-name", "the group's name must be '\(expected)', under which it is kept", at: node.range)
            return nil
        }
        if name.utf8.starts(with: ScriptAlert.groupPrefix.utf8) {
            reading.report(
                "reserved-name", "a group's name cannot begin with '\(ScriptAlert.groupPrefix)': alerts of automations are in such groups",
                at: node.range)
            return nil
        }
        return name
    }

    private func defaults(_ mapping: MappingReader) -> GroupDefaults {
        var defaults = GroupDefaults()
        if let node = mapping["on"] {
            defaults.subscriptions = .some(SubscriptionReader(reading: reading).read(node))
            defaults.topics = node
        }
        if let node = mapping["labels"] { defaults.labels = reading.namedTemplates(node, "labels") }
        if let node = mapping["let"] { defaults.lets = reading.lets(node, captures: defaults.subscriptions??.captures ?? []) }
        if let node = mapping["every"] { defaults.every = reading.every(node) }
        if let node = mapping["missing"] { defaults.missing = reading.missingPolicy(node) }
        if let node = mapping["mode"] { defaults.mode = reading.mode(node) ?? .live }
        if let node = mapping["enabled"] { defaults.isEnabled = reading.bool(node, "enabled") ?? true }
        return defaults
    }

    private func rules(_ mapping: MappingReader, group: String, defaults: GroupDefaults) -> [Rule] {
        guard let list = mapping.required("rules").flatMap({ reading.list($0, "rules") }) else { return [] }
        if list.isEmpty {
            reading.report("empty-group", "a group needs rules", at: mapping.entry("rules")?.keyRange ?? mapping.node.headRange)
        }
        let reader = RuleReader(reading: reading, group: group, defaults: defaults)
        var alerts: [String: Range<Int>] = [:]
        return list.compactMap { node in
            checkName(node, &alerts)
            return reader.read(node)
        }
    }

    /// Alert names are unique in their group, also those of rules that are wrong in other ways.
    private func checkName(_ node: YAMLNode, _ alerts: inout [String: Range<Int>]) {
        guard case .mapping(let entries) = node.content, let alert = entries.first(where: { $0.key == "alert" }),
            case .scalar(let name, _) = alert.value.content, !name.isEmpty
        else { return }
        if let first = alerts[name] {
            reading.report(
                "duplicate-alert", "alert names must be unique in their group: '\(name)'", at: alert.value.range,
                notes: ["the first one stands at \(reading.place(first))"])
            return
        }
        alerts[name] = alert.value.range
    }
}
