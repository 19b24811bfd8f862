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
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        anchor = max(Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)), floor)
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
