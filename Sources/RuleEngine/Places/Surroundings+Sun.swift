extension Surroundings {
    /// Whether the sun is above the horizon at the server's place; nil when that is not known.
    public func isSunUp(at instant: Instant) -> Bool? { sunElevation(at: instant).map { $0 > Sun.horizon } }

    /// Degrees of its centre above the horizon at the server's place, as if there were no air; nil when the place is not known.
    public func sunElevation(at instant: Instant) -> Double? { location.map { Sun.elevation(at: instant, seenFrom: $0) } }

    /// When the sun next rises above the horizon, and sinks below it, at the server's place; nil when the place is not known.
    public func sunTimes(after instant: Instant) -> (up: Instant?, down: Instant?)? {
        location.map { Sun.crossings(of: Sun.horizon, after: instant, seenFrom: $0) }
    }
}
