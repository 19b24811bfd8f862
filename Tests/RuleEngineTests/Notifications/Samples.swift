import RuleEngine

/// Patterns of literal alternatives (`a|b`) are all that these tests need; a bracket makes a pattern wrong.
struct Alternatives: RegexMatching {
    let texts: [String]
    func matchesWhole(_ text: String) -> Bool { texts.contains(text) }

    static let compile: RegexCompiler = { pattern in
        guard !pattern.contains("(") else { return nil }
        return Alternatives(texts: pattern.split(separator: "|", omittingEmptySubsequences: false).map(String.init))
    }
}

func seconds(_ count: Double) -> Instant { Instant(nanoseconds: 1_700_000_000_000_000_000 + Int64(count * 1e9)) }

/// One alert instance whose episodes and transitions count as the engine counts them.
struct SampleAlert {
    var record: AlertRecord
    private var from = AlertState.inactive

    init(_ name: String, device: String = "f1", labels: [String: String] = [:], at instant: Instant = seconds(0)) {
        let rule = RuleIdentity(group: "cold", alert: name)
        var own = labels
        own["device"] = device
        record = AlertRecord(
            id: alertInstanceID(rule: rule, key: [device]), rule: rule, key: [device], activeAt: instant, ordinal: 0, transition: 0,
            labels: own,
            annotations: ["summary": "\(device) is warm"], state: .inactive, value: -9.5, changedAt: instant, reason: .condition,
            device: device)
    }

    /// Levels, mildest first.
    static let levels = ["warning", "critical"]

    mutating func become(_ state: AlertState, level: String? = nil, at instant: Instant) -> AlertTransition {
        from = record.state
        if from == .inactive || from == .resolved {
            record.activeAt = instant
            record.ordinal += 1
            record.transition = 0
            record.firedAt = nil
            record.resolvedAt = nil
        }
        record.transition += 1
        record.state = state
        record.level = level
        record.levelPlace = level.flatMap(Self.levels.firstIndex)
        record.changedAt = instant
        if state == .firing, record.firedAt == nil { record.firedAt = instant }
        if state == .resolved { record.resolvedAt = instant }
        return AlertTransition(from: from, alert: record)
    }

    mutating func occur(at instant: Instant) -> AlertTransition {
        record.activeAt = instant
        record.ordinal += 1
        record.transition = 1
        record.reason = .occurrence
        record.changedAt = instant
        record.firedAt = instant
        record.resolvedAt = instant
        record.state = .resolved
        record.isOccurrence = true
        return AlertTransition(from: .inactive, alert: record)
    }
}

/// What a receiver reads out of a document: `firing TooWarm f1`, one an alert, sorted.
func words(_ document: Document) -> [String] {
    (document["alerts"]?.array ?? []).map { alert in
        let labels = alert["labels"]?.strings ?? [:]
        let severity = labels["severity"].map { " " + $0 } ?? ""
        return "\(alert["status"]?.string ?? "?") \(labels["alertname"] ?? "?") \(labels["device"] ?? "?")\(severity)"
    }.sorted()
}

func hookTree(
    groupBy: GroupBy = .all, wait: Duration = .zero, interval: Duration = .seconds(300), repeats: Duration = .seconds(14_400),
    sendResolved: Bool = true, channels: Int = 1
) throws -> RouteTree {
    let hook = ChannelConfiguration.webhook(WebhookConfiguration(url: .text("http://127.0.0.1/"), sendResolved: sendResolved))
    return try RouteTree(
        NotificationConfiguration(
            route: Route(receiver: "hook", groupBy: groupBy, groupWait: wait, groupInterval: interval, repeatInterval: repeats),
            receivers: [Receiver(name: "hook", channels: Array(repeating: hook, count: channels))]),
        compile: Alternatives.compile)
}

/// A pipeline with a store and a scheduler that do at once what they are asked.
struct Bench {
    var pipeline: NotificationPipeline
    var records: [String: NotificationGroupRecord] = [:]
    var alerts: [String: AlertRecord] = [:]
    var silences: [String: Document] = [:]
    var acknowledgements: [String: Document] = [:]
    var queue: [String: ScheduledMessage] = [:]
    /// What the receiver got, in order.
    var delivered: [(id: String, document: Document)] = []

    init(_ tree: RouteTree, settings: PipelineSettings = PipelineSettings()) {
        pipeline = NotificationPipeline(routes: tree, settings: settings)
    }

    var heard: [[String]] { delivered.map { words($0.document) } }

    mutating func run(_ effects: [PipelineEffect]) {
        for effect in effects {
            switch effect {
            case .store(let id, let record): records[id] = record
            case .silence(let id, let silence): silences[id] = silence?.document
            case .acknowledgement(let alert, let acknowledgement): acknowledgements[alert] = acknowledgement?.document
            case .schedule(let message): queue[message.id] = message
            }
        }
    }

    mutating func take(_ transition: AlertTransition, at now: Instant) {
        alerts[transition.alert.id] = transition.alert
        run(pipeline.take(transition, at: now))
    }

    /// Everything that is due up to an instant, each at its own time; `answer` says what comes of an attempt.
    mutating func advance(to end: Instant, answer: (Notification) -> AttemptResult = { _ in AttemptResult(.delivered) }) {
        while let next = queue.values.filter({ $0.dueAt <= end }).min(by: { ($0.dueAt, $0.id) < ($1.dueAt, $1.id) }) {
            queue[next.id] = nil
            let now = next.dueAt
            switch next.kind {
            case .wake(let key): run(pipeline.wake(groupKey: key, at: now))
            case .delivery: deliver(next, at: now, answer: answer)
            }
        }
    }

    mutating func deliver(_ message: ScheduledMessage, at now: Instant, answer: (Notification) -> AttemptResult) {
        let begun = pipeline.beginDelivery(message, at: now)
        run(begun.effects)
        guard case .attempt(_, let notification) = begun.decision else { return }
        let result = answer(notification)
        if result.result == .delivered { delivered.append((notification.id, notification.document)) }
        let ended = pipeline.deliveryEnded(message, result, at: now)
        run(ended.effects)
        if case .retry(let wait) = ended.outcome {
            var again = message
            again.attempt += 1
            again.dueAt = now + wait.inNanoseconds
            queue[again.id] = again
        }
    }

    /// A new process on the same store and scheduler.
    mutating func restart(_ tree: RouteTree, at now: Instant) {
        pipeline = NotificationPipeline(routes: tree, settings: pipeline.settings)
        run(
            pipeline.restore(
                groups: Array(records.values), alerts: Array(alerts.values),
                silences: silences.compactMap { Silence(id: $0.key, document: $0.value) },
                acknowledgements: acknowledgements.compactMap { Acknowledgement(alert: $0.key, document: $0.value) }, at: now))
    }
}

let unreachable: @Sendable (Notification) -> AttemptResult = { _ in AttemptResult(.failed(reason: "connection refused", retryAfter: nil)) }
let unanswered: @Sendable (Notification) -> AttemptResult = { _ in
    AttemptResult(.failed(reason: "timeout", retryAfter: nil), mayHaveArrived: true)
}
