import CEL

/// What all shards share while one input is applied: the plan, devices, variables, the present instant, counters, and the effects so far.
final class EngineContext {
    var plan: EvaluationPlan
    var bounds: EngineBounds
    var now = Instant.distantPast
    /// Of the input among those of its instant.
    var ordinal: Int64 = 0
    var effects = EngineEffects()
    /// All but `readings` and `evaluations`, which are counted at every reading.
    var counters = EngineCounters()
    var readings: UInt64 = 0
    var evaluations: UInt64 = 0
    var devices: [String: DeviceEntry] = [:]
    var variables: [String: Document] = [:]
    /// The last start or reconnect; the distant future while there is no connection.
    var beatFloor = Instant.distantPast
    var isDisconnected: Bool { beatFloor == .distantFuture }
    /// What the silence of devices counts from at the earliest. Without a connection that is always now: deadlines that come are put off, and those after a reconnect count from there.
    func silenceFloor(at instant: Instant) -> Instant { isDisconnected ? max(now, instant) : beatFloor }
    var nextSubjectOrdinal: Int64 = 0
    /// Between a start or reconnect and the end of its backlog, overdue timers wait.
    var isReadingBacklog = false
    let ruleStates: FlatTable<RuleState>
    /// By the rule's number.
    var lastErrors: [Int32: String] = [:]
    /// Instances whose last result was an error, by the rule's number: the rule is in error while there is one.
    var faultyInstances: [Int32: Set<Int64>] = [:]
    let timerFloor = TimerFloor()
    var ownAlerts: [String: OwnAlert] = [:]
    /// When one of them may end; it may turn out that its cause went on.
    var ownAlertDue = Instant.distantFuture {
        didSet { timerFloor.lower(to: ownAlertDue) }
    }
    /// What became of sequences, for tests that ask; nil: nobody does.
    var sequenceChanges: [(rule: RuleIdentity, change: SequenceRun.Change)]?
    /// Alerts of automations that fire, by their ids.
    var scriptAlerts: [String: AlertRecord] = [:]
    /// The picture of the state that is being taken.
    var checkpoint: EngineCheckpoint?
    /// By the plan's number.
    var queries: [QueryState]
    /// When the next of them is due.
    var queryDue = Instant.distantFuture {
        didSet { timerFloor.lower(to: queryDue) }
    }
    /// While rows are taken in, the instant that they are of.
    var evaluationInstant: Instant?
    /// The engine's shards, which it holds: what one instance sees of others may be in any of them.
    let shards = FlatTable<Unmanaged<EngineShard>>()
    /// Subjects that were refused, by the source's number.
    var refusedSubjects: [UInt64]

    struct DeviceEntry: Equatable, Sendable {
        var config: Document
        var labels: [String: String]
        /// Its own, or what its configuration says.
        var location: GeoPoint?
    }

    struct RuleState: BitwiseCopyable {
        var pendingOrFiring = 0
        var evaluationErrors: UInt64 = 0
        var health = RuleActivity.Health.unknown
        var refused: UInt64 = 0
        var refusedMembers: UInt64 = 0
        var evaluations: UInt64 = 0
        var lastEvaluationAt = Instant.distantPast
    }

    /// An alert of the engine about itself: `RuleOverLimit`, `TooManyInstances`.
    struct OwnAlert: Sendable {
        var record: AlertRecord
        var lastCauseAt: Instant
    }

    init(plan: EvaluationPlan, bounds: EngineBounds) {
        self.plan = plan
        self.bounds = bounds
        ruleStates = FlatTable(plan.rules.map { _ in RuleState() })
        refusedSubjects = [UInt64](repeating: 0, count: plan.sources.count)
        queries = plan.queries.map { QueryState($0) }
    }

    /// Whether one more subject may be made; counts the refusal otherwise.
    func mayAddSubject(for source: SourceState) -> Bool {
        guard counters.subjects >= bounds.maximumInstances else { return true }
        refusedSubjects[Int(source.number)] &+= 1
        raise(
            "TooManyInstances", key: [], labels: [:],
            summary:
                "there are \(counters.subjects) instances, as many as 'instances.max' allows; readings of further ones are refused and counted"
        )
        return false
    }

    /// The counters, those that are kept apart by rule put together.
    var totals: EngineCounters {
        var totals = counters
        totals.readings = readings
        totals.evaluations = evaluations
        for rule in plan.rules {
            let state = ruleStates[Int(rule.number)]
            let name = rule.rule.identity.description
            if state.evaluationErrors > 0 { totals.evaluationErrors[name] = state.evaluationErrors }
            let refused = state.refused &+ (rule.rule.isEnabled ? refusedSubjects[Int(rule.source)] : 0)
            if refused > 0 { totals.refusedInstances[name] = refused }
            if case let refused = refusedMembers(of: rule), refused > 0 { totals.refusedMembers[name] = refused }
            if let query = rule.query, queries[query].missed > 0 { totals.missedEvaluations[name] = queries[query].missed }
        }
        return totals
    }

    /// Readings of devices that could be no members of instances of a rule.
    func refusedMembers(of rule: RulePlan) -> UInt64 {
        let earlier = ruleStates[Int(rule.number)].refusedMembers
        return rule.memberSource < 0 || !rule.rule.isEnabled ? earlier : earlier &+ refusedSubjects[Int(rule.memberSource)]
    }

    func slot(_ path: [FieldPath.Element], in document: Document?) -> Slot {
        var found = document
        for element in path {
            switch element {
            case .name(let name): found = found?[name]
            case .index(let index):
                guard let elements = found?.array, elements.indices.contains(index) else { return .missing }
                found = elements[index]
            }
        }
        guard let found, found != .null else { return .missing }
        return Slot(retaining: found.celValue, strings: plan.strings)
    }
}
