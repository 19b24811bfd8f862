import RuleEngine

/// `actions`: what is published when an alert fires and when it resolves.
struct ActionReader {
    let reading: FileReading

    private static let keys = ["firing", "resolved"].map { KnownKey($0) }
    private static let kinds = [
        KnownKey("publish"), KnownKey("script", refused: "'script' is not supported by this version: there are no automations yet"),
        KnownKey("plugin", refused: "'plugin' is not supported by this version: rules cannot name an action of a plugin yet"),
    ]
    private static let publishKeys = ["topic", "payload", "qos", "retain"].map { KnownKey($0) }

    func read(_ node: YAMLNode) -> (firing: [PublishAction], resolved: [PublishAction]) {
        guard let mapping = MappingReader(node, subject: "'actions'", keys: Self.keys, in: reading) else { return ([], []) }
        func actions(_ key: String) -> [PublishAction] {
            guard let list = mapping[key].flatMap({ reading.list($0, key) }) else { return [] }
            return list.compactMap { action($0) }
        }
        return (actions("firing"), actions("resolved"))
    }

    private func action(_ node: YAMLNode) -> PublishAction? {
        guard let mapping = MappingReader(node, subject: "an action", keys: Self.kinds, in: reading) else { return nil }
        guard let publish = mapping["publish"] else {
            if mapping.entries.isEmpty { mapping.missing("an action needs 'publish'") }
            return nil
        }
        guard let options = MappingReader(publish, subject: "'publish'", keys: Self.publishKeys, in: reading) else { return nil }
        let topic = options.required("topic").flatMap { self.topic($0) }
        let payload = options.required("payload").flatMap { reading.template($0, "payload") }
        let qos = options["qos"].map { reading.integer($0, "qos", in: 0...2) } ?? 0
        let retain = options["retain"].map { reading.bool($0, "retain") } ?? false
        guard let topic, let payload, let qos, let retain else { return nil }
        return PublishAction(topic: topic, payload: payload, qos: UInt8(qos), retain: retain)
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
}
