import RuleEngine
import Testing

@Suite struct `Retry policy` {
    @Test(arguments: [(0, 1.0), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (10, 300), (10_000_000, 300)] as [(Int, Double)])
    func `the wait doubles from a second to five minutes, with at most a tenth added`(attempt: Int, wait: Double) {
        for id in 0..<50 {
            guard case .retry(let after) = RetryPolicy().decide(id: "\(id)", attempt: attempt, age: .zero, retryAfter: nil) else {
                Issue.record("given up")
                return
            }
            #expect(after >= .seconds(wait) && after <= .seconds(wait * 1.1))
        }
    }

    @Test func `many that failed together do not come back together, and the same one always waits as long`() {
        let policy = RetryPolicy()
        let waits = (0..<100).map { "\(policy.decide(id: "intent-\($0)", attempt: 3, age: .zero, retryAfter: nil))" }
        #expect(Set(waits).count > 80)
        #expect(waits == (0..<100).map { "\(policy.decide(id: "intent-\($0)", attempt: 3, age: .zero, retryAfter: nil))" })
    }

    @Test func `the receiver's wish is a minimum, up to an hour`() {
        let policy = RetryPolicy()
        #expect(policy.decide(id: "a", attempt: 0, age: .zero, retryAfter: .seconds(120)) == .retry(after: .seconds(120)))
        #expect(policy.decide(id: "a", attempt: 0, age: .zero, retryAfter: .seconds(1_000_000)) == .retry(after: .seconds(3600)))
    }

    @Test func `after a day it is given up`() {
        #expect(RetryPolicy().decide(id: "a", attempt: 3, age: .seconds(86_400), retryAfter: nil) == .giveUp)
    }
}
