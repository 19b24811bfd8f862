public import CEL

/// What calendars need to know of a time zone.
public protocol ZoneOffsets: Sendable {
    /// Seconds east of UTC at an instant; less than a day either way.
    func secondsFromGMT(at instant: Instant) -> Int64
}

extension NamedZone: ZoneOffsets {
    public func secondsFromGMT(at instant: Instant) -> Int64 { offset(at: instant.wholeSeconds) }
}

extension Instant {
    /// Seconds since 1970, rounded down.
    var wholeSeconds: Int64 {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Saturates.
    init(seconds: Int64) { self.init(nanoseconds: seconds.multipliedSaturating(by: 1_000_000_000)) }
}

/// The offsets of a zone around one local day: from a local time to the instants at which clocks show it.
struct LocalDay {
    /// What a clock shows at an instant is that instant plus the offset; local times are counted like instants, in seconds.
    private struct Stretch {
        var start: Int64
        var end: Int64
        var offset: Int64
    }
    private var stretches: [Stretch] = []

    /// - Parameter day: local days since 1970-01-01.
    init(_ day: Int64, in zone: some ZoneOffsets) {
        // Offsets are less than a day, so that every local time of the day lies well within.
        let first = (day - 1) * 86_400, last = (day + 2) * 86_400
        func offset(_ second: Int64) -> Int64 { zone.secondsFromGMT(at: Instant(seconds: second)) }
        var start = Int64.min
        var at = first
        var current = offset(first)
        // No zone changes its clocks back and forth within six hours.
        while at < last {
            let next = at + 21_600
            let there = offset(next)
            if there != current {
                var low = at, high = next
                while high - low > 1 {
                    let middle = low + (high - low) / 2
                    if offset(middle) == current { low = middle } else { high = middle }
                }
                stretches.append(Stretch(start: start, end: high, offset: current))
                start = high
                current = offset(high)
            }
            at = next
        }
        stretches.append(Stretch(start: start, end: .max, offset: current))
    }

    /// The offset, when clocks do not change around the day.
    var onlyOffset: Int64? { stretches.count == 1 ? stretches[0].offset : nil }

    /// The instants (seconds since 1970) around the day at which clocks are set forward or back.
    var changes: [Int64] { stretches.dropFirst().map(\.start) }

    /// The instants (seconds since 1970) at which clocks show a local time: two in an hour that comes twice. For a local time that clocks skip, the first
    /// instant after the gap.
    func instants(ofLocal local: Int64) -> [Int64] {
        let shown = stretches.filter { $0.start <= local - $0.offset && local - $0.offset < $0.end }.map { local - $0.offset }
        if !shown.isEmpty { return shown }
        // In a gap the time lies behind the end of one stretch and before the start of the next.
        let after = stretches.first { local - $0.offset < $0.start }
        return after.map { [$0.start] } ?? []
    }
}
