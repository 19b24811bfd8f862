import CEL

/// The deterministic core: inputs with their instants in, effects out. Nothing in it reads a clock, a random source or the outside; equal inputs give equal effects,
/// for any number of shards.
///
/// Not thread safe: one owner at a time.
public final class Engine {
    let context: EngineContext
    var shards: [EngineShard]
    var router: TopicRouter {
        didSet { hotRouter = Unmanaged.passUnretained(router) }
    }
    /// The router once more, read without counting references: `router` holds it, and nothing replaces that while a reading is taken.
    private var hotRouter: Unmanaged<TopicRouter>
    /// Rules with `every`, and the next look at subjects that can be forgotten.
    var clock: TimerQueue
    var sweepAt = Instant.distantFuture
    var hasStarted = false
    /// Ordinals of timers that run late, at instants that may have had inputs already.
    var lateOrdinal: Int64 = 1 << 32
    /// Numbers out of range that decoders of earlier plans met.
    private var earlierNumbersOutOfRange: UInt64 = 0

    public init(plan: EvaluationPlan, settings: EngineSettings = EngineSettings()) {
        let context = EngineContext(plan: plan, bounds: settings.bounds)
        self.context = context
        shards = (0..<min(max(1, settings.shards), 1024)).map { EngineShard(context: context, number: $0) }
        router = TopicRouter(plan: plan, shards: shards)
        hotRouter = Unmanaged.passUnretained(router)
        clock = TimerQueue(floor: context.timerFloor)
        for decoder in plan.decoders.values { decoder.forget() }
        context.shards.replaceAll(with: shards.map(Unmanaged.passUnretained))
        for shard in shards { for source in shard.sources { shard.fillVariables(of: source) } }
    }

    public var plan: EvaluationPlan { context.plan }
    public var isReadingBacklog: Bool { context.isReadingBacklog }
    public var counters: EngineCounters {
        var counters = context.totals
        counters.numbersOutOfRange = earlierNumbersOutOfRange &+ router.numbersOutOfRange
        return counters
    }

    // MARK: Time

    /// When something happens by time alone; nil when nothing is due.
    public var nextDue: Instant? {
        guard !context.isReadingBacklog, case let due = earliestTimer, due != .distantFuture else { return nil }
        return due
    }

    @inline(__always)
    private var earliestTimer: Instant {
        var earliest = min(clock.nextDue, context.ownAlertDue, context.queryDue)
        for shard in shards where shard.timers.nextDue < earliest { earliest = shard.timers.nextDue }
        return earliest
    }

    /// Runs what is due up to `instant`, each at its own instant, in order: by (due, rule, instance).
    public func advance(to instant: Instant) {
        guard !context.isReadingBacklog else { return }
        runTimers(upTo: instant)
        if instant > context.now { begin(at: instant) }
    }

    private func runTimers(upTo instant: Instant) {
        while case let due = earliestTimer, due <= instant, due != .distantFuture {
            guard let timer = takeTimer(due) else { continue }
            begin(at: due)
            run(timer, due)
        }
    }

    /// Where a timer is that is due: in a shard, on the clock, of the engine's own alerts, or of queries.
    private enum DueTimer {
        case ofShard(Int, Timer)
        case ofClock(Timer)
        case ofOwnAlerts
        case ofQueries
    }

    /// Takes the first timer at an instant; nil when it is out of date, which must not count as something that happened.
    private func takeTimer(_ due: Instant) -> DueTimer? {
        if context.queryDue == due { return .ofQueries }
        var first = clock.next.flatMap { $0.due == due ? $0 : nil }
        var place = -1
        for (number, shard) in shards.enumerated() {
            guard let timer = shard.timers.next, timer.due == due, first.map({ timer < $0 }) ?? true else { continue }
            (first, place) = (timer, number)
        }
        guard let first else { return .ofOwnAlerts }
        guard place < 0 else {
            _ = shards[place].timers.popFirst()
            return shards[place].isCurrent(first) ? .ofShard(place, first) : nil
        }
        _ = clock.popFirst()
        return .ofClock(first)
    }

    private func run(_ timer: DueTimer, _ due: Instant) {
        switch timer {
        case .ofShard(let place, let timer): shards[place].run(timer)
        case .ofClock(let timer): runClock(timer, due)
        case .ofOwnAlerts: context.endOwnAlerts()
        case .ofQueries: runQueries(due)
        }
    }

    private func runClock(_ timer: Timer, _ due: Instant) {
        if timer.rule < 0 {
            sweepAt = due + Self.sweepInterval
            clock.add(Timer(due: sweepAt, ordinal: -1, rule: -1, subject: -1, kind: .clock))
            for shard in shards { shard.forgetSilentSubjects() }
            forgetSilentTopics()
        } else {
            runEvery(timer.rule, due)
        }
    }

    private static let sweepInterval: Int64 = 600_000_000_000

    private func runEvery(_ number: Int32, _ due: Instant) {
        let rule = context.plan.rules[Int(number)]
        clock.add(Timer(due: due + rule.everyNanoseconds, ordinal: -1, rule: number, subject: -1, kind: .clock))
        context.ruleStates[Int(number)].evaluations &+= 1
        context.ruleStates[Int(number)].lastEvaluationAt = context.now
        evaluate(shards.flatMap { $0.evaluations(of: [number], in: $0.sources[Int(rule.source)]) }, .timer)
    }

    /// Evaluates in the order of (rule, instance), which no number of shards changes.
    func evaluate(_ evaluations: [PlannedEvaluation], _ cause: EvaluationCause) {
        for evaluation in evaluations.sorted(by: { ($0.rule, $0.ordinal) < ($1.rule, $1.ordinal) }) {
            let shard = shards[evaluation.shard]
            shard.evaluate(evaluation.rule, shard.sources[Int(evaluation.source)], evaluation.subject, cause)
        }
    }

    /// A new input, or timer, at an instant that never goes back.
    @inline(__always)
    func begin(at instant: Instant) {
        if instant > context.now {
            context.now = instant
            context.ordinal = 0
        } else {
            context.ordinal += 1
        }
    }

    /// At one instant inputs come before timers: what is due at the very instant waits.
    @inline(__always)
    func beginInput(at instant: Instant) {
        if context.timerFloor.instant < instant { runTimers(before: instant) }
        begin(at: max(instant, context.now))
    }

    @inline(never)
    private func runTimers(before instant: Instant) {
        if !context.isReadingBacklog { runTimers(upTo: instant + -1) }
        context.timerFloor.set(to: earliestTimer)
    }

    // MARK: Start and reconnect

    /// The server starts, or the connection to the broker is there again: silence counts from here, and what came due meanwhile waits for the backlog.
    public func connected(at instant: Instant) {
        begin(at: max(instant, context.now))
        context.isReadingBacklog = true
        context.beatFloor = context.now
        guard !hasStarted else { return }
        hasStarted = true
        sweepAt = context.now + Self.sweepInterval
        startClocks()
    }

    /// What the broker held has been read: timers that came due meanwhile run now, each at its own instant, on the state that the backlog left.
    public func backlogEnded(at instant: Instant) {
        begin(at: max(instant, context.now))
        guard context.isReadingBacklog else { return }
        context.isReadingBacklog = false
        let (end, ordinal) = (context.now, context.ordinal)
        while case let due = earliestTimer, due <= end, due != .distantFuture {
            guard let timer = takeTimer(due) else { continue }
            context.now = due
            context.ordinal = lateOrdinal
            lateOrdinal += 1
            run(timer, due)
        }
        (context.now, context.ordinal) = (end, ordinal)
    }

    private func startClocks() {
        clock.add(Timer(due: sweepAt, ordinal: -1, rule: -1, subject: -1, kind: .clock))
        for rule in context.plan.rules where rule.everyNanoseconds > 0 && rule.rule.isEnabled && rule.rule.query == nil {
            let passed = context.now.nanoseconds % rule.everyNanoseconds
            let due = context.now + (passed < 0 ? -passed : rule.everyNanoseconds - passed)
            clock.add(Timer(due: due, ordinal: -1, rule: rule.number, subject: -1, kind: .clock))
            guard context.plan.sources[Int(rule.source)].isOnClock else { continue }
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes([]), among: shards.count)]
            _ = shard.subject(of: shard.sources[Int(rule.source)], key: [])
        }
        startQueries()
    }

    // MARK: Readings

    /// One message. The caller has made sure that it counts once.
    public func ingest(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool = false, at instant: Instant) {
        beginInput(at: instant)
        context.readings &+= 1
        hotRouter._withUnsafeGuaranteedRef { router in
            let entry = router.entry(of: topic)
            var decoded: Int32 = -1, isDecodable = false, isSeenByOthers = false
            for place in Int(entry.first)..<Int(entry.first + entry.count) {
                let route = router.routes[place]
                let shape = router.shapes[Int(route.shape)]
                if isRetained, shape.isSkippedWhenRetained { continue }
                router.decoderTable[Int(shape.decoder)]._withUnsafeGuaranteedRef { decoder in
                    if shape.decoder != decoded {
                        decoded = shape.decoder
                        isDecodable = decode(decoder, topic, payload)
                    }
                    guard isDecodable else { return }
                    let circumstance = route.circumstance < 0 ? nil : router.circumstances[Int(route.circumstance)]
                    router.shardTable[Int(route.shard)]._withUnsafeGuaranteedRef { shard in
                        shard.apply(route, shape, circumstance, decoder, decoder.content, isRetained: isRetained)
                    }
                    if shape.isForOthers { isSeenByOthers = true }
                }
            }
            if isSeenByOthers { evaluateDependents(of: entry) }
        }
    }

    @inline(__always)
    private func decode(_ decoder: PayloadDecoder, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> Bool {
        do {
            try decoder.decode(payload, topic: topic, message: context.readings)
            return !decoder.isPassedOver
        } catch {
            guard case .named(let name) = decoder.decoder else {
                context.counters.undecodable[error.rawValue, default: 0] += 1
                return false
            }
            if let refusal = decoder.refusal { context.counters.refused(by: name, refusal, topic) }
            return false
        }
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
    ///
    /// - Parameter location: of the device; nil: what `config` says, `location: {latitude, longitude}`, or else the server's.
    public func setDevice(
        _ id: String, config: Document?, labels: [String: String] = [:], location: GeoPoint? = nil, at instant: Instant
    ) {
        beginInput(at: instant)
        guard let config else { return removeDevice(id) }
        let entry = EngineContext.DeviceEntry(config: config, labels: labels, location: location ?? GeoPoint(config["location"]))
        let earlier = context.devices.updateValue(entry, forKey: id)
        if earlier == entry { return }
        evaluate(shards.flatMap { $0.deviceChanged(id) }, .change)
        if earlier == nil { registerForSilence(id) }
    }

    private func removeDevice(_ id: String) {
        guard context.devices.removeValue(forKey: id) != nil || shards.contains(where: { $0.knows(device: id) }) else { return }
        end(shards.flatMap { shard in shard.alerts(ofDevice: id).map { (shard, $0, TransitionReason.deviceRemoved) } })
        let evaluations = forgetMembers(ofDevice: id)
        for shard in shards { shard.forget(device: id) }
        evaluate(evaluations.filter { shards[$0.shard].isKnown($0) }, .change)
    }

    /// Ends alerts in the order of (rule, instance).
    private func end(_ alerts: [(shard: EngineShard, alert: Int32, reason: TransitionReason)]) {
        let places = alerts.map { (place: $0.shard.place(of: $0.alert), end: $0) }.sorted { $0.place < $1.place }
        for (_, ending) in places { ending.shard.end(ending.alert, reason: ending.reason) }
    }

    /// A registered device that was never heard counts from its registration, where the rule has no capture but `device`.
    private func registerForSilence(_ device: String) {
        for (number, source) in context.plan.sources.enumerated()
        where !source.missingRules.isEmpty && source.key.by == ["device"] && source.key.device == nil {
            guard source.key.subscriptions.allSatisfy({ $0.filter.captures == ["device"] && $0.device == nil }) else { continue }
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes([device]), among: shards.count)]
            _ = shard.subject(of: shard.sources[number], key: [device])
        }
    }

    /// A rule variable; nil: it is gone.
    public func setVariable(_ name: String, _ value: Document?, at instant: Instant) {
        beginInput(at: instant)
        guard context.variables[name] != value else { return }
        context.variables[name] = value
        evaluate(shards.flatMap { $0.variableChanged(name) }, .change)
    }

    /// Holds for what comes from here on; what is beyond it already stays.
    public func setBounds(_ bounds: EngineBounds, at instant: Instant) {
        beginInput(at: instant)
        context.bounds = bounds
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
        beginInput(at: instant)
        abandonCheckpoint()
        let migration = Migration(from: context.plan, to: plan)
        let old = shards
        end(
            old.flatMap { shard in
                shard.activeAlerts.compactMap { alert in
                    migration.endingReason[Int(shard.alerts[Int(alert)].rule)].map { (shard, alert, $0) }
                }
            })
        settleTallies()
        earlierNumbersOutOfRange &+= router.numbersOutOfRange
        context.adopt(plan)
        shards = old.map { EngineShard(context: context, number: $0.number) }
        context.shards.replaceAll(with: shards.map(Unmanaged.passUnretained))
        router = TopicRouter(plan: plan, shards: shards)
        for (before, after) in zip(old, shards) { after.adopt(before, migration) }
        adoptMembers(old, migration)
        if hasStarted {
            clock.removeAll()
            startClocks()
        }
        for device in context.devices.keys.sorted() { registerForSilence(device) }
        evaluate(shards.flatMap { $0.changedEvaluations(migration) }, .change)
    }

    /// Puts what sources counted for their rules into the rules' own counts.
    private func settleTallies() {
        for rule in context.plan.rules {
            let (count, lastAt) = readings(of: rule)
            context.ruleStates[Int(rule.number)].evaluations = count
            context.ruleStates[Int(rule.number)].lastEvaluationAt = lastAt
        }
    }

    // MARK: Restore

    /// Takes up alerts as a store has them: pending keeps its pending-since, firing does not fire again. Called once, before the first input; alerts whose rule is gone
    /// are resolved.
    public func restore(_ records: [AlertRecord], at instant: Instant) {
        // No identity is used twice: the engine goes on after the last instant that it is known to have reached.
        let latest = records.map { max($0.activeAt, $0.changedAt) }.max() ?? .distantPast
        begin(at: max(instant, latest, context.now))
        context.ordinal = max(context.ordinal, (records.filter { $0.activeAt == context.now }.map(\.ordinal).max() ?? -1) + 1)
        context.isReadingBacklog = true
        let numbers = Dictionary(context.plan.rules.map { ($0.rule.identity, $0.number) }) { first, _ in first }
        for record in records where record.state != .resolved && record.state != .inactive && !record.isOccurrence {
            if record.rule.group == EngineContext.ownGroup {
                context.restoreOwnAlert(record)
                continue
            }
            if record.isOfScript {
                context.scriptAlerts[record.id] = record
                continue
            }
            guard let number = numbers[record.rule], case let rule = context.plan.rules[Int(number)], rule.rule.isEnabled, !rule.isEvent,
                (rule.rule.mode == .shadow) == record.isShadow, record.key.count == rule.rule.by.count,
                record.level == nil || rule.levels.contains(where: { $0.name == record.level })
            else {
                resolveOrphan(record)
                continue
            }
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes(record.key), among: shards.count)]
            if !shard.restore(record, rule) { resolveOrphan(record) }
        }
    }

    func resolveOrphan(_ record: AlertRecord, reason: TransitionReason = .ruleRemoved) {
        var ended = record
        ended.transition += 1
        ended.changedAt = context.now
        ended.reason = reason
        ended.state = record.state == .pending ? .inactive : .resolved
        ended.resolvedAt = record.state == .pending ? nil : context.now
        ended.pendingActions = []
        context.effects.transitions.append(AlertTransition(from: record.state, alert: ended))
    }

    // MARK: Looking

    public func status(of identity: RuleIdentity) -> RuleActivity? {
        guard let rule = context.plan.rules.first(where: { $0.rule.identity == identity }) else { return nil }
        let state = context.ruleStates[Int(rule.number)]
        var status = RuleActivity(health: state.health, lastError: context.lastErrors[rule.number])
        let (count, lastAt) = readings(of: rule)
        status.evaluations = count
        status.lastEvaluationAt = lastAt == .distantPast ? nil : lastAt
        if let failure = rule.queries.lazy.compactMap({ self.context.queries[$0].failure }).first {
            (status.health, status.lastError) = (.error, failure)
        }
        for shard in shards {
            for alert in shard.activeAlerts where shard.alerts[Int(alert)].rule == rule.number {
                status.instances[shard.alerts[Int(alert)].lifecycle.state, default: 0] += 1
            }
        }
        return status
    }

    /// Readings that reached a rule with a field it reads; of a rule with `every`, the instants at which it was evaluated.
    private func readings(of rule: RulePlan) -> (count: UInt64, lastAt: Instant) {
        let state = context.ruleStates[Int(rule.number)]
        var (total, last) = (state.evaluations, state.lastEvaluationAt)
        guard rule.everyNanoseconds == 0, rule.rule.isEnabled else { return (total, last) }
        for shard in shards {
            let (count, lastAt) = shard.sources[Int(rule.source)].tally.readings(carrying: rule.countedFields)
            total &+= count
            last = max(last, lastAt)
        }
        return (total, last)
    }
}

/// An evaluation that an input makes necessary, with what its turn depends on.
struct PlannedEvaluation {
    var rule: Int32
    var ordinal: Int64
    var shard: Int
    var source: Int32
    var subject: Int32
}
