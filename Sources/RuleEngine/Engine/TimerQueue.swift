import HeapModule

/// Something that has to be looked at when an instant has come. Timers may be out of date: who takes one checks whether it still holds.
struct Timer: Comparable {
    enum Kind: UInt8 {
        /// `for` or `keep_firing_for` of an active alert.
        case alert
        /// The comparison of an `age` turns.
        case age
        /// A subject may have fallen silent.
        case silence
        /// The next aligned instant of a rule with `every`.
        case every
        /// Subjects that can be forgotten.
        case sweep
        /// An alert of the engine about itself may end.
        case ownAlert
    }
    var due: Instant
    /// Number of the rule, -1 when there is none.
    var rule: Int32
    /// Ordinal of the subject: in the order in which instances came, the same for any number of shards.
    var ordinal: Int64
    var kind: Kind
    var source: Int32
    var subject: Int32

    /// At one instant: by rule, then instance, then kind.
    static func < (left: Timer, right: Timer) -> Bool {
        (left.due, left.rule, left.ordinal, left.kind.rawValue, left.source) < (right.due, right.rule, right.ordinal, right.kind.rawValue, right.source)
    }
    static func == (left: Timer, right: Timer) -> Bool { !(left < right) && !(right < left) }
}

/// Timers by their instants.
struct TimerQueue {
    private var heap = Heap<Timer>()

    var next: Timer? { heap.min }
    var count: Int { heap.count }
    mutating func add(_ timer: Timer) { heap.insert(timer) }
    mutating func popFirst() -> Timer? { heap.popMin() }
    mutating func removeAll() { heap = Heap() }
}
