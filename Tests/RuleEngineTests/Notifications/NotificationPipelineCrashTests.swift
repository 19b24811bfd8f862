import RuleEngine
import Testing

/// SplitMix64: the same numbers for the same seed everywhere.
private struct Chance: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func one(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}

/// Alerts, a store, a scheduler and a receiver around a pipeline that is killed between any two steps: a commit may keep only the first of its
/// writes, a schedule only the first of its messages, an attempt may have reached the receiver or not.
private struct World {
    let tree: RouteTree
    var chance: Chance
    var pipeline: NotificationPipeline
    var now = seconds(0)
    var alerts: [SampleAlert]
    var occurrences: [SampleAlert]
    var last: [AlertTransition] = []
    var storedAlerts: [String: AlertRecord] = [:]
    var storedGroups: [String: Document] = [:]
    var queue: [String: ScheduledMessage] = [:]
    var bodies: [String: [UInt8]] = [:]
    /// What reached each receiver, in order.
    var heard: [(id: String, receiver: String, document: Document)] = []
    /// (receiver, fingerprint) that an attempt with an unknown outcome was about: they may be told of an end.
    var doubtful: Set<String> = []
    var occurred: Set<String> = []
    var crashes = 0
    var isCalm = false

    var silences: [String: Document] = [:]
    var acknowledgements: [String: Document] = [:]
    /// Silences and acknowledgements come and go.
    let isHushed: Bool

    init(tree: RouteTree, levels: Bool, isHushed: Bool, seed: UInt64) {
        self.isHushed = isHushed
        self.tree = tree
        chance = Chance(state: seed)
        pipeline = NotificationPipeline(routes: tree, settings: PipelineSettings(groupLimit: 3, occurrenceLimit: 2))
        alerts = (0..<5).map { SampleAlert("A", device: "d\($0)", labels: ["site": "s\($0 % 2)"]) }
        occurrences = [SampleAlert("E", device: "e0", labels: ["site": "s0"])]
        hasLevels = levels
    }
    let hasLevels: Bool

    /// Whether the process dies here; it is started again at once.
    mutating func dies() -> Bool {
        guard !isCalm, chance.one(in: 12) else { return false }
        restart()
        return true
    }

    mutating func restart() {
        crashes += 1
        pipeline = NotificationPipeline(routes: tree, settings: pipeline.settings)
        let records = storedGroups.compactMap { NotificationGroupRecord(id: $0.key, document: $0.value) }
        #expect(records.count == storedGroups.count)
        for record in records { if let intent = record.intent { doubt(intent.body) } }
        now = now + 1_000_000
        let effects = pipeline.restore(
            groups: records, alerts: Array(storedAlerts.values), silences: silences.compactMap { Silence(id: $0.key, document: $0.value) },
            acknowledgements: acknowledgements.compactMap { Acknowledgement(alert: $0.key, document: $0.value) }, at: now)
        checkBalance()
        carryOut(effects)
    }

    mutating func doubt(_ body: String) {
        guard let envelope = NotificationEnvelope(json: Array(body.utf8)) else { return }
        let receiver = envelope.notification.receiver
        for alert in envelope.data["alerts"]?.array ?? [] { doubtful.insert(receiver + (alert["fingerprint"]?.string ?? "")) }
    }

    /// False when the process died on the way.
    @discardableResult
    mutating func carryOut(_ effects: [PipelineEffect], with alert: AlertRecord? = nil) -> Bool {
        var isFirst = true
        for effect in effects {
            if effect.write == nil { continue }
            // The first write may carry an occurrence's own record with it.
            if !(isFirst && alert != nil), dies() { return false }
            isFirst = false
            if let alert { storedAlerts[alert.id] = alert }
            switch effect {
            case .store(let id, let record): storedGroups[id] = record?.document
            case .silence(let id, let silence): silences[id] = silence?.document
            case .acknowledgement(let alert, let acknowledgement): acknowledgements[alert] = acknowledgement?.document
            case .schedule: break
            }
        }
        // Of an occurrence that is hidden nothing else is stored.
        if isFirst, let alert { storedAlerts[alert.id] = alert }
        for message in effects.compactMap(\.message) {
            if dies() { return false }
            if case .delivery = message.kind {
                #expect(bodies[message.id] ?? message.body == message.body, "one id, two contents")
                bodies[message.id] = message.body
            }
            queue[message.id] = message
        }
        return true
    }

    mutating func checkBalance() {
        var sums = pipeline.openEvents
        for (entry, count) in pipeline.ledger.counts { sums[entry.receiver, default: 0] += count }
        #expect(sums.filter { $0.value > 0 } == pipeline.ledger.taken)
    }

    // MARK: Steps

    mutating func step() {
        switch Int.random(in: 0..<10, using: &chance) {
        case 0...2: changeAlert()
        case 3: occur()
        case 4:
            if let old = last.randomElement(using: &chance) {
                #expect(pipeline.take(old, at: now) == [], "taken before")
            }
        case 5 where isHushed: hush()
        case 5...8: runNext()
        default: now = now + Int64.random(in: 0...2_000_000_000, using: &chance)
        }
        checkBalance()
    }

    mutating func changeAlert() {
        let index = Int.random(in: alerts.indices, using: &chance)
        let level = hasLevels ? ["warning", "critical"].randomElement(using: &chance) : nil
        let state: AlertState
        switch alerts[index].record.state {
        case .inactive, .resolved: state = .firing
        case .firing:
            let next: [AlertState] = hasLevels ? [.recovering, .resolved, .nodata, .firing] : [.recovering, .resolved, .resolved]
            state = next.randomElement(using: &chance) ?? .resolved
        case .recovering, .nodata: state = [.firing, .resolved].randomElement(using: &chance) ?? .resolved
        case .pending: state = .firing
        }
        now = now + 1_000_000
        let kept = state == .recovering || state == .nodata ? alerts[index].record.level : level
        let transition = alerts[index].become(state, level: kept, at: now)
        // What was decided is stored before anything else; a crash before that would not have happened as far as anyone knows.
        storedAlerts[transition.alert.id] = transition.alert
        if dies() { return }
        last.append(transition)
        carryOut(pipeline.take(transition, at: now))
    }

    /// Makes or ends a silence or an acknowledgement.
    mutating func hush() {
        let alert = alerts[Int.random(in: alerts.indices, using: &chance)].record
        let end = now + Int64.random(in: 1...20_000_000_000, using: &chance)
        switch Int.random(in: 0..<5, using: &chance) {
        case 0, 1:
            let matcher = chance.one(in: 2) ? Matcher("device", .equal, alert.device ?? "") : Matcher("site", .equal, "s0")
            let begin = chance.one(in: 3) ? now + 3_000_000_000 : now
            let silence = Silence(
                id: matcher.description, matchers: [matcher], startsAt: begin, endsAt: max(end, begin + 1), updatedAt: now)
            carryOut(pipeline.silence(silence, at: now).effects)
        case 2:
            if let id = pipeline.silences.all.first?.id { carryOut(pipeline.expireSilence(id, at: now).effects) }
        case 3: carryOut(pipeline.unacknowledge(alert: alert.id, at: now).effects)
        default: carryOut(pipeline.acknowledge(alert: alert.id, by: "ann", until: chance.one(in: 2) ? end : nil, at: now).effects)
        }
    }

    mutating func endHushes() {
        for silence in pipeline.silences.all { carryOut(pipeline.expireSilence(silence.id, at: now).effects) }
        for alert in pipeline.acknowledgements.keys.sorted() { carryOut(pipeline.unacknowledge(alert: alert, at: now).effects) }
    }

    mutating func occur() {
        now = now + 1_000_000
        let transition = occurrences[0].occur(at: now)
        let effects = pipeline.take(transition, at: now)
        // Occurrences are committed with what they cause.
        occurred.insert(now.description)
        last.append(transition)
        carryOut(effects, with: transition.alert)
    }

    mutating func runNext() {
        // Repetitions, due much later, stay out of it: they tell an alert under a new id by the rules.
        guard let next = queue.values.min(by: { ($0.dueAt, $0.id) < ($1.dueAt, $1.id) }), next.dueAt < now + 600_000_000_000 else { return }
        now = max(now, next.dueAt)
        switch next.kind {
        case .wake(let key):
            guard carryOut(pipeline.wake(groupKey: key, at: now)) else { return }
            if queue[next.id] == next { queue[next.id] = nil }
        case .delivery: deliver(next)
        }
    }

    mutating func deliver(_ message: ScheduledMessage) {
        let begun = pipeline.beginDelivery(message, at: now)
        guard carryOut(begun.effects) else { return }
        guard case .attempt(let integration, let notification) = begun.decision else {
            if queue[message.id] == message { queue[message.id] = nil }
            return
        }
        let fate = isCalm ? 0 : Int.random(in: 0..<4, using: &chance)
        // 0 delivered, 1 not reached, 2 reached without an answer, 3 neither, but nobody knows
        if fate == 0 || fate == 2 { heard.append((notification.id, integration.receiver, notification.document)) }
        if fate >= 2 { doubt(String(decoding: message.body, as: UTF8.self)) }
        if dies() { return }
        let result =
            fate == 0 ? AttemptResult(.delivered) : AttemptResult(.failed(reason: "no", retryAfter: nil), mayHaveArrived: fate >= 2)
        let ended = pipeline.deliveryEnded(message, result, at: now)
        guard carryOut(ended.effects) else { return }
        if dies() { return }
        if case .retry(let wait) = ended.outcome {
            var again = message
            again.attempt += 1
            again.dueAt = now + wait.inNanoseconds
            queue[again.id] = again
        } else if queue[message.id] == message {
            queue[message.id] = nil
        }
    }

    /// Nothing fails any more: everything that is due within the next hour is done.
    mutating func calmDown() {
        isCalm = true
        endHushes()
        let end = now + 3_600_000_000_000
        while let due = queue.values.map(\.dueAt).min(), due <= end {
            now = max(now, due)
            runNext()
        }
        checkBalance()
    }
}

extension AlertRecord {
    fileprivate var stableLabels: [String: String] {
        var labels = labels
        labels["alertname"] = rule.alert
        return labels
    }
}

@Suite struct `Notification pipeline under crashes` {
    struct Setup: Sendable, CustomTestStringConvertible {
        var name: String
        var groupBy: GroupBy
        var wait: Duration
        var levels: Bool
        var routes: [Route] = []
        var testDescription: String { name }

        func tree() throws -> RouteTree {
            let hook = ChannelConfiguration.log(LogConfiguration())
            return try RouteTree(
                NotificationConfiguration(
                    route: Route(
                        receiver: "hook", groupBy: groupBy, groupWait: wait, groupInterval: .seconds(2),
                        repeatInterval: .seconds(1_000_000),
                        routes: routes), receivers: ["hook", "pager"].map { Receiver(name: $0, channels: [hook]) }),
                compile: Alternatives.compile)
        }
    }
    static let setups = [
        Setup(name: "a group an alert", groupBy: .all, wait: .zero, levels: false),
        Setup(name: "a group a site, with group_wait", groupBy: .labels(["site"]), wait: .seconds(1), levels: false),
        Setup(name: "one group, levels", groupBy: .labels([]), wait: .zero, levels: true),
        Setup(
            name: "levels that lead to another receiver", groupBy: .labels(["severity"]), wait: .seconds(1), levels: true,
            routes: [Route(matchers: [Matcher("severity", .equal, "critical")], receiver: "pager")]),
    ]

    @Test(arguments: setups, [false, true])
    func `every firing alert is told, ends only where it was heard, one id has one content, and the counts balance`(
        setup: Setup, isHushed: Bool
    ) throws {
        var crashes = 0, told = 0
        for seed in UInt64(0)..<25 {
            var world = World(tree: try setup.tree(), levels: setup.levels, isHushed: isHushed, seed: seed)
            for _ in 0..<150 { world.step() }
            world.calmDown()
            crashes += world.crashes
            told += world.heard.count
            check(world, setup, seed)
        }
        #expect(crashes > 200 && told > 200, "the test has to have tried something: \(crashes) crashes, \(told) notifications")
    }

    private func check(_ world: World, _ setup: Setup, _ seed: UInt64) {
        /// The last word that each receiver got on each alert.
        var lastWord: [String: Document] = [:]
        var seen = Set<String>()
        var firingIDs: [String: Set<String>] = [:]
        var occurrences = Set<String>()
        for (id, receiver, document) in world.heard {
            for alert in document["alerts"]?.array ?? [] {
                let key = receiver + (alert["fingerprint"]?.string ?? "")
                if alert["labels"]?["alertname"] == "E" {
                    occurrences.insert(alert["startsAt"]?.string ?? "")
                    continue
                }
                if alert["status"] == "firing" {
                    seen.insert(key)
                    firingIDs[key + (alert["startsAt"]?.string ?? ""), default: []].insert(id)
                } else {
                    #expect(seen.contains(key) || world.doubtful.contains(key), "seed \(seed): an end without a beginning")
                }
                lastWord[key] = alert
            }
        }
        for alert in world.alerts.map(\.record) {
            let fingerprint = labelFingerprint(alert.stableLabels)
            let isCritical = alert.level == "critical"
            for receiver in ["hook", "pager"] {
                let word = lastWord[receiver + fingerprint]
                let isTold = (receiver == "pager") == (isCritical && !setup.routes.isEmpty)
                if alert.state.isFiring, isTold {
                    #expect(word?["status"] == "firing", "seed \(seed): \(alert.device ?? "") fires and \(receiver) does not know")
                    #expect(word?["startsAt"]?.string == (alert.firedAt ?? alert.changedAt).description, "seed \(seed)")
                    #expect(word?["labels"]?["severity"]?.string == alert.level, "seed \(seed)")
                } else if word != nil {
                    #expect(word?["status"] == "resolved", "seed \(seed): \(alert.device ?? "") is over and \(receiver) does not know")
                }
            }
        }
        if setup.groupBy == .all, !world.isHushed {
            // Alone in its group and without levels and nodata, nothing makes an episode be told under a second id.
            for (key, ids) in firingIDs { #expect(ids.count == 1, "seed \(seed): \(key) under \(ids.count) ids") }
        }
        if world.isHushed {
            #expect(occurrences.isSubset(of: world.occurred), "seed \(seed)")
        } else {
            #expect(occurrences == world.occurred, "seed \(seed): every occurrence is told")
        }
        #expect(world.pipeline.acknowledgements.isEmpty && world.acknowledgements.isEmpty, "seed \(seed)")
        #expect(world.pipeline.groupCount == world.storedGroups.count, "seed \(seed)")
    }
}
