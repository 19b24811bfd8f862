import CEL

/// What a rule says about time.
struct LifecycleTiming: Sendable {
    /// `for` of each level in nanoseconds, mildest first.
    var pending: [Int64]
    /// `keep_firing_for` in nanoseconds.
    var keepFiring: Int64
}

/// The life of one alert instance: inactive → pending → firing (→ recovering) → resolved, with levels and hysteresis.
///
/// A value that only knows what conditions said and when; everything else (labels, storing, telling) follows from the changes it returns.
struct AlertLifecycle: Equatable {
    enum Phase: UInt8 { case inactive, pending, firing, recovering, nodata }

    /// What a step changed.
    enum Change: Equatable {
        case none
        case becamePending
        case fired
        /// In place, while firing.
        case levelChanged
        case recovering
        /// Back from recovering; told to nobody.
        case relapsed
        case resolved
        /// A pending instance whose condition ended: nobody had heard of it.
        case dropped
        case lostData
    }

    // Members in the order in which they take the least memory.
    /// Since when the condition of the first level has been true, `distantFuture` when it is not.
    private var firstTrueSince: Instant = .distantFuture
    /// What most instances have none of. First the begin of a run of recovering, then since when the conditions of the levels above the first have been true,
    /// each `distantFuture` when it is not so. Empty for one level that is not recovering.
    private var others: [Instant] = []
    var phase: Phase = .inactive
    /// Place of the firing level, -1 when there is none.
    var level: Int8 = -1
    /// Fired because of silence: the next reading decides anew.
    var isMissing = false

    init(levels: Int = 1) {
        if levels > 1 { others = [Instant](repeating: .distantFuture, count: levels) }
    }

    var levelCount: Int { max(1, others.count) }

    var recoveringSince: Instant? {
        get { others.first.flatMap { $0 == .distantFuture ? nil : $0 } }
        set {
            guard newValue != recoveringSince else { return }
            if levelCount == 1 { others = newValue.map { [$0] } ?? [] } else { others[0] = newValue ?? .distantFuture }
        }
    }

    func trueSince(_ level: Int) -> Instant? {
        let since = level == 0 ? firstTrueSince : others[level]
        return since == .distantFuture ? nil : since
    }

    mutating func setTrueSince(_ level: Int, _ since: Instant?) {
        if level == 0 {
            firstTrueSince = since ?? .distantFuture
        } else if others[level] != since ?? .distantFuture {
            // Only what changes is written: a copy from before the step may share the memory.
            others[level] = since ?? .distantFuture
        }
    }

    /// The first instant at which time alone changes something.
    func deadline(_ timing: LifecycleTiming) -> Instant? {
        var earliest: Instant?
        func consider(_ instant: Instant) { earliest = min(earliest ?? instant, instant) }
        if phase != .nodata {
            for place in 0..<levelCount where place > Int(level) {
                if let since = trueSince(place) { consider(since + timing.pending[place]) }
            }
        }
        if phase == .recovering, let recoveringSince { consider(recoveringSince + timing.keepFiring) }
        return earliest
    }

    /// One evaluation at `now`. `conditions[l]` and `recoveries[l]` are what level l's `expr` and `resolve_expr` (without one: the contrary of `expr`) said;
    /// `.missing` and `.error` leave that level as it was, which is also how a timer steps: nothing new is known but the time. Only a timer makes
    /// something happen because time has passed, so that it happens at its own instant and in the order of timers.
    mutating func step(
        conditions: UnsafePointer<Program.Truth>, recoveries: UnsafePointer<Program.Truth>, timing: LifecycleTiming, now: Instant,
        isTimer: Bool = false
    ) -> Change {
        for place in 0..<levelCount {
            switch conditions[place] {
            case .yes: if trueSince(place) == nil { setTrueSince(place, now) }
            case .no: setTrueSince(place, nil)
            case .missing, .error: break
            }
        }
        if isMissing, !isTimer { return decideAnew(conditions: conditions, timing: timing, now: now) }
        let reached = isTimer ? now : .distantPast
        let matured = worstMatured(timing, reached)
        switch phase {
        case .inactive, .pending:
            if matured >= 0 { return fire(at: matured) }
            if hasTrueLevel {
                defer { phase = .pending }
                return phase == .inactive ? .becamePending : .none
            }
            guard phase == .pending else { return .none }
            phase = .inactive
            return .dropped
        case .nodata: return .none
        case .firing, .recovering:
            return stepFiring(conditions, recoveries, timing, reached, matured, at: now)
        }
    }

    private mutating func stepFiring(
        _ conditions: UnsafePointer<Program.Truth>, _ recoveries: UnsafePointer<Program.Truth>, _ timing: LifecycleTiming,
        _ reached: Instant,
        _ matured: Int, at now: Instant
    ) -> Change {
        let own = Int(level)
        if matured > own {
            level = Int8(matured)
            phase = .firing
            recoveringSince = nil
            return .levelChanged
        }
        if conditions[own] == .no, recoveries[own] == .yes {
            // The worst of the milder levels whose condition is true now, whatever its `for` says.
            if let milder = (0..<own).last(where: { conditions[$0] == .yes }) {
                level = Int8(milder)
                phase = .firing
                recoveringSince = nil
                return .levelChanged
            }
            if timing.keepFiring > 0, phase == .firing {
                phase = .recovering
                recoveringSince = now
                return .recovering
            }
        } else if phase == .recovering, conditions[own] == .yes || recoveries[own] == .no {
            phase = .firing
            recoveringSince = nil
            return .relapsed
        } else if phase == .firing {
            return .none
        }
        if phase == .recovering {
            guard let recoveringSince, reached >= recoveringSince + timing.keepFiring else { return .none }
        }
        return end()
    }

    /// After silence that counted as an alert or as no data, the first reading decides as if there had been nothing before.
    private mutating func decideAnew(conditions: UnsafePointer<Program.Truth>, timing: LifecycleTiming, now: Instant) -> Change {
        let isKnown = (0..<levelCount).contains { conditions[$0] == .yes || conditions[$0] == .no }
        guard isKnown else { return .none }
        let matured = worstMatured(timing, now)
        guard matured >= 0 else { return end() }
        isMissing = false
        let change = phase != .firing ? Change.fired : Int(level) == matured ? .none : .levelChanged
        phase = .firing
        level = Int8(matured)
        return change
    }

    /// The worst level whose condition has been true for its `for`, as far as time is `reached`; -1 for none.
    private func worstMatured(_ timing: LifecycleTiming, _ reached: Instant) -> Int {
        var place = levelCount - 1
        while place >= 0 {
            if let since = trueSince(place), timing.pending[place] == 0 || reached >= since + timing.pending[place] { return place }
            place -= 1
        }
        return -1
    }

    /// Whether the condition of a level is true.
    var hasTrueLevel: Bool { (0..<levelCount).contains { trueSince($0) != nil } }

    /// What goes on when an episode has resolved while the condition of another level, which has not been true for its `for`, is true.
    var remainder: AlertLifecycle {
        var next = AlertLifecycle(levels: levelCount)
        for place in 0..<levelCount { next.setTrueSince(place, trueSince(place)) }
        return next
    }

    private mutating func fire(at place: Int) -> Change {
        phase = .firing
        level = Int8(place)
        return .fired
    }

    private mutating func end() -> Change {
        phase = .inactive
        level = -1
        isMissing = false
        recoveringSince = nil
        return .resolved
    }

    /// Silence with the policies `ok`, `alert` and `nodata`.
    mutating func fellSilent(_ outcome: MissingPolicy.Outcome) -> Change {
        switch outcome {
        case .hold: return .none
        case .ok:
            for place in 0..<levelCount { setTrueSince(place, nil) }
            switch phase {
            case .inactive: return .none
            case .pending:
                phase = .inactive
                return .dropped
            default: return end()
            }
        case .alert:
            let worst = Int8(levelCount - 1)
            let before = phase
            guard before != .firing || level != worst else { return .none }
            isMissing = true
            recoveringSince = nil
            phase = .firing
            defer { level = worst }
            switch before {
            case .inactive, .pending, .nodata: return .fired
            case .firing, .recovering: return level == worst ? .relapsed : .levelChanged
            }
        case .nodata:
            guard phase != .nodata else { return .none }
            for place in 0..<levelCount { setTrueSince(place, nil) }
            isMissing = true
            recoveringSince = nil
            phase = .nodata
            return .lostData
        }
    }

    /// The instance ends for a reason outside its condition: the rule or the device is gone.
    mutating func endForGood() -> Change {
        switch phase {
        case .inactive: return .none
        case .pending:
            phase = .inactive
            return .dropped
        default: return end()
        }
    }
}
