import EmbeddedState
import Foundation
import Logging
import RuleEngine
import Synchronization

/// What one decision wants stored, and what is to happen once it is.
struct CommitWork: Sendable {
    var transitions: [AlertTransition] = []
    var writes: [StateWrite] = []
    var messages: [ScheduledMessage] = []
    /// A write that rests on what is stored by then: asked for when everything before it is committed, and written before the transitions of its
    /// own group, so that it never takes the place of a later decision.
    var amendment: (@Sendable () -> StateWrite?)?
    /// Of the input that caused it, in the journal: that comes first.
    var journaled: UInt64?
    /// Called once, after the writes are durable.
    var completion: (@Sendable () -> Void)?

    init(
        transitions: [AlertTransition] = [], effects: [PipelineEffect] = [], journaled: UInt64? = nil,
        completion: (@Sendable () -> Void)? = nil
    ) {
        self.journaled = journaled
        self.transitions = transitions
        writes = transitions.map(\.write) + effects.compactMap(\.write)
        messages = effects.compactMap(\.message)
        self.completion = completion
    }

    init(writes: [StateWrite], completion: (@Sendable () -> Void)? = nil) {
        self.writes = writes
        self.completion = completion
    }

    init(amendment: @escaping @Sendable () -> StateWrite?, completion: (@Sendable () -> Void)? = nil) {
        self.amendment = amendment
        self.completion = completion
    }

    var isEmpty: Bool { writes.isEmpty && messages.isEmpty }
}

extension AlertTransition {
    /// A pending alert that ended was never an alert for anybody: its document goes.
    var write: StateWrite { StateWrite(.alerts, id: alert.storageID, alert.state == .inactive ? nil : alert.document) }
}

/// Everything that waits to be stored, in the order it was decided: one writer, group commits, and nothing is published before what it rests on is durable.
final class CommitQueue: Sendable {
    private struct State {
        var waiting: [CommitWork] = []
        var isClosed = false
        var underWay = 0
    }
    private let state = Mutex(State())
    private let doorbell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let store: any StateStore
    private let journal: InputJournal?
    private let logger: Logger
    private let seconds = Mutex<CommitTimes>(CommitTimes())

    struct CommitTimes: Sendable {
        var counts = [Int64](repeating: 0, count: CommitTimes.bounds.count)
        var sum = 0.0
        var count: Int64 = 0
        static let bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
    }

    /// Works taken together into one commit.
    private static let largestGroup = 2_000

    init(store: any StateStore, journal: InputJournal?, logger: Logger) {
        self.store = store
        self.journal = journal
        self.logger = logger
        (doorbell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// How much waits.
    var length: Int { state.withLock { $0.waiting.count + $0.underWay } }
    var times: CommitTimes { seconds.withLock { $0 } }

    /// Takes work in; to be called under the lock under which it was decided, so that order is kept.
    func add(_ work: CommitWork) { _ = admit(work) }

    /// The same; false when the queue is closed, so that nothing becomes of it.
    func admit(_ work: CommitWork) -> Bool {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.waiting.append(work) }
            return state.isClosed
        }
        if !isClosed { ring.yield() }
        return !isClosed
    }

    /// Waits until everything that was added before is durable; of a closed queue nothing is waited for.
    func flushed() async {
        await withCheckedContinuation { continuation in
            if !admit(CommitWork(writes: []) { continuation.resume() }) { continuation.resume() }
        }
    }

    /// Ends `run` after what waits has been stored.
    func close() {
        state.withLock { $0.isClosed = true }
        ring.finish()
    }

    /// Stores what comes, until closed. `committed` gets each group once it is durable.
    func run(_ committed: @Sendable ([CommitWork]) async -> Void) async {
        for await _ in doorbell { await drain(committed) }
        await drain(committed)
    }

    private func drain(_ committed: @Sendable ([CommitWork]) async -> Void) async {
        while true {
            let group = state.withLock { state in
                let group = Array(state.waiting.prefix(Self.largestGroup))
                state.waiting.removeFirst(group.count)
                state.underWay = group.count
                return group
            }
            guard !group.isEmpty else { return }
            if let position = group.compactMap(\.journaled).max() { await journal?.durable(position) }
            await commit(group.compactMap { $0.amendment?() } + group.flatMap(\.writes))
            state.withLock { $0.underWay = 0 }
            for work in group { work.completion?() }
            await committed(group)
        }
    }

    private func commit(_ writes: [StateWrite]) async {
        guard !writes.isEmpty else { return }
        var wait = Duration.milliseconds(50)
        var isAway = false
        let start = ContinuousClock.now
        while true {
            do throws(StoreFailure) {
                try await store.commit(writes)
                if isAway { logger.debug("the store is back; \(writes.count) waiting writes are stored") }
                record(start.duration(to: .now))
                return
            } catch {
                guard case .refused(let reason) = error else {
                    if !isAway { logger.debug("the store is away, decisions wait for it: \(error)") }
                    isAway = true
                    try? await Task.sleep(for: wait)
                    wait = min(wait * 2, .seconds(1))
                    continue
                }
                guard writes.count > 1 else {
                    logger.error(
                        "the store refuses a write, which is lost",
                        metadata: ["collection": "\(writes[0].collection.rawValue)", "id": "\(writes[0].id)", "reason": "\(reason)"])
                    return
                }
                // One document that is refused must not take the others with it.
                for write in writes { await commit([write]) }
                return
            }
        }
    }

    private func record(_ duration: Duration) {
        let value = Double(duration.inNanoseconds) / 1e9
        seconds.withLock { times in
            for (index, bound) in CommitTimes.bounds.enumerated() where value <= bound { times.counts[index] += 1 }
            times.sum += value
            times.count += 1
        }
    }
}
