import CEL

/// An alert instance that is not inactive.
struct ActiveAlert {
    var rule: Int32
    var subject: Int32
    var lifecycle: AlertLifecycle
    var activeAt: Instant
    var ordinal: Int64
    var transition: Int64
    var firedAt = Instant.distantPast
    /// When its timer is set; `distantFuture`: none.
    var timerAt = Instant.distantFuture
    /// Labels when they do not simply follow from rule and key: templates, alerts from before a reload.
    var labels: FixedLabels?
}

/// Labels that were fixed when an episode began.
final class FixedLabels {
    let values: [String: String]
    init(_ values: [String: String]) { self.values = values }
}

/// Why an expression is evaluated: edges are only seen in live readings.
enum EvaluationCause {
    case liveReading, retainedReading, timer, change

    var isReading: Bool { self == .liveReading || self == .retainedReading }
}

/// A part of the engine's state: some subjects of every source, their alerts and timers.
final class EngineShard {
    let context: EngineContext
    let number: Int
    var sources: [SourceState]
    var alerts: [ActiveAlert] = []
    var freeAlerts: [Int32] = []
    var alertOf = PairTable()
    var timers = TimerQueue()
    /// When a timer for an age is set already.
    var ageTimers: [UInt64: Instant] = [:]

    // Memory that is used again for every evaluation.
    var frame: UnsafeMutablePointer<Slot>
    var oldFrame: UnsafeMutablePointer<Slot>
    private(set) var frameSize: Int
    var conditions: UnsafeMutablePointer<Program.Truth>
    var recoveries: UnsafeMutablePointer<Program.Truth>
    var frameGarbage: [Slot] = []
    /// Values that the reading at hand replaced, released after its evaluations.
    var replaced: [Slot] = []
    /// The source whose expressions are being evaluated.
    var currentSource: Int32 = 0
    var candidates: [Int32] = []
    var candidateStamp: [UInt32]
    var stamp: UInt32 = 0
    /// A bit a field: which the reading at hand carries.
    var carried: [UInt64] = []
    /// The configuration row of the reading's device, for sources whose key does not decide the device.
    var readingConfigRow: Int32 = 0

    init(context: EngineContext, number: Int) {
        self.context = context
        self.number = number
        let plan = context.plan
        sources = plan.sources.enumerated().map { SourceState(plan: $0.element, number: Int32($0.offset)) }
        frameSize = firstExtraSlot + (plan.sources.map(\.extras.count).max() ?? 0)
        frame = .allocate(capacity: frameSize)
        frame.initialize(repeating: .missing, count: frameSize)
        oldFrame = .allocate(capacity: frameSize)
        oldFrame.initialize(repeating: .missing, count: frameSize)
        let levels = plan.rules.map(\.levels.count).max() ?? 1
        conditions = .allocate(capacity: max(1, levels))
        recoveries = .allocate(capacity: max(1, levels))
        candidateStamp = [UInt32](repeating: 0, count: plan.rules.count)
        carried = [UInt64](repeating: 0, count: ((plan.sources.map(\.fields.count).max() ?? 0) + 63) / 64)
    }

    deinit {
        frame.deallocate()
        oldFrame.deallocate()
        conditions.deallocate()
        recoveries.deallocate()
    }

    @inline(__always) func isCarried(_ field: Int) -> Bool { carried[field >> 6] & (1 << UInt64(field & 63)) != 0 }

    func isAnyCarried(_ fields: Set<Int>) -> Bool { fields.contains { isCarried($0) } }

    // MARK: Subjects

    /// The subject of a key, made when it is new; nil when there may not be more.
    func subject(of source: SourceState, key: [String], create: Bool = true) -> Int32? {
        SourceState.keyBytes(key).withUnsafeBytes { bytes in
            let known = source.keys.find(bytes)
            if known >= 0 { return known }
            guard create, context.mayAddSubject(for: source.plan) else { return nil }
            let subject = source.add(key: bytes, ordinal: context.nextSubjectOrdinal)
            context.nextSubjectOrdinal += 1
            context.counters.subjects += 1
            source.subjects[Int(subject)].lastBeat = context.now
            if source.plan.usesDevices, let device = source.device(ofKey: key) {
                source.subjects[Int(subject)].configRow = configRow(of: device, in: source)
                source.subjectsOfConfigRow[Int(source.subjects[Int(subject)].configRow)].append(subject)
            }
            armSilence(source, subject)
            return subject
        }
    }

    func configRow(of device: String, in source: SourceState) -> Int32 {
        if let row = source.configRowOfDevice[device] { return row }
        let row = Int32(source.deviceOfConfigRow.count)
        source.configRowOfDevice[device] = row
        source.deviceOfConfigRow.append(device)
        source.subjectsOfConfigRow.append([])
        source.configRows.reach(row)
        fillConfigRow(row, of: source)
        return row
    }

    func fillConfigRow(_ row: Int32, of source: SourceState) {
        source.configRows.clear(row)
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

    // MARK: Timers

    func armSilence(_ source: SourceState, _ subject: Int32) {
        let head = source.subjects[Int(subject)]
        guard Int(head.silenceStage) < source.plan.missingRules.count else { return }
        let rule = source.plan.missingRules[Int(head.silenceStage)]
        guard let after = context.plan.rules[Int(rule)].silenceDeadline else { return }
        timers.add(
            Timer(
                due: max(head.lastBeat, context.beatFloor) + after, rule: rule, ordinal: head.ordinal, kind: .silence, source: source.number,
                subject: subject))
    }

    /// Sets the alert's timer to the next instant at which time alone changes it, unless one is set that comes no later.
    func arm(_ alert: Int32) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        guard let deadline = active.lifecycle.deadline(rule.timing), deadline < active.timerAt else { return }
        alerts[Int(alert)].timerAt = deadline
        let source = sources[Int(rule.source)]
        timers.add(
            Timer(
                due: deadline, rule: active.rule, ordinal: source.subjects[Int(active.subject)].ordinal, kind: .alert, source: rule.source,
                subject: active.subject))
    }

    func armAges(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let ages = source.plan.ageFields.count
        for turn in rule.ageTurns {
            let set = source.setAt[Int(subject) * ages + turn.place]
            guard set != .distantPast, case let due = set + turn.nanoseconds, due > context.now else { continue }
            let key = UInt64(UInt32(bitPattern: rule.number)) << 32 | UInt64(UInt32(bitPattern: subject))
            if let armed = ageTimers[key], armed <= due { continue }
            ageTimers[key] = due
            timers.add(
                Timer(
                    due: due, rule: rule.number, ordinal: source.subjects[Int(subject)].ordinal, kind: .age, source: source.number, subject: subject))
        }
    }

    /// Runs one timer that is due at `context.now`.
    func run(_ timer: Timer) {
        switch timer.kind {
        case .alert:
            let alert = alertOf[timer.rule, timer.subject]
            guard alert >= 0, alerts[Int(alert)].timerAt == timer.due else { return }
            alerts[Int(alert)].timerAt = .distantFuture
            stepOnTime(alert)
        case .age:
            let key = UInt64(UInt32(bitPattern: timer.rule)) << 32 | UInt64(UInt32(bitPattern: timer.subject))
            guard ageTimers[key] == timer.due else { return }
            ageTimers[key] = nil
            let source = sources[Int(timer.source)]
            guard source.subjects[Int(timer.subject)].isKnown else { return }
            evaluate(timer.rule, source, timer.subject, .timer)
        case .silence: runSilence(timer)
        case .every:
            let rule = context.plan.rules[Int(timer.rule)]
            let source = sources[Int(rule.source)]
            for subject in source.inOrder { evaluate(timer.rule, source, subject, .timer) }
        case .sweep: forgetSilentSubjects()
        case .ownAlert: break
        }
    }

    private func runSilence(_ timer: Timer) {
        let source = sources[Int(timer.source)]
        let head = source.subjects[Int(timer.subject)]
        guard head.isKnown, head.ordinal == timer.ordinal, Int(head.silenceStage) < source.plan.missingRules.count,
            source.plan.missingRules[Int(head.silenceStage)] == timer.rule
        else { return }
        let rule = context.plan.rules[Int(timer.rule)]
        guard let after = rule.silenceDeadline else { return }
        if max(head.lastBeat, context.beatFloor) + after > context.now {
            armSilence(source, timer.subject)
            return
        }
        source.subjects[Int(timer.subject)].silenceStage += 1
        fallSilent(rule, source, timer.subject)
        armSilence(source, timer.subject)
    }

    /// A reading has come: silence begins to count anew.
    @inline(__always)
    func beat(_ source: SourceState, _ subject: Int32) {
        source.subjects[Int(subject)].lastBeat = context.now
        if source.subjects[Int(subject)].silenceStage > 0 {
            source.subjects[Int(subject)].silenceStage = 0
            armSilence(source, subject)
        }
    }

    private func forgetSilentSubjects() {
        let oldest = context.now + -context.settings.forgetAfter.inNanoseconds
        for source in sources where !source.plan.isOnClock {
            for subject in source.inOrder {
                let head = source.subjects[Int(subject)]
                if head.activeAlerts == 0, head.lastBeat < oldest { forget(source, subject) }
            }
        }
    }

    func forget(_ source: SourceState, _ subject: Int32) {
        let row = Int(source.subjects[Int(subject)].configRow)
        if row > 0 { source.subjectsOfConfigRow[row].removeAll { $0 == subject } }
        source.remove(subject)
        context.counters.subjects -= 1
        context.hasForgotten = true
    }
}

extension RulePlan {
    /// Nanoseconds of silence after which `missing` speaks.
    var silenceDeadline: Int64? {
        guard case .after(let duration)? = rule.missing?.deadline else { return nil }
        return duration.inNanoseconds
    }
}

extension SourceState {
    /// Subjects in the order in which the engine met them.
    var inOrder: [Int32] {
        subjects.indices.filter { subjects[$0].isKnown }.sorted { subjects[$0].ordinal < subjects[$1].ordinal }.map { Int32($0) }
    }
}
