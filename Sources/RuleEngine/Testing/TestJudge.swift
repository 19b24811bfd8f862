/// Compares what was with what was expected.
struct TestJudge {
    /// The last state of every instance that has left inactive.
    private var alerts: [String: AlertRecord] = [:]
    private var occurrences: [AlertRecord] = []
    private var published: [(at: Instant, message: PublishRequest)] = []

    mutating func take(_ transition: AlertTransition) {
        let alert = transition.alert
        for case .publish(let request) in alert.pendingActions { published.append((alert.changedAt, request)) }
        if alert.isOccurrence { occurrences.append(alert) } else { alerts[alert.id] = alert }
    }

    /// What is wrong, in several lines; nil when all is as expected.
    func verdict(
        on expectation: TestExpectation, engine: Engine, sent told: [SentNotification], scripts: TestScripts?, actions: TestActions?,
        now: Instant, start: Instant
    ) -> String? {
        let clock = TestClock(start: start)
        switch expectation.kind {
        case .alert(let expected): return verdict(on: expected, engine, now, clock)
        case .notifications(let expected):
            let sent = told + (scripts?.sent ?? [])
            return verdict(on: expected, sent.filter { $0.at == now }, last: sent.last { $0.at < now }, now, clock)
        case .published(let expected):
            let all = published + (scripts?.published ?? []) + (actions?.published ?? [])
            let last = all.filter { $0.at < now }.max { $0.at < $1.at }
            return verdict(on: expected, all.filter { $0.at == now }.map(\.message), last: last, now, clock)
        case .requests(let expected):
            let all = (scripts?.requests ?? []) + (actions?.requests ?? [])
            return verdict(on: expected, all.filter { $0.at == now }.map(\.call), now, clock)
        case .written(let expected): return verdict(on: expected, (scripts?.written ?? []).filter { $0.at == now }, now, clock)
        case .state(let automation, let expected):
            return verdict(onStateOf: automation, expected, scripts?.runtime.state(of: automation), now, clock)
        }
    }

    // MARK: Alerts

    private func verdict(on expected: ExpectedAlert, _ engine: Engine, _ now: Instant, _ clock: TestClock) -> String? {
        let named = (Array(alerts.values) + occurrences.filter { $0.changedAt == now }).filter { alert in
            alert.rule.alert == expected.alert && (expected.group.map { $0 == alert.rule.group } ?? true)
        }
        let candidates = named.filter { expected.labels.isSubset(of: $0.labels) }.sorted { $0.id < $1.id }
        if expected.state == .inactive {
            let active = candidates.filter { Self.isActive($0) }
            if active.isEmpty { return nil }
            return complaint(expected, active, engine, now, clock)
        }
        let matching = candidates.filter { Self.state($0, is: expected.state) && Self.agrees($0, with: expected) }
        if expected.count.map({ $0 == matching.count }) ?? !matching.isEmpty { return nil }
        return complaint(
            expected, candidates.isEmpty ? named.filter(Self.isActive).sorted { $0.id < $1.id } : candidates, engine, now, clock)
    }

    private static func isActive(_ alert: AlertRecord) -> Bool {
        alert.isOccurrence || alert.state != .inactive && alert.state != .resolved
    }

    /// An occurrence is firing at its own instant.
    private static func state(_ alert: AlertRecord, is expected: ExpectedAlert.State) -> Bool {
        if alert.isOccurrence { return expected == .firing || expected == .active }
        return switch expected {
        case .active: isActive(alert)
        case .firing: alert.state == .firing || alert.state == .recovering
        case .inactive: alert.state == .inactive || alert.state == .resolved
        case .pending: alert.state == .pending
        case .recovering: alert.state == .recovering
        case .resolved: alert.state == .resolved
        case .nodata: alert.state == .nodata
        }
    }

    private static func agrees(_ alert: AlertRecord, with expected: ExpectedAlert) -> Bool {
        guard expected.annotations.isSubset(of: alert.annotations), expected.level.map({ $0 == alert.level }) ?? true else { return false }
        return expected.value.map { alert.value.isAlike($0) } ?? true
    }

    private func complaint(_ expected: ExpectedAlert, _ alerts: [AlertRecord], _ engine: Engine, _ now: Instant, _ clock: TestClock)
        -> String
    {
        var text = "expected at \(clock.text(now)): \(describe(expected))\n"
        if alerts.isEmpty {
            text += "but there was:   no active \(expected.alert)\n"
        } else {
            for (place, alert) in alerts.prefix(5).enumerated() {
                text += (place == 0 ? "but there was:   " : "                 ") + describe(alert, expected, clock) + "\n"
            }
            if alerts.count > 5 { text += "                 and \(alerts.count - 5) more\n" }
        }
        let rules = engine.plan.rules.filter { rule in
            rule.rule.identity.alert == expected.alert && (expected.group.map { $0 == rule.rule.identity.group } ?? true)
        }
        let blocks = rules.flatMap { engine.explanations(of: $0, labels: expected.labels, limit: 3) }
        if blocks.isEmpty {
            text += "no reading of such an instance has come by then\n"
        } else {
            text +=
                "evaluation at \(clock.text(now)) (\(now)):\n"
                + blocks.map { $0.split(separator: "\n").map { "  \($0)\n" }.joined() }.joined()
        }
        return text
    }

    private func describe(_ expected: ExpectedAlert) -> String {
        var text = expected.count.map { "\($0) of " } ?? ""
        text += "\(expected.alert)\(LabelText.braces(expected.labels)) \(expected.state.rawValue)"
        if let level = expected.level { text += ", level \(level)" }
        if let value = expected.value { text += ", value \(value.plainText)" }
        for (name, value) in expected.annotations.sorted(by: { $0.key < $1.key }) { text += ", \(name) \(Document.string(value).json)" }
        return text
    }

    private func describe(_ alert: AlertRecord, _ expected: ExpectedAlert, _ clock: TestClock) -> String {
        let labels = alert.labels.filter { $0.key != "alertname" }
        var text = "\(alert.rule.alert)\(LabelText.braces(labels)) \(alert.isOccurrence ? "occurred" : alert.state.rawValue)"
        if alert.state == .pending {
            text += " since \(clock.text(alert.pendingSince.values.min() ?? alert.activeAt))"
        } else {
            text += " since \(clock.text(alert.changedAt))"
        }
        if let level = alert.level { text += ", level \(level)" }
        if alert.value != .null { text += ", value \(alert.value.plainText)" }
        for name in expected.annotations.keys.sorted() {
            text += ", \(name) \(alert.annotations[name].map { Document.string($0).json } ?? "absent")"
        }
        return text
    }

    // MARK: Notifications

    private func verdict(
        on expected: [ExpectedNotification], _ sent: [SentNotification], last: SentNotification?, _ now: Instant, _ clock: TestClock
    ) -> String? {
        let named = Set(expected.map(\.receiver))
        var left = expected.isEmpty ? sent : sent.filter { named.contains($0.receiver) }
        var missing: [ExpectedNotification] = []
        // The most demanding first, so that a vaguer one does not take its notification.
        for expected in expected.sorted(by: { Self.demands($0) > Self.demands($1) }) {
            if let place = left.firstIndex(where: { Self.agrees($0, with: expected) }) {
                left.remove(at: place)
            } else {
                missing.append(expected)
            }
        }
        guard !missing.isEmpty || !left.isEmpty else { return nil }
        let annotations = Set(missing.flatMap { $0.alerts ?? [] }.flatMap(\.annotations.keys))
        var text = ""
        for expected in missing {
            text += "expected at \(clock.text(now)): a notification to '\(expected.receiver)'\(Self.describe(expected))\n"
        }
        for sent in left {
            text +=
                (missing.isEmpty ? "not expected at \(clock.text(now)): " : "but there was:   ")
                + Self.describe(sent, annotations: annotations) + "\n"
        }
        if left.isEmpty { text += "but there was:   \(sent.isEmpty ? "none" : "no further one")\n" }
        if left.isEmpty, let last {
            text += "the last before: at \(clock.text(last.at)) \(Self.describe(last, annotations: annotations))\n"
        }
        return text
    }

    private static func demands(_ expected: ExpectedNotification) -> Int {
        (expected.status == nil ? 0 : 1) + (expected.alerts.map { 1 + $0.count } ?? 0)
    }

    private static func agrees(_ sent: SentNotification, with expected: ExpectedNotification) -> Bool {
        guard sent.receiver == expected.receiver, expected.status.map({ $0 == sent.document["status"]?.string }) ?? true else {
            return false
        }
        guard let wanted = expected.alerts else { return true }
        var alerts = sent.document["alerts"]?.array ?? []
        guard alerts.count == wanted.count else { return false }
        for one in wanted.sorted(by: { $0.labels.count + $0.annotations.count > $1.labels.count + $1.annotations.count }) {
            guard
                let place = alerts.firstIndex(where: { alert in
                    one.labels.isSubset(of: alert["labels"]?.strings ?? [:])
                        && one.annotations.isSubset(of: alert["annotations"]?.strings ?? [:])
                        && (one.status.map { $0 == alert["status"]?.string } ?? true)
                })
            else { return false }
            alerts.remove(at: place)
        }
        return true
    }

    private static func describe(_ expected: ExpectedNotification) -> String {
        var text = expected.status.map { ", \($0)" } ?? ""
        if let alerts = expected.alerts {
            text +=
                ", with "
                + (alerts.isEmpty
                    ? "no alert"
                    : alerts.map { Self.describe($0.labels, status: $0.status, $0.annotations) }.joined(separator: " and "))
        }
        return text
    }

    /// `annotations`: the names of those that are asked for.
    private static func describe(_ sent: SentNotification, annotations: Set<String>) -> String {
        let alerts = (sent.document["alerts"]?.array ?? []).map {
            describe(
                $0["labels"]?.strings ?? [:], status: $0["status"]?.string,
                ($0["annotations"]?.strings ?? [:]).filter { annotations.contains($0.key) })
        }
        return "'\(sent.receiver)', \(sent.document["status"]?.string ?? ""), with \(alerts.joined(separator: " and "))"
    }

    private static func describe(_ labels: [String: String], status: String?, _ annotations: [String: String]) -> String {
        var parts = labels.isEmpty && !annotations.isEmpty ? [] : [LabelText.braces(labels)]
        if let status { parts.append(status) }
        parts += annotations.sorted { $0.key < $1.key }.map { "\($0.key) \(Document.string($0.value).json)" }
        return parts.joined(separator: " ")
    }

    // MARK: Messages

    private func verdict(
        on expected: [ExpectedMessage], _ published: [PublishRequest], last: (at: Instant, message: PublishRequest)?, _ now: Instant,
        _ clock: TestClock
    ) -> String? {
        let named = Set(expected.map(\.topic))
        var left = expected.isEmpty ? published : published.filter { named.contains($0.topic) }
        var missing: [ExpectedMessage] = []
        for expected in expected.sorted(by: { ($0.payload == nil ? 0 : 1) > ($1.payload == nil ? 0 : 1) }) {
            if let place = left.firstIndex(where: { Self.agrees($0, with: expected) }) {
                left.remove(at: place)
            } else {
                missing.append(expected)
            }
        }
        guard !missing.isEmpty || !left.isEmpty else { return nil }
        func describe(_ message: PublishRequest) -> String {
            "'\(message.topic)' ← \(message.payload), qos \(message.qos)\(message.retain ? ", retained" : "")"
        }
        var text = ""
        for message in missing {
            text += "expected at \(clock.text(now)): '\(message.topic)'\(message.payload.map { " ← \($0)" } ?? "")"
            text += "\(message.qos.map { ", qos \($0)" } ?? "")\(message.retain.map { $0 ? ", retained" : ", not retained" } ?? "")\n"
        }
        for message in left {
            text += (missing.isEmpty ? "not expected at \(clock.text(now)): " : "but there was:   ") + describe(message) + "\n"
        }
        if left.isEmpty { text += "but there was:   \(published.isEmpty ? "none" : published.map(describe).joined(separator: " and "))\n" }
        if left.isEmpty, let last { text += "the last before: at \(clock.text(last.at)) \(describe(last.message))\n" }
        return text
    }

    private static func agrees(_ message: PublishRequest, with expected: ExpectedMessage) -> Bool {
        guard message.topic == expected.topic, expected.qos.map({ $0 == Int(message.qos) }) ?? true,
            expected.retain.map({ $0 == message.retain }) ?? true
        else { return false }
        guard let payload = expected.payload, payload != message.payload else { return true }
        guard let wanted = try? Document(json: payload), let found = try? Document(json: message.payload) else { return false }
        return found.isAlike(wanted)
    }
}

/// Instants as a test names them.
struct TestClock {
    let start: Instant
    func text(_ instant: Instant) -> String {
        let passed = instant - start
        return passed < 0 ? "-\(Duration.nanoseconds(passed == .min ? .max : -passed).ruleText)" : Duration.nanoseconds(passed).ruleText
    }
}

extension [String: String] {
    /// Whether the other one has all of these, byte by byte.
    func isSubset(of other: [String: String]) -> Bool {
        allSatisfy { name, value in other[name].map { $0.utf8.elementsEqual(value.utf8) } ?? false }
    }
}

extension Document {
    /// Equal, numbers to nine digits and whatever their kind, members in any order.
    func isAlike(_ other: Document) -> Bool {
        if let a = number, let b = other.number {
            return a == b || a.isNaN && b.isNaN || abs(a - b) <= 1e-9 * max(abs(a), abs(b))
        }
        switch (self, other) {
        case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { $0.isAlike($1) }
        case (.object(let a), .object(let b)):
            return a.count == b.count && a.allSatisfy { member in other[member.name].map { member.value.isAlike($0) } ?? false }
        default: return self == other
        }
    }
}
