public import Logging
public import RuleEngine
import GRDB
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
        let lanes = lanes.withLock { $0 }
        let insertions = messages.map { message in Insertion(message, lane: lanes[LaneName(message.kind)], now: now) }
        do throws(StoreFailure) {
            try await database.write { db in
                for insertion in insertions { try insertion.apply(db) }
            } committed: {
                for insertion in insertions { insertion.committed() }
            }
        } catch {
            for insertion in insertions { insertion.failed() }
            throw SchedulerFailure(error)
        }
        let names = Set(insertions.filter { !$0.isOffered }.map { LaneName($0.message.kind) })
        for name in names { lanes[name]?.wake() }
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

/// One message on its way into the table.
private final class Insertion: Sendable {
    let message: ScheduledMessage
    /// Handed out already, while it is being stored.
    let isOffered: Bool
    private let lane: SchedulerLane?
    private let asksFirst: Bool
    private let row = RowInsertion()
    private struct Row {
        var seq: Int64?
        var isHeld = false
    }
    /// Of the latest attempt: a transaction that others share may be applied twice.
    private let latest = Mutex(Row())

    init(_ message: ScheduledMessage, lane: SchedulerLane?, now: Instant) {
        self.message = message
        self.lane = lane
        asksFirst = message.dueAt > now
        if !asksFirst, case .delivery = message.kind { isOffered = lane?.offer(message, row) ?? false } else { isOffered = false }
    }

    func apply(_ db: Database) throws {
        try ScheduledRows.insert(message, asksFirst: asksFirst, db)
        guard isOffered else { return }
        let new = db.lastInsertedRowID
        latest.withLock { latest in
            latest.isHeld = lane?.hold(new, of: message, insteadOf: latest.seq) ?? false
            latest.seq = new
        }
    }

    func committed() {
        guard isOffered else { return }
        let latest = latest.withLock { $0 }
        row.end(seq: latest.seq)
        if !latest.isHeld { lane?.wake() }
    }

    func failed() {
        guard isOffered else { return }
        if let seq = latest.withLock({ $0.seq }) { lane?.release(seq) }
        row.end(seq: nil)
    }
}

extension SchedulerFailure {
    fileprivate init(_ failure: StoreFailure) {
        switch failure {
        case .unavailable(let reason): self = .unavailable(reason)
        case .refused(let reason): self = .refused(reason)
        }
    }
}
