import Foundation
import Synchronization
import Testing
import Threads

/// The condition that threads wait on.
@Suite struct MonotonicConditionTests {
    @Test(arguments: [Duration.zero, .milliseconds(1), .milliseconds(1_020), .seconds(-5)])
    func `a wait ends at its end and not before`(_ length: Duration) {
        let condition = MonotonicCondition()
        let end = ContinuousClock.now + length
        condition.withLock { while condition.wait(until: end) {} }
        #expect(ContinuousClock.now >= end)
    }

    @Test(arguments: [Duration?.none, .seconds(3600), .seconds(Int64.max / 4)])
    func `whoever waits is woken`(_ length: Duration?) async {
        let condition = MonotonicCondition(), hasChanged = Mutex(false)
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                condition.withLock {
                    while !hasChanged.withLock({ $0 }) {
                        if let length { _ = condition.wait(until: .now + length) } else { condition.wait() }
                    }
                }
                continuation.resume()
            }
            Thread.detachNewThread {
                condition.withLock {
                    hasChanged.withLock { $0 = true }
                    condition.broadcast()
                }
            }
        }
    }
}
