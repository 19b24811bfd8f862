/// Where one instance stands in a rule's `sequence`. There is one run at a time: a reading takes it on, breaks it, begins another, or is none of its business.
///
/// A value that only knows which steps came and when; what a step is, others say.
struct SequenceRun: Equatable, BitwiseCopyable {
    enum Phase: UInt8 {
        /// No step has come yet.
        case idle
        case underWay
        /// The next step had not come when its `within` was over.
        case late
        /// What the last step says must not happen has happened.
        case broken
        case complete
    }

    // Of a run that has ended, the members say how, until another begins.
    private(set) var phase = Phase.idle
    /// How many steps have come.
    private(set) var steps: Int32 = 0
    /// When the last of them came; of a run that was broken or is complete: when that was.
    private(set) var at = Instant.distantPast
    /// When its timer is set; `distantFuture`: none. Instances with a time of their own keep their timers themselves.
    var timerAt = Instant.distantFuture

    init() {}

    init(phase: Phase, steps: Int32, at: Instant, timerAt: Instant = .distantFuture) {
        (self.phase, self.steps, self.at, self.timerAt) = (phase, steps, at, timerAt)
    }

    /// What a reading did.
    struct Change: Equatable {
        /// The run under way ended, late or broken.
        var ended: Phase?
        /// The step that had been awaited then.
        var endedAt: Int?
        /// The step that the reading was.
        var came: Int?
        var isComplete = false
    }

    /// The step that is awaited.
    var awaited: Int { phase == .underWay ? Int(steps) : 0 }

    /// Until when the awaited step may come, or must not; nil: there is no such instant.
    func deadline(_ sequence: SequencePlan) -> Instant? {
        guard phase == .underWay, let within = sequence.steps[awaited].within else { return nil }
        return at + within
    }

    /// When time alone completes the run: its last step is an absence, and under way.
    func completion(_ sequence: SequencePlan) -> Instant? {
        guard phase == .underWay, sequence.steps[awaited].isAbsence else { return nil }
        return deadline(sequence)
    }

    /// Whether the awaited step had to come before an instant. An absence is never late: it ends with its timer.
    func isLate(_ sequence: SequencePlan, at now: Instant) -> Bool {
        guard let deadline = deadline(sequence) else { return false }
        return deadline < now && !sequence.steps[awaited].isAbsence
    }

    /// One reading. `isTrue` says whether the condition of a step holds for it; it is asked for the awaited step, and for the first one where the reading is not that.
    mutating func take(_ sequence: SequencePlan, at now: Instant, isTrue: (Int) -> Bool) -> Change {
        var change = Change()
        if isLate(sequence, at: now) {
            change = Change(ended: .late, endedAt: awaited)
            phase = .late
        } else if phase == .underWay, isTrue(awaited) {
            guard sequence.steps[awaited].isAbsence else { return advance(sequence, at: now) }
            change = Change(ended: .broken, endedAt: awaited)
            (phase, at) = (.broken, now)
        }
        guard isTrue(0) else { return change }
        (phase, steps, at) = (.underWay, 1, now)
        change.came = 0
        return change
    }

    private mutating func advance(_ sequence: SequencePlan, at now: Instant) -> Change {
        var change = Change(came: awaited)
        (steps, at) = (steps + 1, now)
        if Int(steps) == sequence.steps.count {
            phase = .complete
            change.isComplete = true
        }
        return change
    }

    /// The time of the absence is over.
    mutating func complete(at now: Instant) { (phase, steps, at) = (.complete, steps + 1, now) }
}
