import CEL

/// An alert instance that is not inactive. Its members are in the order in which they take 64 bytes.
struct ActiveAlert {
    var lifecycle: AlertLifecycle
    private var transitions: UInt32 = 0
    /// -1 in a place that is free.
    private(set) var rule: Int32
    private(set) var subject: Int32
    var activeAt: Instant
    var ordinal: Int64
    /// When its timer is set; `distantFuture`: none.
    var timerAt = Instant.distantFuture
    private var episode: Episode?

    /// What is known of an episode that has fired, or whose labels are kept. Immutable, so that alerts that share one are none the wiser.
    private final class Episode {
        let firedAt: Instant
        let labels: FixedLabels?
        init?(firedAt: Instant, labels: FixedLabels?) {
            if firedAt == .distantPast, labels == nil { return nil }
            self.firedAt = firedAt
            self.labels = labels
        }
    }

    init(rule: Int32, subject: Int32, lifecycle: AlertLifecycle, activeAt: Instant, ordinal: Int64) {
        self.lifecycle = lifecycle
        self.rule = rule
        self.subject = subject
        self.activeAt = activeAt
        self.ordinal = ordinal
    }

    /// What is in a free place.
    static var none: ActiveAlert { ActiveAlert(rule: -1, subject: -1, lifecycle: AlertLifecycle(), activeAt: .distantPast, ordinal: 0) }

    /// Transitions of the episode so far.
    var transition: Int64 {
        get { Int64(transitions) }
        set { transitions = UInt32(clamping: newValue) }
    }
    var firedAt: Instant {
        get { episode?.firedAt ?? .distantPast }
        set { episode = Episode(firedAt: newValue, labels: labels) }
    }
    /// Labels when they do not simply follow from rule and key: templates, alerts from before a reload.
    var labels: FixedLabels? {
        get { episode?.labels }
        set { episode = Episode(firedAt: firedAt, labels: newValue) }
    }
}

/// Labels that were fixed when an episode began.
final class FixedLabels {
    let values: [String: String]
    init(_ values: [String: String]) { self.values = values }
}

/// Why an expression is evaluated: edges are only seen in live readings.
enum EvaluationCause {
    case liveReading, retainedReading, lateReading, timer, change
}

/// A part of the engine's state: some subjects of every source, their alerts and timers.
final class EngineShard {
    let context: EngineContext
    let number: Int
    let sources: [SourceState]
    /// The same once more, read without counting references: `sources` holds them.
    let sourceTable: FlatTable<Unmanaged<SourceState>>
    /// The plan's rules as evaluations see them: `ruleTable` holds that memory.
    let rules: UnsafePointer<RuleTable.Row>
    private let ruleTable: RuleTable
    let alerts = AlertTable()
    var timers: TimerQueue
    /// Timers of alerts that are gone: the next alert of the same rule and subject takes its own over, so that flapping does not fill the queue.
    var leftTimers: [TimerKey: Instant] = [:]
    /// The timer of an age that counts; others are out of date.
    var ageTimers: [TimerKey: Instant] = [:]
    /// The same for the timers of calendars and the sun.
    var clockTimers: [TimerKey: Instant] = [:]
    var sunTimes = SunTimes()

    // Memory that is used again for every evaluation.
    let frame: UnsafeMutablePointer<Slot>
    let oldFrame: UnsafeMutablePointer<Slot>
    /// What a late reading says, over what was known; the references are borrowed.
    let lateRow: UnsafeMutablePointer<Slot>
    let conditions: UnsafeMutablePointer<Program.Truth>
    let recoveries: UnsafeMutablePointer<Program.Truth>
    let frameGarbage = FlatTable<Slot>()
    /// Values that the reading at hand replaced, released after its evaluations.
    let replaced = FlatTable<Slot>()
    var occasion = Occasion()
    /// The instant at which rules are evaluated: of the instance's own time, where it has one, else the engine's.
    var at = Instant.distantPast
    /// When the reading at hand was measured.
    var readingAt = Instant.distantPast
    /// The occasion at which an extra was last computed.
    let extraStamp: UnsafeMutablePointer<UInt32>
    let extraCount: Int
    let candidates: UnsafeMutablePointer<Int32>
    var candidateCount = 0
    let candidateStamp: UnsafeMutablePointer<UInt32>
    var stamp: UInt32 = 0
    /// A bit a field: which the reading at hand carries.
    let carried: UnsafeMutablePointer<UInt64>
    /// A bit for each filter of the source that the topic of the reading at hand matches, where sequences ask.
    var matchedSubscriptions: UInt64 = 0
    /// The configuration row of the reading's device, for sources whose key does not decide the device.
    var readingConfigRow: Int32 = 0

    init(context: EngineContext, number: Int) {
        self.context = context
        self.number = number
        let plan = context.plan
        sources = plan.sources.indices.map { SourceState(plan: plan.sources[$0], index: plan.indexes[$0], number: Int32($0)) }
        sourceTable = FlatTable(sources.map(Unmanaged.passUnretained))
        ruleTable = plan.table
        rules = plan.table.rows
        timers = TimerQueue(floor: context.timerFloor)
        extraCount = plan.sources.map(\.extras.count).max() ?? 0
        frame = .allocate(capacity: firstExtraSlot + extraCount)
        frame.initialize(repeating: .missing, count: firstExtraSlot + extraCount)
        oldFrame = .allocate(capacity: firstExtraSlot + extraCount)
        oldFrame.initialize(repeating: .missing, count: firstExtraSlot + extraCount)
        let fields = max(1, plan.sources.map(\.fields.count).max() ?? 1)
        lateRow = .allocate(capacity: fields)
        lateRow.initialize(repeating: .missing, count: fields)
        extraStamp = .allocate(capacity: max(1, extraCount))
        extraStamp.initialize(repeating: 0, count: extraCount)
        let levels = max(1, plan.rules.map(\.levels.count).max() ?? 1)
        conditions = .allocate(capacity: levels)
        conditions.initialize(repeating: .missing, count: levels)
        recoveries = .allocate(capacity: levels)
        recoveries.initialize(repeating: .missing, count: levels)
        candidates = .allocate(capacity: max(1, plan.rules.count))
        candidateStamp = .allocate(capacity: max(1, plan.rules.count))
        candidateStamp.initialize(repeating: 0, count: plan.rules.count)
        let words = ((plan.sources.map(\.fields.count).max() ?? 0) + 63) / 64
        carried = .allocate(capacity: max(1, words))
        carried.initialize(repeating: 0, count: words)
    }

    deinit {
        frame.deallocate()
        oldFrame.deallocate()
        lateRow.deallocate()
        extraStamp.deallocate()
        conditions.deallocate()
        recoveries.deallocate()
        candidates.deallocate()
        candidateStamp.deallocate()
        carried.deallocate()
    }

    /// The number of the alert of a rule and a subject, or -1.
    @inline(__always) var alertOf: AlertTable { alerts }

    @inline(__always) func isCarried(_ field: Int) -> Bool { carried[field >> 6] & (1 << UInt64(field & 63)) != 0 }

    @inline(__always)
    func isAnyCarried(_ fields: [Int]) -> Bool {
        for field in fields where isCarried(field) { return true }
        return false
    }

    func source(of rule: Int32) -> SourceState { sources[Int(context.plan.rules[Int(rule)].source)] }

    // MARK: Subjects

    /// The subject of a key, made when it is new; nil when there may not be more.
    func subject(of source: SourceState, key: [String]) -> Int32? {
        SourceState.keyBytes(key).withUnsafeBytes { bytes in
            let known = source.keys.find(bytes)
            if known >= 0 { return known }
            guard source.members?.hasRoom(for: Array(bytes)) ?? true else {
                context.refusedSubjects[Int(source.number)] &+= 1
                return nil
            }
            guard context.mayAddSubject(for: source) else { return nil }
            let subject = source.add(key: bytes, ordinal: context.nextSubjectOrdinal)
            context.nextSubjectOrdinal += 1
            context.counters.subjects += 1
            source.subjects[Int(subject)].lastBeat = context.now
            placeInConfigRow(source, subject)
            armSilence(source, subject)
            armDeparture(source, subject)
            return subject
        }
    }

    func placeInConfigRow(_ source: SourceState, _ subject: Int32) {
        guard source.plan.usesDevices, let device = source.device(ofKey: source.keyValues(subject)) else { return }
        let row = configRow(of: device, in: source)
        source.subjects[Int(subject)].configRow = row
        source.subjectsOfConfigRow[Int(row)].append(subject)
    }

    func configRow(of device: String, in source: SourceState) -> Int32 {
        if let row = source.configRowOfDevice[device] { return row }
        let row = Int32(source.deviceOfConfigRow.count)
        source.configRowOfDevice[device] = row
        source.deviceOfConfigRow.append(device)
        source.locationOfConfigRow.append(nil)
        source.subjectsOfConfigRow.append([])
        source.configRows.reach(row)
        fillConfigRow(row, of: source)
        return row
    }

    func fillConfigRow(_ row: Int32, of source: SourceState) {
        source.configRows.clear(row)
        source.locationOfConfigRow[Int(row)] = context.devices[source.deviceOfConfigRow[Int(row)]]?.location
        guard let device = context.devices[source.deviceOfConfigRow[Int(row)]] else { return }
        for (place, path) in source.plan.configPaths.enumerated() {
            source.configRows.row(row)[place] = context.slot(path, in: device.config)
        }
    }

    func fillVariables(of source: SourceState) {
        source.variables.clear(0)
        for (place, path) in source.plan.variablePaths.enumerated() {
            guard case .name(let name)? = path.first else { continue }
            source.variables.row(0)[place] = context.slot(Array(path.dropFirst()), in: context.variables[name])
        }
    }

    func forget(_ source: SourceState, _ subject: Int32) {
        touch(source, subject)
        let row = Int(source.subjects[Int(subject)].configRow)
        if row > 0 { source.subjectsOfConfigRow[row].removeAll { $0 == subject } }
        context.forgetErrors(of: source.plan.rules, instance: source.subjects[Int(subject)].ordinal)
        source.remove(subject)
        context.counters.subjects -= 1
    }

    func forgetSilentSubjects() {
        let oldest = context.now + -context.bounds.forgetAfter.inNanoseconds
        for source in sources where !source.plan.isOnClock && !source.plan.key.isForOthers {
            for subject in source.subjects.indices {
                let head = source.subjects[subject]
                guard head.isKnown, head.activeAlerts == 0, head.lastBeat < oldest, !isRunPending(source, Int32(subject)) else { continue }
                forget(source, Int32(subject))
            }
        }
    }

    // MARK: Timers

    /// Sets the alert's timer to the next instant at which time alone changes it, unless one is set that comes no later.
    func arm(_ alert: Int32) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        let source = sources[Int(rule.source)]
        if source.index.hasEventTime {
            let due = active.lifecycle.deadline(rule.timing) ?? .distantFuture
            return setInstanceTimer(InstanceTimer(due: due, rule: active.rule, kind: .alert), source, active.subject)
        }
        guard let due = active.lifecycle.deadline(rule.timing), due != .distantFuture else { return }
        let ordinal = source.subjects[Int(active.subject)].ordinal
        let key = TimerKey(rule: active.rule, ordinal: ordinal)
        if active.timerAt == .distantFuture, !leftTimers.isEmpty, let left = leftTimers.removeValue(forKey: key) {
            alerts[Int(alert)].timerAt = left
        }
        guard due < alerts[Int(alert)].timerAt else { return }
        alerts[Int(alert)].timerAt = due
        timers.add(Timer(due: due, ordinal: ordinal, rule: active.rule, subject: active.subject, kind: .alert))
    }

    /// Sets a timer for the next instant at which a comparison of an age turns. The frame holds the rule's extras.
    func armAges(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let ages = source.plan.ageFields.count
        var next = Instant.distantFuture
        for turn in rule.ageTurns {
            let set = source.setAt[Int(subject) * ages + turn.place]
            guard set != .distantPast, source.slots.row(subject)[source.plan.ageFields[turn.place]].kind != .missing else { continue }
            let limit: Int64
            switch turn.limit {
            case .constant(let nanoseconds): limit = nanoseconds
            case .slot(let slot):
                guard frame[slot].kind == .duration else { continue }
                limit = Int64(bitPattern: frame[slot].bits)
            }
            for offset in turn.offsets {
                let due = set + limit + offset
                if due > at, due < next { next = due }
            }
        }
        for place in rule.windows {
            let window = Int(source.index.windowOfExtra[Int(place)])
            let change =
                window >= 0
                ? source.windows[Int(subject)].nextChange(of: window, after: at) : nextRecordedChange(Int(place), source, subject)
            if let change, change < next { next = change }
        }
        for turn in rule.windowTurns {
            guard case .window(let window) = source.plan.extras[Int(turn.window)].kind, let limit = limit(of: turn) else { continue }
            if let due = source.windows[Int(subject)].nextTurn(of: window, at: limit, after: at), due < next { next = due }
        }
        if source.index.hasEventTime {
            return setInstanceTimer(InstanceTimer(due: next, rule: rule.number, kind: .turn), source, subject)
        }
        guard next != .distantFuture else { return }
        let ordinal = source.subjects[Int(subject)].ordinal
        let key = TimerKey(rule: rule.number, ordinal: ordinal)
        if let armed = ageTimers[key], armed <= next { return }
        ageTimers[key] = next
        timers.add(Timer(due: next, ordinal: ordinal, rule: rule.number, subject: subject, kind: .age))
    }

    /// A duration in nanoseconds, or a number.
    private func limit(of turn: RulePlan.WindowTurn) -> Double? {
        let slot: Slot
        switch turn.limit {
        case .constant(let constant): slot = constant
        case .slot(let place): slot = frame[place]
        }
        return slot.kind == .duration ? Double(Int64(bitPattern: slot.bits)) : slot.finiteNumber
    }

    /// Whether a timer that was taken from the queue stands for something that happens at its instant. Where it is out of date, what it stood for gets another.
    func isCurrent(_ timer: Timer) -> Bool {
        if timer.kind == .departure { return isDepartureDue(timer) }
        let key = TimerKey(rule: timer.rule, ordinal: timer.ordinal)
        let source = source(of: timer.rule)
        let isOfSubject = source.subjects[Int(timer.subject)].ordinal == timer.ordinal
        switch timer.kind {
        case .alert:
            if !leftTimers.isEmpty, leftTimers[key] == timer.due { leftTimers[key] = nil }
            guard isOfSubject, case let alert = alertOf[timer.rule, timer.subject], alert >= 0, alerts[Int(alert)].timerAt == timer.due
            else { return false }
            alerts[Int(alert)].timerAt = .distantFuture
            let rule = context.plan.rules[Int(timer.rule)]
            if let deadline = alerts[Int(alert)].lifecycle.deadline(rule.timing), deadline <= timer.due { return true }
            arm(alert)
            return false
        case .age:
            guard ageTimers[key] == timer.due else { return false }
            if isOfSubject { touch(source, timer.subject) }
            ageTimers[key] = nil
            return isOfSubject
        case .turn:
            guard clockTimers[key] == timer.due else { return false }
            if isOfSubject { touch(source, timer.subject) }
            clockTimers[key] = nil
            return isOfSubject
        case .silence:
            if isOfSubject { touch(source, timer.subject) }
            return isOfSubject && isSilenceDue(timer, source)
        case .instance:
            if isOfSubject { touch(source, timer.subject) }
            return isOfSubject && isInstanceDue(timer, source)
        case .sequence:
            if isOfSubject { touch(source, timer.subject) }
            return isOfSubject && isRunDue(timer, source)
        case .clock, .departure: return true
        }
    }

    /// Runs one timer that is due at `context.now`.
    func run(_ timer: Timer) {
        if timer.kind == .departure { return runDeparture(timer) }
        let source = source(of: timer.rule)
        touch(source, timer.subject)
        switch timer.kind {
        case .alert: stepOnTime(alertOf[timer.rule, timer.subject])
        case .age, .turn: evaluate(timer.rule, source, timer.subject, .timer)
        case .silence: runSilence(timer, source)
        case .instance: runInstance(source, timer.subject)
        case .sequence: completeRun(timer.rule, source, timer.subject, at: context.now)
        case .clock, .departure: break
        }
    }
}
