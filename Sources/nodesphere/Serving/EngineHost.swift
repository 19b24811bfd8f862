import Foundation
import Logging
import RuleEngine
import Synchronization

/// The engine and the notification pipeline behind one lock each, with the clock: every input goes through here, and what it causes into the commit queue.
///
/// Lock order: engine, pipeline, queue.
final class EngineHost: Sendable {
    let clock: EngineClock
    let queue: CommitQueue
    private let engine: Mutex<Engine>
    private let pipeline: Mutex<NotificationPipeline>
    private let timerBell: TimerBell

    /// Works that may wait before readings wait too.
    static let longestQueue = 20_000

    init(engine: sending Engine, pipeline: NotificationPipeline, clock: EngineClock, queue: CommitQueue) {
        self.clock = clock
        self.queue = queue
        self.engine = Mutex(engine)
        self.pipeline = Mutex(pipeline)
        timerBell = TimerBell()
    }

    /// Applies an input and queues what it caused. `completion` is called when that is durable, at once when there is nothing.
    @discardableResult
    func input<Result: Sendable>(completion: (@Sendable () -> Void)? = nil, _ body: (Engine, Instant) -> Result) -> Result {
        var hasEffects = false
        let (result, due) = engine.withLock { engine -> (Result, Instant?) in
            let now = clock.now()
            let result = body(engine, now)
            let effects = engine.takeEffects()
            if !effects.isEmpty {
                hasEffects = true
                pipeline.withLock { pipeline in
                    queue.add(
                        CommitWork(
                            transitions: effects.transitions, effects: pipeline.take(effects.transitions, at: now), completion: completion))
                }
            }
            return (result, engine.nextDue)
        }
        if !hasEffects { completion?() }
        timerBell.set(due)
        return result
    }

    /// Looks at the engine without changing it.
    func look<Result: Sendable>(_ body: (Engine) -> Result) -> Result { engine.withLock { body($0) } }

    func withPipeline<Result: Sendable>(
        _ body: (inout NotificationPipeline, Instant) -> (Result, [PipelineEffect]), completion: (@Sendable () -> Void)? = nil
    ) -> Result {
        pipeline.withLock { pipeline in
            let (result, effects) = body(&pipeline, clock.now())
            if effects.isEmpty { completion?() } else { queue.add(CommitWork(effects: effects, completion: completion)) }
            return result
        }
    }

    /// The same, returning when the effects are durable.
    func withPipelineStored<Result: Sendable>(_ body: @Sendable (inout NotificationPipeline, Instant) -> (Result, [PipelineEffect])) async
        -> Result
    {
        let box = Mutex<Result?>(nil)
        await withCheckedContinuation { continuation in
            pipeline.withLock { pipeline in
                let (result, effects) = body(&pipeline, clock.now())
                box.withLock { $0 = result }
                if effects.isEmpty {
                    continuation.resume()
                } else {
                    queue.add(CommitWork(effects: effects) { continuation.resume() })
                }
            }
        }
        // Set above, before the continuation could be resumed.
        return box.withLock { $0! }
    }

    var dispositions: [DispositionLedger.Entry: Int] { pipeline.withLock { $0.ledger.counts } }

    // MARK: Timers

    /// Runs what is due by time, until `stop`. Blocks its thread.
    func runTimers() {
        while timerBell.wait(now: clock.now) {
            input { engine, now in engine.advance(to: now) }
        }
    }

    func stopTimers() { timerBell.stop() }
}

/// Wakes the timer thread at the next instant that something is due, or when that changed.
private final class TimerBell: @unchecked Sendable {
    // @unchecked: everything is read and written under `condition`.
    private let condition = NSCondition()
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
            _ = condition.wait(until: Date(timeIntervalSinceNow: min(Double(left) / 1e9, 3600)))
        }
        return false
    }
}

extension EngineHost: TelemetrySink {
    /// Waits until what the messages caused is stored, where their acknowledgement depends on it; QoS 0 goes on while the queue has room.
    func take(_ batch: MessageBatch) -> Bool {
        let isAcknowledged = batch.entries.contains { $0.qos > 0 }
        guard isAcknowledged || queue.length > Self.longestQueue else {
            input { engine, now in engine.ingest(batch, at: now) }
            return true
        }
        let stored = DispatchSemaphore(value: 0)
        input(completion: { stored.signal() }) { engine, now in engine.ingest(batch, at: now) }
        return stored.wait(timeout: .now() + .seconds(25)) == .success
    }

    func connected() { input { engine, now in engine.connected(at: now) } }
    func backlogEnded() { input { engine, now in engine.backlogEnded(at: now) } }
    func disconnected(reason: String) {}
}
