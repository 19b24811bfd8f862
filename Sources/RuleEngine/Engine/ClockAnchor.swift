/// Engine time out of a monotonic clock and the wall clock: it begins at wall time, goes on by the monotonic clock, and never goes back.
public struct ClockAnchor: Sendable {
    private var anchor: Instant
    private var last: Instant

    /// The wall clock is set in steps of less than this by what keeps it right; more is a jump.
    public static let jump: Int64 = 1_000_000_000

    /// - Parameter floor: engine time begins here when the wall clock is behind.
    public init(wall: Instant, floor: Instant) {
        anchor = max(wall, floor)
        last = anchor
    }

    /// - Parameter elapsed: nanoseconds by the monotonic clock since the anchor was made.
    public mutating func now(elapsed: Int64) -> Instant {
        last = max(last, anchor + elapsed)
        return last
    }

    /// Goes on from `floor` where that is ahead.
    public mutating func raise(to floor: Instant, elapsed: Int64) {
        anchor = anchor + max(0, floor - now(elapsed: elapsed))
    }

    /// Follows the wall clock where it is ahead. Where it is behind, engine time goes on, until wall time has caught up. Returns the nanoseconds of a jump that is more than an adjustment,
    /// else 0.
    public mutating func compare(wall: Instant, elapsed: Int64) -> Int64 {
        let ahead = wall - now(elapsed: elapsed)
        guard ahead > 0 else { return 0 }
        anchor = anchor + ahead
        return ahead > Self.jump ? ahead : 0
    }
}
