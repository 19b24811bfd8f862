import RuleEngine

/// Decides what InfluxDB is asked next, and notices when it is away. One request at a time; everything is tried again, at growing intervals, until it is answered.
struct Delivery {
    typealias Moment = ContinuousClock.Instant

    enum Step: Equatable {
        case setUp, write
        /// Compute again what continuous queries have missed.
        case fill
        case wait(until: Moment?)
    }
    private enum State: Equatable {
        /// Nobody knows whether database, policies and queries are there.
        case unprepared
        case waiting(until: Moment)
        case ready
        case busy
    }

    private var state = State.unprepared
    /// In a row.
    private var failures = 0
    /// Why InfluxDB takes nothing; nil when it does, or was not asked yet.
    private(set) var outage: String?
    /// Something of an outage waits, or has waited, and continuous queries have not seen it.
    var hasGap = false

    var isBusy: Bool { state == .busy }

    mutating func next(at now: Moment, hasPoints: Bool) -> Step {
        switch state {
        case .busy: return .wait(until: nil)
        case .waiting(let until) where until > now: return .wait(until: until)
        case .waiting, .unprepared:
            state = .busy
            return .setUp
        case .ready:
            guard hasPoints || hasGap else { return .wait(until: nil) }
            state = .busy
            return hasPoints ? .write : .fill
        }
    }

    /// The set-up was answered; whether points are taken is for the next write to say.
    mutating func prepared() { state = .ready }

    /// True when this ended an outage.
    mutating func answered() -> Bool {
        state = .ready
        failures = 0
        defer { outage = nil }
        return outage != nil
    }

    /// True when this began an outage. `chance`, from 0 to 1, keeps many servers from coming back at the same moment.
    mutating func failed(_ reason: String, at now: Moment, retryAfter: Duration? = nil, chance: Double) -> Bool {
        state = .waiting(until: now + (retryAfter.map { min($0, .seconds(300)) } ?? Self.pause(failures, chance)))
        failures += 1
        defer { outage = reason }
        return outage == nil
    }

    /// Half a second, twice as long each time, up to 30 s; less up to a fifth.
    private static func pause(_ failures: Int, _ chance: Double) -> Duration {
        .milliseconds(min(30_000, 500 << min(failures, 6))) * (1 - 0.2 * min(1, max(0, chance)))
    }
}
