/// The time of an instance whose readings say when they were measured: its newest event time, and the engine's time since that reading came.
///
/// It never goes back behind what it has shown: an instant at which a rule was evaluated, or a timer ran. Time that passed unseen between a reading and the next one is
/// not held against the next one: a device that sends once an hour what it kept has each hour as it was.
struct InstanceClock: BitwiseCopyable {
    /// Of the newest reading; `distantPast`: there was none.
    private(set) var newest = Instant.distantPast
    /// Engine time at which it came.
    private(set) var arrivedAt = Instant.distantPast
    /// The latest that anybody has read.
    private(set) var shown = Instant.distantPast
    /// The engine's timer for the first of the instance's timers; others are out of date.
    var timerAt = Instant.distantFuture
    var timerRule: Int32 = -1

    init() {}

    init(newest: Instant, arrivedAt: Instant, shown: Instant) { (self.newest, self.arrivedAt, self.shown) = (newest, arrivedAt, shown) }

    var isSet: Bool { newest != .distantPast }

    /// What the clock shows at an instant of engine time; before the first reading that is engine time itself.
    func time(at now: Instant) -> Instant { isSet ? max(shown, newest + (now - arrivedAt)) : now }

    /// Reads the clock.
    mutating func read(at now: Instant) -> Instant {
        let time = time(at: now)
        if isSet { shown = time }
        return time
    }

    /// A reading has come that is not late.
    mutating func set(to measuredAt: Instant, at now: Instant) {
        shown = isSet ? max(shown, measuredAt) : measuredAt
        (newest, arrivedAt) = (measuredAt, now)
    }

    /// A timer has come.
    mutating func reach(_ instant: Instant) { if isSet { shown = max(shown, instant) } }

    /// The instant of engine time at which the clock shows an instant, unless another reading comes.
    func engineTime(of instant: Instant) -> Instant {
        guard isSet else { return instant }
        return instant <= shown ? .distantPast : arrivedAt + (instant - newest)
    }
}

/// Something due at an instant of an instance's own time: there is one of each kind and rule, and it is never out of date.
struct InstanceTimer: Comparable {
    enum Kind: UInt8 {
        /// `for` or `keep_firing_for` of the active alert.
        case alert
        /// An age or a window turns.
        case turn
        /// The absence that a sequence ends with has lasted.
        case sequence
    }
    var due: Instant
    var rule: Int32
    var kind: Kind

    static func < (left: InstanceTimer, right: InstanceTimer) -> Bool {
        if left.due != right.due { return left.due < right.due }
        if left.rule != right.rule { return left.rule < right.rule }
        return left.kind.rawValue < right.kind.rawValue
    }
}
