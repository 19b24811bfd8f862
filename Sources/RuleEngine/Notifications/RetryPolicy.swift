/// When a failed delivery is tried again: after 1 s, then twice as long each time up to 5 minutes, until a day has gone by.
public struct RetryPolicy: Sendable, Equatable {
    public var first: Duration
    public var longest: Duration
    /// Counted from the decision to notify; what fails after that goes to the dead letters.
    public var giveUpAfter: Duration

    public init(first: Duration = .seconds(1), longest: Duration = .seconds(300), giveUpAfter: Duration = .seconds(86_400)) {
        self.first = first
        self.longest = longest
        self.giveUpAfter = giveUpAfter
    }

    public enum Decision: Sendable, Equatable {
        case retry(after: Duration)
        case giveUp
    }

    /// `attempt` counts from 0 and has just failed. Up to a tenth is added, by id and attempt, so that many deliveries that failed
    /// together do not come back together. What the receiver asked for is a minimum, if it asked for no more than an hour.
    public func decide(id: String, attempt: Int, age: Duration, retryAfter: Duration?) -> Decision {
        guard age < giveUpAfter else { return .giveUp }
        let longest = self.longest.inNanoseconds
        var wait = min(max(1_000_000, first.inNanoseconds), longest)
        var left = attempt
        while left > 0, wait < longest {
            wait = min(longest, wait.multipliedSaturating(by: 2))
            left -= 1
        }
        var hash = FNV1a()
        hash.add(id.utf8)
        hash.add(String(attempt).utf8)
        // FNV-1a mixes its last bytes into the low bits; fold the high ones in before taking thousandths.
        let thousandths = Int64((hash.value ^ hash.value >> 32) % 1000)
        let asked = min(retryAfter ?? .zero, .seconds(3600)).inNanoseconds
        return .retry(after: .nanoseconds(max(wait + wait / 10_000 * thousandths, asked)))
    }
}
