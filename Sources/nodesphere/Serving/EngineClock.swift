import Foundation
import RuleEngine
import Synchronization

/// Engine time: the monotonic clock anchored to wall time at start. It never goes back, whatever is done to the wall clock.
final class EngineClock: Sendable {
    private let start = ContinuousClock.now
    private let anchor: Mutex<ClockAnchor>

    /// - Parameter floor: the last instant that journal or store know of; the clock begins at it when wall time is behind.
    init(floor: Instant = .distantPast) { anchor = Mutex(ClockAnchor(wall: .wallClock, floor: floor)) }

    private var elapsed: Int64 { start.duration(to: .now).inNanoseconds }

    func now() -> Instant { anchor.withLock { $0.now(elapsed: elapsed) } }

    /// Compares with the wall clock; by how much engine time jumped forward, 0 when it did not.
    func compareWithWall() -> Int64 { anchor.withLock { $0.compare(wall: .wallClock, elapsed: elapsed) } }
}

extension Instant {
    /// The wall clock's time, to a microsecond.
    static var wallClock: Instant { Instant(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e6) * 1000) }
}
