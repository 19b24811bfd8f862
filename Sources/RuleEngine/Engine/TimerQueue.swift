import HeapModule

/// Something that has to be looked at when an instant has come. Timers may be out of date: who takes one checks whether it still holds.
struct Timer: Comparable, Sendable, BitwiseCopyable {
    enum Kind: UInt8 {
        /// The next aligned instant of a rule with `every`, or the next look at subjects that can be forgotten (`rule` is -1).
        case clock
        /// `for` or `keep_firing_for` of an active alert.
        case alert
        /// The comparison of an `age` turns.
        case age
        /// A subject may have fallen silent.
        case silence
        /// Something in a condition turns by the clock: a calendar, the sun.
        case turn
        /// The first timer of an instance with a time of its own.
        case instance
        /// A member of a group may have been silent for long enough to leave.
        case departure
        /// The absence that a sequence ends with has lasted.
        case sequence
    }
    var due: Instant
    /// The ordinal times eight, and the kind: their order is that of both, and a timer takes 24 bytes.
    private var ordinalAndKind: Int64
    /// Number of the rule, -1 when there is none.
    var rule: Int32
    var subject: Int32

    init(due: Instant, ordinal: Int64, rule: Int32, subject: Int32, kind: Kind) {
        self.due = due
        ordinalAndKind = ordinal << 3 | Int64(kind.rawValue)
        self.rule = rule
        self.subject = subject
    }

    /// Ordinal of the subject: in the order in which instances came, the same for any number of shards. -1 when there is none.
    var ordinal: Int64 { ordinalAndKind >> 3 }
    var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: ordinalAndKind & 7)) ?? .clock }

    /// At one instant: by rule, then instance, then kind.
    static func < (left: Timer, right: Timer) -> Bool {
        if left.due != right.due { return left.due < right.due }
        if left.rule != right.rule { return left.rule < right.rule }
        return left.ordinalAndKind < right.ordinalAndKind
    }
    static func == (left: Timer, right: Timer) -> Bool { !(left < right) && !(right < left) }
}

/// What a timer is of: a rule and a subject, which is never the same as another, also when its number is used again.
struct TimerKey: Hashable {
    var rule: Int32
    var ordinal: Int64
}

/// An instant before which no timer of an engine is due, however many queues there are: one look at a reading, mostly.
final class TimerFloor {
    private(set) var instant = Instant.distantFuture

    @inline(__always) func lower(to due: Instant) { if due < instant { instant = due } }
    /// What is due next has been looked up.
    func set(to due: Instant) { instant = due }
}

/// Timers by their instants.
struct TimerQueue {
    private let floor: TimerFloor
    private var heap = Heap<Timer>()
    /// When the first is due; `distantFuture` when there is none.
    private(set) var nextDue = Instant.distantFuture

    init(floor: TimerFloor) { self.floor = floor }

    var next: Timer? { heap.min }
    var count: Int { heap.count }
    /// In no order.
    var all: [Timer] { heap.unordered }

    mutating func add(_ timer: Timer) {
        heap.insert(timer)
        guard timer.due < nextDue else { return }
        nextDue = timer.due
        floor.lower(to: timer.due)
    }

    mutating func popFirst() -> Timer? {
        let first = heap.popMin()
        nextDue = heap.min?.due ?? .distantFuture
        return first
    }

    mutating func removeAll() {
        heap = Heap()
        nextDue = .distantFuture
    }
}
