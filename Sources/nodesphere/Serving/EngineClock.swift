import Foundation
import RuleEngine
import Synchronization

/// Engine time: the monotonic clock anchored to wall time at start. It never goes back, whatever is done to the wall clock. A server has one: what the engine decides for an
/// instant must not be in the scheduler's future.
final class EngineClock: Sendable {
    private let start = ContinuousClock.now
    private let anchor: Mutex<ClockAnchor>

    init() { anchor = Mutex(ClockAnchor(wall: .wallClock, floor: .distantPast)) }

    /// Goes on from the last instant that journal or store know of, where wall time is behind it.
    func raise(to floor: Instant) { anchor.withLock { $0.raise(to: floor, elapsed: elapsed) } }

    private var elapsed: Int64 { start.duration(to: .now).inNanoseconds }

    func now() -> Instant { anchor.withLock { $0.now(elapsed: elapsed) } }

    /// Compares with the wall clock; by how much engine time jumped forward, 0 when it did not.
    func compareWithWall() -> Int64 { anchor.withLock { $0.compare(wall: .wallClock, elapsed: elapsed) } }
}

extension Instant {
    /// The wall clock's time, to a microsecond.
    static var wallClock: Instant { Instant(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e6) * 1000) }
}
