import EmbeddedState
import Foundation
import InfluxWindows
import Logging
import RuleEngine
import Synchronization
import Threads

/// The engine and the notification pipeline behind one lock each, with the clock: every input goes through here, and what it causes into the commit queue.
///
/// Lock order: engine, then pipeline and queue, or the timers' bell.
final class EngineHost: Sendable {
    /// An engine, the name of the rules that it has, and the last input that it was given.
    private struct Held: @unchecked Sendable {
        // @unchecked: the engine is handed over by the start, which does not touch it again, and only reached under the lock afterwards.
        let engine: Engine
        var rules: String
        var position: UInt64
    }

    let clock: EngineClock
    let queue: CommitQueue
    let journal: InputJournal?
    let asker: HistoryAsker
    /// Nil when no readings are recorded.
    let recorder: TelemetryRecorder?
    private let held: Mutex<Held>
    private let pipeline: Mutex<NotificationPipeline>
    private let timerBell: TimerBell

    /// Works that may wait before readings wait too.
    static let longestQueue = 20_000
    /// Nothing is written to the broker meanwhile, and its keep-alive is 60 s.
    private static let longestHold = Duration.seconds(25)

    /// - Parameter position: of the last input that the engine knows of.
    init(
        engine: Engine, rules: String, position: UInt64, pipeline: NotificationPipeline, clock: EngineClock, queue: CommitQueue,
        journal: InputJournal?, asker: HistoryAsker, recorder: TelemetryRecorder? = nil
    ) {
        self.clock = clock
        self.queue = queue
        self.journal = journal
        self.asker = asker
        self.recorder = recorder
        held = Mutex(Held(engine: engine, rules: rules, position: position))
        self.pipeline = Mutex(pipeline)
        timerBell = TimerBell()
    }

    /// Adds an input to the journal, applies it and queues what it caused; its position in the journal. `completion` is called when what it caused is stored, at once when that is nothing.
    @discardableResult
    func apply(_ input: EngineInput, completion: (@Sendable () -> Void)? = nil) -> UInt64? {
        var position: UInt64?
        let hasEffects = held.withLock { held in
            let now = clock.now()
            position = journal?.append(input, at: now)
            held.position = position ?? held.position + 1
            switch input {
            case .rules(_, let name): held.rules = name
            case .readings(let batch): recorder?.add(batch, at: now, position: position)
            default: break
            }
            held.engine.apply(input, at: now)
            let hasEffects = queueEffects(of: held.engine, position, completion, at: now)
            // Under the lock: of two inputs at once the later one must have the last word, or what it set a timer for would not come.
            timerBell.set(held.engine.nextDue)
            return hasEffects
        }
        if !hasEffects { completion?() }
        return position
    }

    /// The same, returning when the input is in the journal.
    func applyDurably(_ input: EngineInput) async {
        if let position = apply(input) { await journal?.durable(position) }
    }

    private func queueEffects(of engine: Engine, _ position: UInt64?, _ completion: (@Sendable () -> Void)?, at now: Instant) -> Bool {
        let effects = engine.takeEffects()
        asker.add(effects.dueQueries)
        guard !effects.transitions.isEmpty else { return false }
        pipeline.withLock { pipeline in
            queue.add(
                CommitWork(
                    transitions: effects.transitions, effects: pipeline.take(effects.transitions, at: now), journaled: position,
                    completion: completion))
        }
        return true
    }

    /// After a recovery: what was decided before and is not stored, then whatever else the store does not agree with.
    func settle(_ decided: [AlertTransition], stored: [AlertRecord]) {
        held.withLock { held in
            let now = clock.now()
            _ = held.engine.takeEffects()
            if !decided.isEmpty {
                pipeline.withLock { queue.add(CommitWork(transitions: decided, effects: $0.take(decided, at: now))) }
            }
            var known = Dictionary(stored.map { ($0.storageID, $0) }) { first, _ in first }
            for transition in decided { known[transition.alert.storageID] = transition.alert }
            held.engine.reconcile(with: known.values.sorted { $0.id < $1.id }, at: now)
            _ = queueEffects(of: held.engine, nil, nil, at: now)
        }
    }

    /// Looks at the engine without changing it.
    func look<Result: Sendable>(_ body: (Engine) -> Result) -> Result { held.withLock { body($0.engine) } }

    // MARK: Checkpoints

    var position: UInt64 { held.withLock { $0.position } }

    func beginCheckpoint() -> (file: CheckpointFile, common: EngineCommonState) {
        held.withLock { held in
            let file = CheckpointFile(
                position: held.position, instant: held.engine.reached, isJournaled: journal != nil, rules: held.rules)
            return (file, held.engine.beginCheckpoint().common)
        }
    }

    /// Copies some more subjects; nil when other rules came in between.
    func continueCheckpoint(subjects: Int) -> (bytes: [UInt8], isWhole: Bool)? {
        held.withLock { $0.engine.takeCheckpointPiece(subjects: subjects) }
    }

    func withPipeline<Result: Sendable>(
        _ body: (inout NotificationPipeline, Instant) -> (Result, [PipelineEffect]), completion: (@Sendable () -> Void)? = nil
    ) -> Result {
        pipeline.withLock { pipeline in
            let (result, effects) = body(&pipeline, clock.now())
            if effects.isEmpty { completion?() } else { queue.add(CommitWork(effects: effects, completion: completion)) }
            return result
        }
    }

    /// The same, returning when the effects are durable; unavailable when the server ends and they never will be.
    func withPipelineStored<Result: Sendable>(_ body: @Sendable (inout NotificationPipeline, Instant) -> (Result, [PipelineEffect]))
        async throws(StoreFailure) -> Result
    {
        let box = Mutex<Result?>(nil)
        let isStored = await withCheckedContinuation { continuation in
            pipeline.withLock { pipeline in
                let (result, effects) = body(&pipeline, clock.now())
                box.withLock { $0 = result }
                let work = CommitWork(effects: effects) { continuation.resume(returning: true) }
                if effects.isEmpty || !queue.admit(work) { continuation.resume(returning: effects.isEmpty) }
            }
        }
        guard isStored else { throw .unavailable("the server is stopping") }
        // Set above, before the continuation could be resumed.
        return box.withLock { $0! }
    }

    var dispositions: [DispositionLedger.Entry: Int] { pipeline.withLock { $0.ledger.counts } }

    // MARK: Timers

    /// Runs what is due by time, until `stop`. Blocks its thread.
    func runTimers() {
        while timerBell.wait(now: clock.now) { apply(.time) }
    }

    func stopTimers() { timerBell.stop() }
}

/// Wakes the timer thread at the next instant that something is due, or when that changed.
private final class TimerBell: @unchecked Sendable {
    // @unchecked: everything is read and written under `condition`.
    private let condition = MonotonicCondition()
    private var due: Instant?
    private var isStopped = false

    func set(_ next: Instant?) {
        condition.lock()
        defer { condition.unlock() }
        guard next != due else { return }
        due = next
        condition.signal()
    }

    func stop() {
        condition.lock()
        isStopped = true
        condition.signal()
        condition.unlock()
    }

    /// Returns true when something is due, false after `stop`.
    func wait(now: () -> Instant) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        while !isStopped {
            guard let due else {
                condition.wait()
                continue
            }
            let left = due - now()
            if left <= 0 { return true }
            _ = condition.wait(until: .now + .nanoseconds(left))
        }
        return false
    }
}

extension EngineHost: TelemetrySink {
    /// With a journal, waits until the messages are in it; without one, until what they caused is stored. QoS 0 goes on while there is room.
    func take(_ batch: MessageBatch) -> BatchOutcome { takeNumbered(batch).outcome }

    /// The same, with the position in the journal.
    func takeNumbered(_ batch: MessageBatch) -> (outcome: BatchOutcome, position: UInt64?) {
        guard waitForRoom() else { return (.refused, nil) }
        let isAcknowledged = batch.entries.contains { $0.qos > 0 }
        guard let journal else { return (takeUnjournaled(batch, isAcknowledged), nil) }
        let position = apply(.readings(batch))
        guard let position, isAcknowledged else { return (.stored, position) }
        return (journal.wait(for: position, atMost: Self.longestHold) ? .stored : .waiting, position)
    }

    private func takeUnjournaled(_ batch: MessageBatch, _ isAcknowledged: Bool) -> BatchOutcome {
        guard isAcknowledged else {
            apply(.readings(batch))
            return .stored
        }
        let condition = MonotonicCondition(), isStored = Mutex(false)
        apply(.readings(batch)) {
            condition.withLock {
                isStored.withLock { $0 = true }
                condition.signal()
            }
        }
        let end = ContinuousClock.now + Self.longestHold
        return condition.withLock {
            while !isStored.withLock({ $0 }) {
                if !condition.wait(until: end) { return isStored.withLock { $0 } ? .stored : .waiting }
            }
            return .stored
        }
    }

    /// False when the store or the journal's disk has been in the way for too long.
    private func waitForRoom() -> Bool {
        func hasRoom() -> Bool { queue.length <= Self.longestQueue && journal?.hasRoom ?? true }
        let end = ContinuousClock.now + Self.longestHold
        while !hasRoom() {
            guard ContinuousClock.now < end else { return false }
            Thread.sleep(forTimeInterval: 0.01)
        }
        return true
    }

    func connected() { apply(.connected) }
    func backlogEnded() { apply(.backlogEnded) }
    func disconnected(reason: String) { apply(.disconnected) }
}
