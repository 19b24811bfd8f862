import Foundation
import RuleEngine
import Synchronization

/// Engine time: the monotonic clock anchored to wall time at start. It never goes back, whatever is done to the wall clock.
final class EngineClock: Sendable {
    private let anchor: Instant
    private let start: ContinuousClock.Instant
    private let last: Mutex<Instant>

    /// - Parameter floor: the last instant that the store knows of; the clock begins at it when wall time is behind.
    init(floor: Instant = .distantPast) {
        anchor = max(.wallClock, floor)
        start = .now
        last = Mutex(anchor)
    }

    func now() -> Instant {
        let instant = anchor + start.duration(to: .now).inNanoseconds
        return last.withLock { last in
            last = max(last, instant)
            return last
        }
    }
}

extension Instant {
    /// The wall clock's time, to a microsecond.
    static var wallClock: Instant { Instant(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e6) * 1000) }
}
