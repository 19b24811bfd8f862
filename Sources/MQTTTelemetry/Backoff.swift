/// Delays between attempts to connect: doubling from 0.1 s to 30 s, each shortened by up to half so that many clients of one broker do not come back at
/// one instant.
struct Backoff {
    private var failures = 0

    /// `chance` is uniform in 0..<1.
    mutating func nextDelay(chance: Double) -> Duration {
        let full = min(30_000, 100 * (1 << min(failures, 9)))
        failures += 1
        let kept = 1 - chance / 2
        return .milliseconds(max(100, Int(Double(full) * kept)))
    }

    mutating func reset() { failures = 0 }
}
