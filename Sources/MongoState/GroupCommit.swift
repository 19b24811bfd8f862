import Dispatch
import RuleEngine
import Synchronization

/// Collects what several callers write at the same time into one call of the store, on a queue of its own: while one is under way, the next gathers.
final class GroupCommit<Element: Sendable>: Sendable {
    /// Keeps the time a caller can wait for the group before it bounded.
    private let largestGroup = 1_000
    private let queue: DispatchQueue
    /// Blocking; called on `queue`, with what the callers gave, in order.
    private let write: @Sendable ([Element]) -> StoreFailure?
    private let waiting = Mutex(Waiting())

    private struct Job {
        var elements: [Element]
        var continuation: CheckedContinuation<StoreFailure?, Never>
    }

    private struct Waiting {
        var jobs: [Job] = []
        var isDraining = false
    }

    init(queue: DispatchQueue, write: @escaping @Sendable ([Element]) -> StoreFailure?) {
        self.queue = queue
        self.write = write
    }

    /// Goes on to its end when the task is cancelled.
    func commit(_ elements: [Element]) async throws(StoreFailure) {
        let failure: StoreFailure? = await withCheckedContinuation { continuation in
            let begins = waiting.withLock { waiting in
                waiting.jobs.append(Job(elements: elements, continuation: continuation))
                defer { waiting.isDraining = true }
                return !waiting.isDraining
            }
            if begins { queue.async { self.drain() } }
        }
        if let failure { throw failure }
    }

    private func drain() {
        while true {
            let jobs = waiting.withLock { waiting in
                let group = Array(waiting.jobs.prefix(largestGroup))
                waiting.jobs.removeFirst(group.count)
                waiting.isDraining = !group.isEmpty
                return group
            }
            if jobs.isEmpty { return }
            let failure = write(jobs.flatMap(\.elements))
            if case .refused = failure, jobs.count > 1 {
                // One of them is at fault: the others must not suffer.
                for job in jobs { job.continuation.resume(returning: write(job.elements)) }
            } else {
                for job in jobs { job.continuation.resume(returning: failure) }
            }
        }
    }
}
