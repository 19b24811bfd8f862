extension Surroundings {
    /// Whether the sun is above the horizon at the server's place; nil when that is not known.
    public func isSunUp(at instant: Instant) -> Bool? {
        location.map { Sun.elevation(at: instant, seenFrom: $0) > Sun.horizon }
    }
}
