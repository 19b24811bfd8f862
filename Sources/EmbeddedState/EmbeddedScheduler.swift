public import Logging
public import RuleEngine
import Synchronization

/// Scheduled messages in a table of the embedded database. Each receiver has a lane of its own, and the wakes have one: messages of a lane are
/// handed out in the order they come due, up to `atOnce` at a time.
///
/// Deliveries of a receiver that `setReceivers` does not name wait in the table until it does, like a queue without a consumer.
public final class EmbeddedScheduler: NotificationScheduler {
    private let database: EmbeddedDatabase
    private let clock: SchedulerClock
    private let atOnce: Int
    private let logger: Logger
    private let lanes: Mutex<[LaneName: SchedulerLane]>
    private let lanesChanged = Signal()

    /// `sleep` returns at the given instant of `now`'s clock or later, and throws when its task is cancelled.
    public init(
        _ database: EmbeddedDatabase, now: @escaping @Sendable () -> Instant,
        sleep: (@Sendable (Instant) async throws -> Void)? = nil, atOnce: Int = 16, logger: Logger
    ) {
        self.database = database
        self.atOnce = max(1, atOnce)
        self.logger = logger
        clock = SchedulerClock(now: now, sleep: sleep ?? { try await Self.sleep(until: $0, now: now) })
        let wakes = SchedulerLane(name: .wakes, database: database, clock: clock, atOnce: self.atOnce, logger: logger)
        lanes = Mutex([.wakes: wakes])
    }

    /// In steps of at most a second, so that a clock that was set shows soon.
    private static func sleep(until instant: Instant, now: @Sendable () -> Instant) async throws {
        while true {
            let rest = instant - now()
            if rest <= 0 { return }
            try await Task.sleep(for: .nanoseconds(min(rest, 1_000_000_000)))
        }
    }

    public func schedule(_ messages: [ScheduledMessage]) async throws(SchedulerFailure) {
        guard !messages.isEmpty else { return }
        let now = clock.now()
        let names = Set(messages.map { LaneName($0.kind) })
        do {
            try await database.write { db in
                for message in messages { try ScheduledRows.insert(message, asksFirst: message.dueAt > now, db) }
            }
        } catch {
            throw SchedulerFailure(error)
        }
        let wakened = lanes.withLock { lanes in names.compactMap { lanes[$0] } }
        for lane in wakened { lane.wake() }
    }

    public func setReceivers(_ names: [String]) async throws(SchedulerFailure) {
        let wanted = Set(names.map { LaneName.receiver(Array($0.utf8)) })
        // Lanes stay known when they are not wanted: one may still have calls under way when its receiver comes back.
        lanes.withLock { lanes in
            for name in wanted where lanes[name] == nil {
                lanes[name] = SchedulerLane(name: name, database: database, clock: clock, atOnce: atOnce, logger: logger)
            }
            for (name, lane) in lanes where name != .wakes { lane.setWanted(wanted.contains(name)) }
        }
        lanesChanged.raise()
    }

    public func run(_ consumer: any ScheduledMessageConsumer) async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                for lane in lanes.withLock({ Array($0.values) }) where lane.begin() {
                    group.addTask {
                        await lane.run(consumer)
                        // It may have become wanted again while its last calls ended.
                        self.lanesChanged.raise()
                    }
                }
                await lanesChanged.wait()
            }
        }
    }

    public func deadLetters(limit: Int) async throws(SchedulerFailure) -> [DeadLetter] {
        do {
            return try await database.read { try ScheduledRows.deadLetters(limit: limit, $0) }
        } catch {
            throw SchedulerFailure(error)
        }
    }

    public func unreadyReason() async -> String? { await database.unreadyReason() }
}

extension SchedulerFailure {
    fileprivate init(_ failure: StoreFailure) {
        switch failure {
        case .unavailable(let reason): self = .unavailable(reason)
        case .refused(let reason): self = .refused(reason)
        }
    }
}
