/// When `duration_over_time` and `share_over_time` pass a limit by the passing of time alone.
///
/// Between the instants of `nextChange` the time for which a condition held, and the time that is known, grow and shrink evenly: what they
/// will be, and when they meet a limit, is a straight line.
struct HeldTime {
    /// For how long the condition held within the window, and how much of the window is known, nanoseconds.
    var held: Int64
    var known: Int64
    /// How both change with each nanosecond: -1, 0 or 1.
    var heldSlope: Int64
    var knownSlope: Int64

    /// How long until `held` reaches a limit; nil when it moves away from it or stands still. At the limit it leaves it a nanosecond later.
    func timeUntil(duration limit: Int64) -> Int64? {
        timeUntil(distance: Double(limit) - Double(held), slope: Double(heldSlope))
    }

    /// How long until `held / known` reaches a limit.
    func timeUntil(share limit: Double) -> Int64? {
        timeUntil(distance: limit * Double(known) - Double(held), slope: Double(heldSlope) - limit * Double(knownSlope))
    }

    private func timeUntil(distance: Double, slope: Double) -> Int64? {
        let time = (distance / slope).rounded(.up)
        // NaN where there is neither distance nor slope.
        guard time >= 0, slope != 0, time < 4e18 else { return nil }
        return max(1, Int64(time))
    }
}

extension WindowTrack {
    /// Nil while nothing is known of the condition.
    func heldTime(_ truth: TruthContents, at now: Instant, _ key: Key, _ history: borrowing SampleHistory) -> HeldTime? {
        let end = key.upper(at: now)
        let inside = count == 0 ? TruthSummary() : truth.sliding?.summary(history, start: Int(low)) ?? TruthSummary(history, range)
        var time = HeldTime(held: inside.trueNanoseconds, known: 0, heldSlope: 0, knownSlope: 1)
        var knownFrom = inside.count > 0 ? inside.first.at : end
        if inside.count > 0, inside.last.isTrue {
            time.held = time.held.addingSaturated(max(0, end - inside.last.at))
            time.heldSlope = 1
        }
        if let before = truth.before, let lower = key.lower(at: now) {
            if before.isTrue {
                time.held = time.held.addingSaturated(max(0, knownFrom - lower))
                // What it held before the first sample leaves; without one it goes on to hold at the other end.
                if inside.count > 0 { time.heldSlope -= 1 }
            }
            knownFrom = lower
            time.knownSlope = 0
        } else if inside.count == 0 {
            return nil
        }
        time.known = max(0, end - knownFrom)
        return time
    }

    /// The first instant after this one at which a window of a condition passes a limit (a duration in nanoseconds, or a share), unless a sample comes or leaves before.
    func nextTurn(
        of function: WindowFunction, at limit: Double, after now: Instant, _ key: Key, _ history: borrowing SampleHistory
    ) -> Instant? {
        guard case .truth(let truth) = contents, let time = heldTime(truth[0], at: now, key, history) else { return nil }
        guard limit > -4e18, limit < 4e18 else { return nil }
        return (function == .share ? time.timeUntil(share: limit) : time.timeUntil(duration: Int64(limit))).map { now + $0 }
    }
}
