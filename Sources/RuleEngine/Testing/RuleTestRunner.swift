import HeapModule

/// What became of a test.
public struct RuleTestResult: Sendable {
    public struct Failure: Sendable {
        public var location: SourceLocation
        /// Several lines: what was expected, what was, and the evaluation of the expressions at that instant.
        public var message: String
    }
    public var name: String
    public var location: SourceLocation
    public var failures: [Failure] = []
    public var readings = 0
    public var passed: Bool { failures.isEmpty }
}

/// Runs tests in virtual time, on the engine and the notification pipeline that the server runs.
///
/// Pure: no clock, no files, no threads. Each test begins with an engine that knows nothing.
public struct RuleTestRunner {
    public let plan: EvaluationPlan
    public let routes: RouteTree
    /// Set to count what the tests reach; it costs an evaluation of every rule at each reading.
    public var coverage: RuleCoverage?
    /// Makes the scripts of a test, loaded at its start; nil: it has none.
    public var makeScripts: ((ScriptWorld, Instant) -> any ScriptRuntime)?
    /// Makes the actions of a plugin, by its name; nil: they are not run.
    public var makeActions: ((String) throws(PluginFailure) -> any PluginRehearsal)?

    public init(plan: EvaluationPlan, routes: RouteTree, coverage: RuleCoverage? = nil) {
        self.plan = plan
        self.routes = routes
        self.coverage = coverage
        self.coverage?.add(plan)
    }

    public mutating func run(_ test: RuleTest) -> RuleTestResult {
        var run = TestRun(
            test: test, plan: plan, routes: routes, coverage: coverage, makeScripts: makeScripts,
            actions: makeActions.map { TestActions($0, replies: test.replies, at: test.start) })
        run.run()
        coverage = run.coverage
        return run.result
    }
}

/// One test under way.
private struct TestRun {
    /// A series of readings whose next one is due.
    private struct Source: Comparable {
        var due: Int64
        var place: Int
        static func < (left: Source, right: Source) -> Bool { (left.due, left.place) < (right.due, right.place) }
    }
    /// A series of readings being sent.
    private struct Sender {
        let topic: [UInt8]
        let readings: TestReadings
        var composer: PayloadComposer
        var left: Int
    }

    private let test: RuleTest
    private let engine: Engine
    private var delivery: VirtualDelivery
    private var judge = TestJudge()
    private let makeScripts: ((ScriptWorld, Instant) -> any ScriptRuntime)?
    private var scripts: TestScripts?
    private let actions: TestActions?
    private var senders: [Sender] = []
    private var queue = Heap<Source>()
    private var changes: [TestChange]
    /// Nil where rules ask nothing.
    private let history: TestHistory?
    private var changesDone = 0
    /// For coverage: the instances that are not inactive.
    private var active: Set<UInt64> = []
    var coverage: RuleCoverage?
    var result: RuleTestResult

    init(
        test: RuleTest, plan: EvaluationPlan, routes: RouteTree, coverage: RuleCoverage?,
        makeScripts: ((ScriptWorld, Instant) -> any ScriptRuntime)?, actions: TestActions?
    ) {
        self.test = test
        self.actions = actions
        self.makeScripts = makeScripts
        engine = Engine(plan: plan)
        engine.context.sequenceChanges = coverage == nil ? nil : []
        delivery = VirtualDelivery(routes: routes)
        history = plan.wantsHistory ? TestHistory(test.answers, plan) : nil
        self.coverage = coverage
        result = RuleTestResult(name: test.name, location: test.location)
        changes = test.changes.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
        for readings in test.readings where readings.count > 0 {
            queue.insert(Source(due: readings.at, place: senders.count))
            senders.append(
                Sender(
                    topic: Array(readings.topic.utf8), readings: readings, composer: PayloadComposer(readings.content), left: readings.count
                ))
        }
    }

    mutating func run() {
        for change in test.initial { apply(change, at: test.start) }
        engine.connected(at: test.start)
        engine.backlogEnded(at: test.start)
        collect()
        if let makeScripts {
            let stage = TestScripts.Stage()
            for change in test.initial { stage.take(change) }
            scripts = TestScripts(makeScripts, stage: stage, replies: test.replies, at: test.start)
            takeChanges(at: test.start)
        }
        let expectations = test.expectations.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
        for expectation in expectations {
            let now = test.start + expectation.at
            happen(through: expectation.at)
            advanceScripts(to: now)
            reach(now, inclusive: true)
            engine.advance(to: now)
            collect()
            delivery.run(until: now, inclusive: true)
            if let message = judge.verdict(
                on: expectation, engine: engine, sent: delivery.sent, scripts: scripts, actions: actions, now: now, start: test.start)
            {
                result.failures.append(.init(location: expectation.location, message: message))
            }
        }
        for fault in scripts?.faults ?? [] {
            result.failures.append(.init(location: test.location, message: "a script failed: \(fault.text)\n"))
        }
        for (at, automation, reason) in scripts?.refusals ?? [] {
            let message =
                "'\(automation)' wanted something of alerts that was refused at \(Duration.nanoseconds(at - test.start).ruleText): \(reason)\n"
            result.failures.append(.init(location: test.location, message: message))
        }
        let clock = TestClock(start: test.start)
        for (at, action, reason) in actions?.failures ?? [] {
            result.failures.append(
                .init(location: test.location, message: "the action '\(action)' failed at \(clock.text(at)): \(reason)\n"))
        }
        for (at, automation, request) in (scripts?.unanswered ?? []) + (actions?.unanswered ?? []) {
            result.failures.append(
                .init(location: test.location, message: judge.complaint(of: automation, request, at: at, start: test.start)))
        }
        // What comes behind the last expectation counts for coverage.
        if coverage != nil { happen(through: .max) }
    }

    /// Engine and scripts up to an instant, whichever is due first.
    private mutating func advanceScripts(to end: Instant) {
        guard let scripts else { return }
        while true {
            let mine = engine.nextDue ?? .distantFuture, theirs = scripts.runtime.nextDue ?? .distantFuture
            guard min(mine, theirs) <= end, min(mine, theirs) != .distantFuture else { return }
            if mine <= theirs {
                if history != nil { reach(mine, inclusive: true) }
                engine.advance(to: mine)
                collect()
            } else {
                scripts.advance(to: theirs)
                takeChanges(at: theirs)
            }
        }
    }

    /// What scripts have changed; what that causes may make them change more.
    private mutating func takeChanges(at instant: Instant) {
        guard let scripts else { return }
        while case let changes = scripts.takeChanges(), !changes.isEmpty {
            for change in changes { engine.apply(change, at: instant) }
            collect()
        }
        scripts.takeHushes(at: instant) { delivery.take($0, at: instant) }
    }

    /// Everything up to an instant: changes before readings, readings in the order of the file.
    private mutating func happen(through end: Int64) {
        while true {
            let change = changesDone < changes.count ? changes[changesDone].at : .max
            let reading = queue.min?.due ?? .max
            if changesDone < changes.count, change <= reading {
                guard change <= end else { return }
                reach(test.start + change, inclusive: false)
                apply(changes[changesDone], at: test.start + change)
                changesDone += 1
                collect()
            } else {
                guard let next = queue.min, next.due <= end else { return }
                _ = queue.popMin()
                send(next, before: min(change, end == .max ? .max : end + 1))
            }
        }
    }

    /// Sends the readings of one series until another series, or `limit`, comes first.
    private mutating func send(_ first: Source, before limit: Int64) {
        var next = first
        let rival = queue.min
        let readings = senders[next.place].readings
        while senders[next.place].left > 0, next == first || next.due < limit, rival.map({ next < $0 }) ?? true {
            if senders[next.place].composer.compose() { ingest(next.place, readings, at: test.start + next.due) }
            senders[next.place].composer.advance()
            senders[next.place].left -= 1
            let (due, overflow) = next.due.addingReportingOverflow(readings.interval)
            if overflow { senders[next.place].left = 0 }
            next.due = overflow ? .max : due
        }
        if senders[next.place].left > 0 { queue.insert(next) }
    }

    @inline(__always)
    private mutating func ingest(_ place: Int, _ readings: TestReadings, at instant: Instant) {
        result.readings += 1
        if scripts != nil { advanceScripts(to: instant + -1) }
        if history != nil { reach(instant, inclusive: false) }
        senders[place].topic.withUnsafeBytes { topic in
            senders[place].composer.bytes.withUnsafeBytes { payload in
                engine.ingest(
                    topic: topic, payload: payload, nonFinite: senders[place].composer.nonFinite, isRetained: readings.isRetained,
                    at: instant)
            }
        }
        collect()
        if let scripts {
            let topic = String(decoding: senders[place].topic, as: UTF8.self)
            scripts.apply(.reading(topic: topic, payload: senders[place].composer.bytes, isRetained: readings.isRetained), at: instant)
            takeChanges(at: instant)
        }
        if coverage != nil { measure(place) }
    }

    /// Answers queries when they come due, up to an instant.
    private mutating func reach(_ instant: Instant, inclusive: Bool) {
        guard history != nil else { return }
        while let due = engine.nextDue, inclusive ? due <= instant : due < instant {
            engine.advance(to: due)
            collect()
        }
    }

    private mutating func measure(_ place: Int) {
        guard var counted = coverage else { return }
        coverage = nil
        senders[place].topic.withUnsafeBytes { engine.measure(topic: $0, active: &active, into: &counted) }
        coverage = counted
    }

    private mutating func apply(_ change: TestChange, at instant: Instant) {
        scripts?.stage.take(change)
        switch change.kind {
        case .device(let id, let config, let labels, let location):
            engine.setDevice(id, config: config, labels: labels, location: location, at: instant)
        case .variable(let name, let value): engine.setVariable(name, value, at: instant)
        }
    }

    /// Takes what the engine did to the notifications, each transition at its own instant.
    @inline(__always)
    private mutating func collect() {
        let effects = engine.takeEffects()
        if !effects.isEmpty { take(effects) }
        guard engine.context.sequenceChanges?.isEmpty == false, let changes = engine.context.sequenceChanges else { return }
        engine.context.sequenceChanges = []
        for (rule, change) in changes { coverage?.note(rule, change) }
    }

    private mutating func take(_ effects: EngineEffects) {
        tell(effects.transitions)
        guard let history, !effects.dueQueries.isEmpty else { return }
        for due in effects.dueQueries { engine.applyRows(history.outcome(of: due, start: test.start), at: due.instant) }
        collect()
    }

    private mutating func tell(_ transitions: [AlertTransition]) {
        var rest = transitions[...]
        while let first = rest.first {
            let now = first.alert.changedAt
            let together = rest.prefix { $0.alert.changedAt == now }
            rest = rest.dropFirst(together.count)
            delivery.run(until: now, inclusive: false)
            delivery.take(Array(together), at: now)
            for transition in together {
                judge.take(transition)
                // What a script raised itself is no rule's.
                if !transition.alert.isOfScript { coverage?.note(transition) }
                actions?.act(transition.alert, at: now)
                if let scripts {
                    scripts.stage.take(transition.alert)
                    scripts.apply(.transition(transition), at: now)
                    scripts.act(transition.alert, at: now)
                }
            }
        }
        if let last = transitions.last { takeChanges(at: last.alert.changedAt) }
    }
}

extension TestScripts.Stage {
    func take(_ change: TestChange) {
        switch change.kind {
        case .device(let id, let config, let labels, let location):
            set(id, location)
            set(id, config.map { ScriptWorld.Device(id: id, config: $0, labels: labels) })
        case .variable(let name, let value): setVariable(name, value)
        }
    }
}
