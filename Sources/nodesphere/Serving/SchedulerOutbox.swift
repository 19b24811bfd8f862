import Logging
import RuleEngine
import Synchronization

/// Messages on their way to the scheduler, which itself tells operators when it is away. While it is away they wait here (their intents are stored anyway); when very many wait, storing waits too, and with it MQTT.
final class SchedulerOutbox: Sendable {
    private struct State {
        var waiting: [ScheduledMessage] = []
        var receivers: [String]?
        var isClosed = false
    }
    private let state = Mutex(State())
    private let doorbell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let scheduler: any NotificationScheduler
    private let logger: Logger

    static let bound = 50_000
    private static let largestBatch = 1_000

    init(scheduler: any NotificationScheduler, logger: Logger) {
        self.scheduler = scheduler
        self.logger = logger
        (doorbell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    var length: Int { state.withLock { $0.waiting.count } }

    /// The names of all receivers; taken up as soon as the scheduler is there.
    func setReceivers(_ names: [String]) async {
        state.withLock { $0.receivers = names }
        ring.yield()
    }

    /// Returns when there is room again.
    func add(_ messages: [ScheduledMessage]) async {
        guard !messages.isEmpty else { return }
        state.withLock { $0.waiting += messages }
        ring.yield()
        while length > Self.bound, !state.withLock({ $0.isClosed }) { try? await Task.sleep(for: .milliseconds(100)) }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        ring.finish()
    }

    /// Hands messages on until closed; what cannot be handed on by then is scheduled again at the next start, from the stored intents.
    func run() async {
        for await _ in doorbell { await drain() }
    }

    private func drain() async {
        var wait = Duration.milliseconds(50)
        var isAway = false
        while true {
            let (receivers, batch) = state.withLock { ($0.receivers, Array($0.waiting.prefix(Self.largestBatch))) }
            guard receivers != nil || !batch.isEmpty else { break }
            var isNaming = receivers != nil
            do throws(SchedulerFailure) {
                if let receivers {
                    try await scheduler.setReceivers(receivers)
                    isNaming = false
                    state.withLock { if $0.receivers == receivers { $0.receivers = nil } }
                }
                if !batch.isEmpty {
                    try await scheduler.schedule(batch)
                    state.withLock { $0.waiting.removeFirst(batch.count) }
                }
                wait = .milliseconds(50)
            } catch {
                guard case .refused(let reason) = error else {
                    if !isAway { logger.debug("the scheduler is away, notifications wait for it: \(error)") }
                    isAway = true
                    if state.withLock({ $0.isClosed }) { return }
                    try? await Task.sleep(for: wait)
                    wait = min(wait * 2, .seconds(1))
                    continue
                }
                guard !isNaming else {
                    logger.error("the scheduler refuses the receivers, which stay as they were: \(reason)")
                    state.withLock { if $0.receivers == receivers { $0.receivers = nil } }
                    continue
                }
                logger.error("the scheduler refuses \(batch.count) messages: \(reason)")
                state.withLock { $0.waiting.removeFirst(min(batch.count, $0.waiting.count)) }
            }
        }
        if isAway { logger.debug("the scheduler is back") }
    }
}
