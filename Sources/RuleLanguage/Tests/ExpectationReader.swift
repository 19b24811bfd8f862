import RuleEngine

/// An entry of `expect`.
struct ExpectationReader {
    let reading: FileReading

    private static let alertKeys = ["alert", "group", "state", "labels", "annotations", "level", "value", "count"]
    private static let subjects = ["notifications", "published", "requests", "written", "automation"]
    private static let keys = (["at"] + alertKeys + subjects).map { KnownKey($0) }
    private static let requestKeys = ["method", "url", "headers", "body"].map { KnownKey($0) }
    private static let notificationKeys = ["receiver", "status", "alerts"].map { KnownKey($0) }
    private static let messageKeys = ["topic", "payload", "qos", "retain"].map { KnownKey($0) }
    private static let statuses = [("firing", "firing"), ("resolved", "resolved")]

    func read(_ node: YAMLNode) -> [TestExpectation] {
        guard let mapping = MappingReader(node, subject: "an expectation", keys: Self.keys, in: reading) else { return [] }
        let at = mapping.required("at").flatMap { reading.duration($0, "at") }
        let location = reading.file.location(of: node.headRange)
        var kinds: [TestExpectation.Kind] = []
        func add<Item>(_ key: String, _ kind: ([Item]) -> TestExpectation.Kind, _ item: (YAMLNode) -> Item?) {
            guard let node = mapping[key] else { return }
            kinds.append(kind((reading.list(node, key) ?? []).compactMap(item)))
        }
        if let expected = alert(mapping) { kinds.append(.alert(expected)) }
        if let state = state(mapping) { kinds.append(state) }
        add("notifications", TestExpectation.Kind.notifications, notification)
        add("published", TestExpectation.Kind.published, message)
        add("requests", TestExpectation.Kind.requests, request)
        add("written", TestExpectation.Kind.written, point)
        checkSubjects(mapping)
        guard let at = at?.inNanoseconds else { return [] }
        return kinds.map { TestExpectation(at: at, location: location, $0) }
    }

    private func checkSubjects(_ mapping: MappingReader) {
        if let automation = mapping.entry("automation"), mapping.has("alert") {
            return reading.report(
                "conflicting-keys", "'state' is of an alert or of an automation: 'alert' and 'automation' need an expectation each",
                at: automation.keyRange)
        }
        if mapping.has("alert") { return }
        let ofAlerts = mapping.has("automation") ? Self.alertKeys.filter { $0 != "state" } : Self.alertKeys
        if let stray = ofAlerts.compactMap({ mapping.entry($0) }).first {
            reading.report("missing-key", "'\(stray.key)' is said of an alert: 'alert' must name it", at: stray.keyRange)
        } else if !Self.subjects.contains(where: { mapping.has($0) }) {
            mapping.missing("an expectation needs 'alert', 'notifications', 'published', 'requests', 'written' or 'automation'")
        }
    }

    /// `{automation: NAME, state: {…}}`.
    private func state(_ mapping: MappingReader) -> TestExpectation.Kind? {
        guard !mapping.has("alert"), let node = mapping["automation"], let name = reading.name(node, "automation"),
            let state = mapping.required("state")
        else { return nil }
        guard case .mapping = state.content else {
            reading.wrongType(state, "'state' of an automation must be a mapping of members")
            return nil
        }
        return .state(automation: name, reading.document(state))
    }

    private func request(_ node: YAMLNode) -> ExpectedRequest? {
        guard let mapping = MappingReader(node, subject: "an expected request", keys: Self.requestKeys, in: reading),
            let url = mapping.required("url").flatMap({ reading.name($0, "url") })
        else { return nil }
        return ExpectedRequest(
            method: mapping["method"].flatMap { reading.choice($0, "method", TestRepliesReader.methods) }, url: url,
            headers: mapping["headers"].map { reading.texts($0, "headers") } ?? [:], body: mapping["body"].map { payload($0) })
    }

    private func point(_ node: YAMLNode) -> ExpectedPoint? {
        guard
            let mapping = MappingReader(
                node, subject: "an expected point", keys: ["measurement", "tags", "fields"].map { KnownKey($0) }, in: reading),
            let measurement = mapping.required("measurement").flatMap({ reading.name($0, "measurement") })
        else { return nil }
        return ExpectedPoint(
            measurement: measurement, tags: mapping["tags"].map { reading.texts($0, "tags") } ?? [:],
            fields: mapping["fields"].map { reading.document($0) } ?? .emptyObject)
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
