import RuleEngine

/// An entry of `expect`.
struct ExpectationReader {
    let reading: FileReading

    private static let alertKeys = ["alert", "group", "state", "labels", "annotations", "level", "value", "count"]
    private static let keys = (["at"] + alertKeys + ["notifications", "published"]).map { KnownKey($0) }
    private static let notificationKeys = ["receiver", "status", "alerts"].map { KnownKey($0) }
    private static let messageKeys = ["topic", "payload", "qos", "retain"].map { KnownKey($0) }
    private static let statuses = [("firing", "firing"), ("resolved", "resolved")]

    func read(_ node: YAMLNode) -> [TestExpectation] {
        guard let mapping = MappingReader(node, subject: "an expectation", keys: Self.keys, in: reading) else { return [] }
        let at = mapping.required("at").flatMap { reading.duration($0, "at") }
        let location = reading.file.location(of: node.headRange)
        var kinds: [TestExpectation.Kind] = []
        if let expected = alert(mapping) { kinds.append(.alert(expected)) }
        if let node = mapping["notifications"] {
            kinds.append(.notifications((reading.list(node, "notifications") ?? []).compactMap { notification($0) }))
        }
        if let node = mapping["published"] { kinds.append(.published((reading.list(node, "published") ?? []).compactMap { message($0) })) }
        if !mapping.has("alert") {
            if let stray = Self.alertKeys.compactMap({ mapping.entry($0) }).first {
                reading.report("missing-key", "'\(stray.key)' is said of an alert: 'alert' must name it", at: stray.keyRange)
            } else if !mapping.has("notifications"), !mapping.has("published") {
                mapping.missing("an expectation needs 'alert', 'notifications' or 'published'")
            }
        }
        guard let at = at?.inNanoseconds else { return [] }
        return kinds.map { TestExpectation(at: at, location: location, $0) }
    }

    private func alert(_ mapping: MappingReader) -> ExpectedAlert? {
        guard let node = mapping["alert"], let name = reading.name(node, "alert") else { return nil }
        var expected = ExpectedAlert(name, at: reading.file.location(of: node.range))
        expected.group = mapping["group"].flatMap { reading.name($0, "group") }
        expected.state =
            mapping["state"].flatMap { reading.choice($0, "state", ExpectedAlert.State.allCases.map { ($0.rawValue, $0) }) } ?? .active
        expected.labels = mapping["labels"].map { reading.texts($0, "labels") } ?? [:]
        expected.annotations = mapping["annotations"].map { reading.texts($0, "annotations") } ?? [:]
        expected.level = mapping["level"].flatMap { reading.name($0, "level") }
        expected.value = mapping["value"].map { reading.document($0) }
        expected.count = mapping["count"].flatMap { reading.integer($0, "count", in: 0...1_000_000_000) }
        if expected.state == .inactive, let stray = ["annotations", "level", "value", "count"].compactMap({ mapping.entry($0) }).first {
            reading.report(
                "not-of-inactive", "'state: inactive' says that no such instance is active: there is no '\(stray.key)' to compare",
                at: stray.keyRange)
        }
        return expected
    }

    private func notification(_ node: YAMLNode) -> ExpectedNotification? {
        guard let mapping = MappingReader(node, subject: "an expected notification", keys: Self.notificationKeys, in: reading),
            let receiverNode = mapping.required("receiver"), let receiver = reading.name(receiverNode, "receiver")
        else { return nil }
        return ExpectedNotification(
            receiver: receiver, at: reading.file.location(of: receiverNode.range),
            status: mapping["status"].flatMap { reading.choice($0, "status", Self.statuses) },
            alerts: mapping["alerts"].flatMap { reading.list($0, "alerts") }.map { $0.compactMap { notifiedAlert($0) } })
    }

    /// `{alert:, status:, labels:, annotations:}`.
    private func notifiedAlert(_ node: YAMLNode) -> ExpectedNotification.Alert? {
        guard
            let mapping = MappingReader(
                node, subject: "an alert of a notification", keys: ["alert", "status", "labels", "annotations"].map { KnownKey($0) },
                in: reading)
        else { return nil }
        var labels = mapping["labels"].map { reading.texts($0, "labels") } ?? [:]
        if let name = mapping["alert"].flatMap({ reading.name($0, "alert") }) { labels["alertname"] = name }
        return ExpectedNotification.Alert(
            status: mapping["status"].flatMap { reading.choice($0, "status", Self.statuses) }, labels: labels,
            annotations: mapping["annotations"].map { reading.texts($0, "annotations") } ?? [:])
    }

    private func message(_ node: YAMLNode) -> ExpectedMessage? {
        guard let mapping = MappingReader(node, subject: "an expected message", keys: Self.messageKeys, in: reading),
            let topic = mapping.required("topic").flatMap({ reading.name($0, "topic") })
        else { return nil }
        return ExpectedMessage(
            topic: topic, payload: mapping["payload"].map { payload($0) },
            qos: mapping["qos"].flatMap { reading.integer($0, "qos", in: 0...2) },
            retain: mapping["retain"].flatMap { reading.bool($0, "retain") })
    }

    private func payload(_ node: YAMLNode) -> String {
        if case .scalar(let text, _) = node.content { return text }
        return reading.document(node).json
    }
}
