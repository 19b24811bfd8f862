import CEL

/// The deterministic core: inputs with their instants in, effects out. Nothing in it reads a clock, a random source or the outside; equal inputs give equal effects,
/// for any number of shards.
///
/// Not thread safe: one owner at a time.
public final class Engine {
    let context: EngineContext
    var shards: [EngineShard]
    var router: TopicRouter
    /// Between a start or reconnect and the end of its backlog, overdue timers wait.
    private(set) var isReadingBacklog = false
    private var sweepAt = Instant.distantFuture
    private var everyAt: [Int32: Instant] = [:]

    public init(plan: EvaluationPlan, settings: EngineSettings = EngineSettings()) {
        let context = EngineContext(plan: plan, settings: settings)
        self.context = context
        shards = (0..<max(1, settings.shards)).map { EngineShard(context: context, number: $0) }
        router = TopicRouter(plan: plan)
    }

    public var plan: EvaluationPlan { context.plan }
    public var counters: EngineCounters {
        var counters = context.counters
        counters.numbersOutOfRange = router.numbersOutOfRange
        return counters
    }

    // MARK: Time

    /// When something happens by time alone; nil when nothing is due.
    public var nextDue: Instant? {
        if isReadingBacklog { return nil }
        let timers = shards.compactMap { $0.timers.next?.due }
        return (timers + [context.nextOwnAlertEnd, sweepAt, everyAt.values.min()].compactMap { $0 }.filter { $0 != .distantFuture }).min()
    }

    /// Runs what is due up to `instant`, each at its own instant, in order: by (due, rule, instance).
    public func advance(to instant: Instant) {
        guard !isReadingBacklog else { return }
        while let due = nextDue, due <= instant {
            begin(at: due)
            if runShardTimer(due: due) { continue }
            if let rule = everyAt.filter({ $0.value == due }).keys.min() {
                runEvery(rule)
            } else if sweepAt == due {
                for shard in shards { shard.run(Timer(due: due, rule: -1, ordinal: 0, kind: .sweep, source: -1, subject: -1)) }
                sweepAt = due + Self.sweepInterval
            } else {
                context.endOwnAlerts()
            }
        }
    }

    private static let sweepInterval: Int64 = 600_000_000_000

    private func runShardTimer(due: Instant) -> Bool {
        var first: (timer: Timer, shard: EngineShard)?
        for shard in shards {
            guard let timer = shard.timers.next, timer.due == due else { continue }
            if first.map({ timer < $0.timer }) ?? true { first = (timer, shard) }
        }
        guard let first else { return false }
        _ = first.shard.timers.popFirst()
        first.shard.run(first.timer)
        return true
    }

    private func runEvery(_ number: Int32) {
        let rule = context.plan.rules[Int(number)]
        everyAt[number] = context.now + rule.everyNanoseconds
        let subjects = shards.flatMap { shard in
            let source = shard.sources[Int(rule.source)]
            return source.inOrder.map { (ordinal: source.subjects[Int($0)].ordinal, subject: $0, shard: shard) }
        }
        for entry in subjects.sorted(by: { $0.ordinal < $1.ordinal }) {
            entry.shard.evaluate(number, entry.shard.sources[Int(rule.source)], entry.subject, .timer)
        }
    }

    /// A new input at an instant that never goes back.
    private func begin(at instant: Instant) {
        if instant > context.now {
            context.now = instant
            context.ordinal = 0
        } else {
            context.ordinal += 1
        }
    }

    private func input(at instant: Instant, _ body: () -> Void) {
        advance(to: instant)
        begin(at: max(instant, context.now))
        body()
    }

    // MARK: Start and reconnect

    /// The server starts, or the connection to the broker is there again: silence counts from here, and what came due meanwhile waits for the backlog.
    public func connected(at instant: Instant) {
        begin(at: max(instant, context.now))
        isReadingBacklog = true
        context.beatFloor = context.now
        if sweepAt == .distantFuture { startClocks() }
    }

    /// What the broker held has been read: timers that came due meanwhile run now, each at its own instant, on the state that the backlog left.
    public func backlogEnded(at instant: Instant) {
        begin(at: max(instant, context.now))
        guard isReadingBacklog else { return }
        isReadingBacklog = false
        advance(to: context.now)
    }

    private func startClocks() {
        sweepAt = context.now + Self.sweepInterval
        everyAt = [:]
        for rule in context.plan.rules where rule.everyNanoseconds > 0 && rule.rule.isEnabled {
            let passed = context.now.nanoseconds % rule.everyNanoseconds
            everyAt[rule.number] = context.now + (passed < 0 ? -passed : rule.everyNanoseconds - passed)
            if context.plan.sources[Int(rule.source)].isOnClock {
                _ = shards[0].subject(of: shards[0].sources[Int(rule.source)], key: [])
            }
        }
    }

    // MARK: Readings

    /// One message. The caller has made sure that it counts once.
    @inline(__always)
    public func ingest(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool = false, at instant: Instant) {
        if let next = earliestTimer, next <= instant { advance(to: instant) }
        begin(at: max(instant, context.now))
        context.counters.readings &+= 1
        let entry = router.entry(of: topic, in: self)
        for run in entry.runs {
            let decoder = router.decoders[Int(run.decoder)]
            do {
                try decoder.decode(payload)
            } catch {
                context.counters.undecodable[error.rawValue, default: 0] += 1
                continue
            }
            for route in run.routes {
                if isRetained, context.plan.sources[Int(route.source)].key.subscriptions[Int(route.subscription)].retained == .skip { continue }
                shards[Int(route.shard)].apply(route, decoder, payload, isRetained: isRetained)
            }
        }
        if entry.runs.isEmpty { router.noteUnwanted() }
    }

    /// Like `nextDue`, but cheap: the heads of the queues.
    @inline(__always)
    private var earliestTimer: Instant? {
        if isReadingBacklog { return nil }
        var earliest = min(sweepAt, everyAt.isEmpty ? .distantFuture : everyAt.values.min() ?? .distantFuture)
        for shard in shards { if let due = shard.timers.next?.due { earliest = min(earliest, due) } }
        if !context.ownAlerts.isEmpty, let end = context.nextOwnAlertEnd { earliest = min(earliest, end) }
        return earliest
    }

    /// A batch of messages received at one instant.
    public func ingest(_ batch: MessageBatch, at instant: Instant) {
        batch.bytes.withUnsafeBytes { bytes in
            for entry in batch.entries {
                let topic = UnsafeRawBufferPointer(rebasing: bytes[entry.start..<entry.start + entry.topicLength])
                let start = entry.start + entry.topicLength
                let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<start + entry.payloadLength])
                ingest(topic: topic, payload: payload, isRetained: entry.flags.contains(.retained), at: instant)
            }
        }
    }

    // MARK: Changes from outside

    /// The effective configuration of a device; nil: it is not registered any more.
    public func setDevice(_ id: String, config: Document?, labels: [String: String] = [:], at instant: Instant) {
        input(at: instant) {
            guard let config else {
                context.devices[id] = nil
                for shard in shards { shard.deviceRemoved(id) }
                router.forget()
                return
            }
            let isNew = context.devices[id] == nil
            context.devices[id] = EngineContext.DeviceEntry(config: config, labels: labels)
            for shard in shards { shard.deviceChanged(id) }
            if isNew { registerForSilence(id) }
        }
    }

    /// A registered device that was never heard counts from its registration, where the rule has no capture but `device`.
    private func registerForSilence(_ device: String) {
        for (number, source) in context.plan.sources.enumerated() where !source.missingRules.isEmpty && source.key.by == ["device"] {
            let key = [device]
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes(key), among: shards.count)]
            _ = shard.subject(of: shard.sources[number], key: key)
        }
    }

    /// A rule variable; nil: it is gone.
    public func setVariable(_ name: String, _ value: Document?, at instant: Instant) {
        input(at: instant) {
            context.variables[name] = value
            for shard in shards { shard.variableChanged(name) }
        }
    }

    /// The effects since they were last taken.
    public func takeEffects() -> EngineEffects {
        guard !context.effects.isEmpty else { return EngineEffects() }
        defer { context.effects = EngineEffects() }
        return context.effects
    }

    // MARK: Reload

    /// Puts another plan in place. Alerts of rules whose meaning did not change keep their state, changed rules are evaluated over the remembered values, and alerts of
    /// rules that are gone resolve.
    public func reload(_ plan: EvaluationPlan, at instant: Instant) {
        input(at: instant) {
            let migration = Migration(from: context.plan, to: plan)
            let old = shards
            endRemoved(migration, old)
            context.adopt(plan)
            shards = old.map { EngineShard(context: context, number: $0.number) }
            router = TopicRouter(plan: plan)
            for (before, after) in zip(old, shards) { after.adopt(before, migration) }
            startClocks()
            for shard in shards { shard.evaluateChanged(migration) }
        }
    }

    private func endRemoved(_ migration: Migration, _ shards: [EngineShard]) {
        for shard in shards {
            for (alert, active) in shard.activeAlerts {
                if let reason = migration.endingReason[Int(active.rule)] { shard.end(alert, reason: reason) }
            }
        }
    }

    // MARK: Restore

    /// Takes up alerts as a store has them: pending keeps its pending-since, firing does not fire again. Called once, before the first input; alerts whose rule is gone
    /// are resolved.
    public func restore(_ records: [AlertRecord], at instant: Instant) {
        begin(at: max(instant, context.now))
        isReadingBacklog = true
        let numbers = Dictionary(uniqueKeysWithValues: context.plan.rules.map { ($0.rule.identity, $0.number) })
        for record in records where record.state != .resolved && record.state != .inactive && !record.isOccurrence {
            if record.rule.group == EngineContext.ownGroup {
                context.ownAlerts[record.id] = EngineContext.OwnAlert(record: record, lastCauseAt: context.now)
                continue
            }
            guard let number = numbers[record.rule], case let rule = context.plan.rules[Int(number)], rule.rule.isEnabled,
                rule.rule.mode == .live || record.isShadow, record.key.count == rule.rule.by.count,
                rule.levels.count == 1 || record.level == nil || rule.levels.contains(where: { $0.name == record.level })
            else {
                resolveOrphan(record)
                continue
            }
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes(record.key), among: shards.count)]
            shard.restore(record, rule)
        }
    }

    private func resolveOrphan(_ record: AlertRecord) {
        var ended = record
        ended.transition += 1
        ended.changedAt = context.now
        ended.reason = .ruleRemoved
        ended.state = record.state == .pending ? .inactive : .resolved
        ended.resolvedAt = record.state == .pending ? nil : context.now
        context.effects.transitions.append(AlertTransition(from: record.state, alert: ended))
    }

    // MARK: Looking

    public func status(of identity: RuleIdentity) -> RuleActivity? {
        guard let rule = context.plan.rules.first(where: { $0.rule.identity == identity }) else { return nil }
        let state = context.ruleStates[Int(rule.number)]
        var status = RuleActivity(health: state.health, lastError: state.lastError)
        (status.evaluations, status.lastEvaluationAt) = router.evaluations(of: rule, context)
        for shard in shards {
            for (_, active) in shard.activeAlerts where active.rule == rule.number { status.instances[active.lifecycle.state, default: 0] += 1 }
        }
        return status
    }
}
