/// How long to wait before the next attempt to connect: 0.1 s, doubling to 30 s, of which a random half is taken off so that the
/// servers of a site do not come back all at once.
struct ReconnectDelay {
    private var next = Duration.milliseconds(100)

    mutating func reset() { next = .milliseconds(100) }

    /// - Parameter chance: 0 to 1.
    mutating func after(chance: Double) -> Duration {
        defer { next = min(next * 2, .seconds(30)) }
        return next * (1 - 0.5 * chance)
    }
}
