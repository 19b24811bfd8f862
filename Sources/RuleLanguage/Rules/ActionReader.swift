import RuleEngine

/// `actions`: what is published and called when an alert fires and when it resolves.
struct ActionReader {
    let reading: FileReading

    private static let keys = ["firing", "resolved"].map { KnownKey($0) }
    private static let kinds = ["publish", "script", "plugin"]
    private static let actionKeys = (kinds + ["arguments"]).map { KnownKey($0) }
    private static let publishKeys = ["topic", "payload", "qos", "retain"].map { KnownKey($0) }

    func read(_ node: YAMLNode) -> (firing: [RuleAction], resolved: [RuleAction]) {
        guard let mapping = MappingReader(node, subject: "'actions'", keys: Self.keys, in: reading) else { return ([], []) }
        func actions(_ key: String) -> [RuleAction] {
            guard let list = mapping[key].flatMap({ reading.list($0, key) }) else { return [] }
            return list.compactMap { action($0) }
        }
        return (actions("firing"), actions("resolved"))
    }

    private func action(_ node: YAMLNode) -> RuleAction? {
        guard let mapping = MappingReader(node, subject: "an action", keys: Self.actionKeys, in: reading) else { return nil }
        let kinds = mapping.entries.filter { Self.kinds.contains($0.key) }
        guard let kind = kinds.first else {
            if mapping.entries.allSatisfy({ $0.key == "arguments" }) {
                mapping.missing("an action needs 'publish', 'script' or 'plugin'")
            }
            return nil
        }
        if kinds.count > 1 {
            reading.report(
                "conflicting-keys", "an action is one of 'publish', 'script' and 'plugin': the next one is an entry of its own",
                at: kinds[1].keyRange)
            return nil
        }
        switch kind.key {
        case "script": return script(kind.value, mapping["arguments"]).map { .call($0) }
        case "plugin": return plugin(kind.value, mapping).map { .call($0) }
        default:
            if let arguments = mapping.entry("arguments") {
                reading.report("conflicting-keys", "'arguments' are for 'script' and 'plugin'", at: arguments.keyRange)
            }
            return publish(kind.value).map { .publish($0) }
        }
    }

    // MARK: Messages

    private func publish(_ node: YAMLNode) -> PublishAction? {
        guard let options = MappingReader(node, subject: "'publish'", keys: Self.publishKeys, in: reading) else { return nil }
        let topic = options.required("topic").flatMap { self.topic($0) }
        let payload = options.required("payload").flatMap { reading.template($0, "payload") }
        let qos = options["qos"].map { reading.integer($0, "qos", in: 0...2) } ?? 0
        let retain = options["retain"].map { reading.bool($0, "retain") } ?? false
        // What is nil has been reported; the texts are looked at all the same.
        guard let any = topic ?? payload else { return nil }
        return PublishAction(topic: topic ?? any, payload: payload ?? any, qos: UInt8(qos ?? 0), retain: retain ?? false)
    }

    private func topic(_ node: YAMLNode) -> Template? {
        guard reading.name(node, "topic") != nil, let template = reading.template(node, "topic") else { return nil }
        for case .literal(let text) in template.parts
        where text.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
            // MQTT 5 §4.7.1: wildcards stand in filters, never in the topic of a message.
            reading.report("topic-filter", "a topic to publish to cannot hold '+' or '#'", at: node.range)
            return nil
        }
        return template
    }

    // MARK: Functions of automations

    /// Whether there is such a function is known where automations are (`RuleCatalog.unknownScripts`).
    private func script(_ node: YAMLNode, _ arguments: YAMLNode?) -> CallAction? {
        guard let name = reading.name(node, "script") else { return nil }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else {
            reading.report("wrong-type", "'script' must be an automation's name, '.' and the name of one of its actions", at: node.range)
            return nil
        }
        var call = CallAction(
            .script(automation: String(parts[0]), function: String(parts[1])), at: reading.file.location(of: node.range))
        reading.findings.scriptCalls.append(call)
        guard let members = arguments.map({ members($0) }) ?? [] else { return nil }
        call.arguments = members
        return call
    }

    private func members(_ node: YAMLNode) -> [NamedArgument]? {
        guard let entries = reading.entries(node, "arguments") else { return nil }
        let members = entries.compactMap { entry in argument(entry.value, entry.key).map { NamedArgument(entry.key, $0) } }
        return members.count == entries.count ? members : nil
    }

    private func argument(_ node: YAMLNode, _ key: String) -> ArgumentTemplate? {
        switch node.content {
        case .mapping: return members(node).map { .object($0) }
        case .sequence(let items):
            let values = items.compactMap { argument($0, key) }
            return values.count == items.count ? .list(values) : nil
        case .scalar(let text, _): return text.contains("{{") ? filledIn(node, key) : .constant(reading.document(node))
        }
    }

    private func filledIn(_ node: YAMLNode, _ key: String) -> ArgumentTemplate? {
        guard let template = reading.template(node, key) else { return nil }
        if template.parts.count == 1, case .expression(let expression) = template.parts[0] { return .value(expression) }
        return .text(template)
    }

    // MARK: Actions of plugins

    private func plugin(_ node: YAMLNode, _ mapping: MappingReader) -> CallAction? {
        guard let name = reading.name(node, "plugin") else { return nil }
        guard let found = reading.plugins.find(.action, name) else {
            let known = reading.plugins.names(.action)
            reading.report(
                "unknown-action", "no plugin provides the action '\(name)'", at: node.range,
                notes: [known.isEmpty ? "there are none" : "there are: \(known.joined(separator: ", "))"],
                hint: nearestName(to: name, in: known).map { "did you mean '\($0)'?" })
            return nil
        }
        guard let arguments = arguments(of: found.provision, name, mapping) else { return nil }
        return CallAction(.plugin(name), at: reading.file.location(of: node.range), arguments: arguments)
    }

    /// Checked against what the manifest says; what is filled in at the transition is not.
    private func arguments(of provision: PluginManifest.Provision, _ name: String, _ mapping: MappingReader) -> [NamedArgument]? {
        let schema = provision.arguments
        guard let node = mapping["arguments"] else {
            for setting in schema where setting.isRequired { mapping.missing("the action '\(name)' needs the argument '\(setting.name)'") }
            return schema.contains(where: \.isRequired) ? nil : defaults(schema)
        }
        let errors = reading.findings.errorCount
        let keys = schema.map { KnownKey($0.name) }
        guard let given = MappingReader(node, subject: "the arguments of '\(name)'", keys: keys, in: reading) else { return nil }
        for setting in schema where setting.isRequired && !given.has(setting.name) {
            given.missing("the action '\(name)' needs the argument '\(setting.name)'")
        }
        let said = schema.compactMap { setting in
            given[setting.name].flatMap { argument($0, setting) }.map { NamedArgument(setting.name, $0) }
        }
        guard reading.findings.errorCount == errors else { return nil }
        return said + defaults(schema.filter { !given.has($0.name) })
    }

    private func argument(_ node: YAMLNode, _ setting: PluginSetting) -> ArgumentTemplate? {
        if case .scalar(let text, _) = node.content, text.contains("{{") { return filledIn(node, setting.name) }
        switch setting.kind {
        case .any, .list, .secret, .template: return argument(node, setting.name)
        default:
            guard case .document(let value) = PluginValuesReader(reading: reading).value(node, setting) else { return nil }
            return .constant(value)
        }
    }

    private func defaults(_ schema: [PluginSetting]) -> [NamedArgument] {
        schema.compactMap { setting in
            guard case .document(let value) = setting.defaultValue else { return nil }
            return NamedArgument(setting.name, .constant(value))
        }
    }
}
