import GRDB
import Logging
import RuleEngine
import Synchronization

/// The clock of a scheduler.
struct SchedulerClock: Sendable {
    var now: @Sendable () -> Instant
    /// Returns at the instant or later, or throws when the task is cancelled.
    var sleep: @Sendable (Instant) async throws -> Void
}

/// Takes what comes due in one lane to the consumer, a bounded number at a time. It sleeps until the earliest due instant and is woken when
/// something is scheduled; the table is the only truth, so nothing is lost between the two. What is due when it is scheduled is offered directly
/// and handed out while it is being stored, unless older messages wait: one sync of the disk less before it is out.
final class SchedulerLane: Sendable {
    let name: LaneName
    private let database: EmbeddedDatabase
    private let clock: SchedulerClock
    private let atOnce: Int
    private let logger: Logger
    private let signal = Signal()
    private let state = Mutex(State())

    private struct State {
        var isWanted = true
        var isRunning = false
        /// Rows with the consumer or whose outcome is being written. Only the loop takes rows out, before it reads: a reading that began before a row was
        /// removed from the table must not offer it again.
        var held: Set<Int64> = []
        /// Rows whose outcome is in the table.
        var settled: [Int64] = []
        /// The ids of deliveries with the consumer: one at a time for one id.
        var ids: Set<[UInt8]> = []
        var underWay = 0
        /// Handed over beside the table, not started yet.
        var offered: [Offer] = []
        /// The table may have something to start: set by whoever puts something in, and while more is due than there is room for.
        var needsLook = true
    }

    private struct Offer {
        var message: ScheduledMessage
        var insertion: RowInsertion
    }

    init(name: LaneName, database: EmbeddedDatabase, clock: SchedulerClock, atOnce: Int, logger: Logger) {
        self.name = name
        self.database = database
        self.clock = clock
        self.atOnce = atOnce
        self.logger = logger
    }

    func wake() {
        state.withLock { $0.needsLook = true }
        signal.raise()
    }

    /// Takes a message that is due and is being stored; false when it has to wait in the table.
    func offer(_ message: ScheduledMessage, _ insertion: RowInsertion) -> Bool {
        let isTaken = state.withLock { state in
            guard state.isRunning, state.isWanted, !state.needsLook, state.underWay < atOnce, state.ids.insert(Array(message.id.utf8)).inserted
            else { return false }
            state.underWay += 1
            state.offered.append(Offer(message: message, insertion: insertion))
            return true
        }
        if isTaken { signal.raise() }
        return isTaken
    }

    /// The row of an offered message is about to become visible: the lane must not read it as another one. `earlier` is the row of an attempt to insert
    /// that was rolled back. False when the lane has ended meanwhile: then the row is one like any other.
    func hold(_ seq: Int64, of message: ScheduledMessage, insteadOf earlier: Int64?) -> Bool {
        state.withLock { state in
            if let earlier { state.held.remove(earlier) }
            guard state.ids.contains(Array(message.id.utf8)) else { return false }
            state.held.insert(seq)
            return true
        }
    }

    /// The row was not stored after all.
    func release(_ seq: Int64) {
        state.withLock { _ = $0.held.remove(seq) }
        wake()
    }

    func setWanted(_ isWanted: Bool) {
        state.withLock { $0.isWanted = isWanted }
        signal.raise()
    }

    /// Whether the caller is to run it: wanted, and not running yet.
    func begin() -> Bool {
        state.withLock { state in
            guard state.isWanted, !state.isRunning else { return false }
            state.isRunning = true
            return true
        }
    }

    /// After `begin`: until cancelled or no longer wanted; then the calls under way are awaited.
    func run(_ consumer: any ScheduledMessageConsumer) async {
        await withDiscardingTaskGroup { group in
            var nextLookAt: Instant?
            while !Task.isCancelled, state.withLock({ $0.isWanted }) {
                for offer in takeOffered() { group.addTask { await self.handle(offer, consumer) } }
                if state.withLock({ $0.needsLook }) || nextLookAt.map({ $0 <= clock.now() }) == true {
                    nextLookAt = await takeDue { row in
                        group.addTask { await self.handle(row, consumer) }
                    }
                }
                let timer = nextLookAt.map { instant in
                    Task { [clock, signal] in
                        do { try await clock.sleep(instant) } catch { return }
                        signal.raise()
                    }
                }
                await signal.wait()
                timer?.cancel()
            }
            // Offered to a lane that is ending: their rows stay for the next one.
            for offer in takeOffered() { forget(offer) }
        }
        state.withLock { state in
            state.isRunning = false
            state.held = []
            state.settled = []
            state.needsLook = true
        }
    }

    private func takeOffered() -> [Offer] {
        state.withLock { state in
            state.held.subtract(state.settled)
            state.settled = []
            defer { state.offered = [] }
            return state.offered
        }
    }

    private func forget(_ offer: Offer) {
        state.withLock { state in
            state.underWay -= 1
            state.ids.remove(Array(offer.message.id.utf8))
        }
    }

    /// Starts what is due and there is room for. Returns when to look again without being woken.
    private func takeDue(start: (ScheduledRow) -> Void) async -> Instant? {
        let limit = state.withLock { state in
            state.held.subtract(state.settled)
            state.settled = []
            state.needsLook = state.underWay >= atOnce
            return state.underWay < atOnce ? atOnce - state.underWay + state.held.count : 0
        }
        // Whoever ends makes room and wakes the loop.
        guard limit > 0 else { return nil }
        let instant = clock.now()
        do {
            let page = try await database.read(.schedule) { [key = name.key] in
                try ScheduledRows.due(in: key, at: instant, limit: limit, $0)
            }
            // A full page may not be all that is due; and what is offered meanwhile takes room as well.
            var isMoreDue = page.rows.count >= limit
            for row in page.rows {
                switch take(row) {
                case .taken: start(row)
                case .hasToWait: isMoreDue = true
                case .isHeld: break
                }
            }
            if isMoreDue { state.withLock { $0.needsLook = true } }
            return page.nextDueAt
        } catch {
            logger.error("what is due cannot be read, trying again in 1 s", metadata: ["reason": "\(error)"])
            return clock.now() + 1_000_000_000
        }
    }

    private enum Taking {
        case taken
        /// Under way already.
        case isHeld
        /// No room, or another delivery of the same id is under way.
        case hasToWait
    }

    private func take(_ row: ScheduledRow) -> Taking {
        state.withLock { state in
            guard !state.held.contains(row.seq) else { return .isHeld }
            guard state.underWay < atOnce else { return .hasToWait }
            if name != .wakes, !state.ids.insert(Array(row.message.id.utf8)).inserted { return .hasToWait }
            state.held.insert(row.seq)
            state.underWay += 1
            return .taken
        }
    }

    private func handle(_ row: ScheduledRow, _ consumer: any ScheduledMessageConsumer) async {
        let outcome = await outcome(row, consumer)
        let isStored = await store(outcome, of: row)
        end(row, outcome, isStored: isStored)
    }

    private func handle(_ offer: Offer, _ consumer: any ScheduledMessageConsumer) async {
        let outcome = await consumer.deliver(offer.message)
        guard let seq = await offer.insertion.seq() else {
            // Whoever scheduled it was told so and does it again; the consumer knows the id.
            forget(offer)
            return signal.raise()
        }
        let row = ScheduledRow(seq: seq, asksFirst: false, message: offer.message)
        let isStored = await store(outcome, of: row)
        end(row, outcome, isStored: isStored)
    }

    private func end(_ row: ScheduledRow, _ outcome: DeliveryOutcome, isStored: Bool) {
        state.withLock { state in
            state.underWay -= 1
            state.ids.remove(Array(row.message.id.utf8))
            // A row whose outcome could not be stored before the end is offered again at the next start.
            if isStored { state.settled.append(row.seq) }
            switch outcome {
            case .retry, .later: state.needsLook = true
            case .done, .dead: break
            }
        }
        signal.raise()
    }

    private func outcome(_ row: ScheduledRow, _ consumer: any ScheduledMessageConsumer) async -> DeliveryOutcome {
        if row.asksFirst || name == .wakes {
            switch await consumer.due(row.message) {
            case .done: return .done
            case .later(let delay): return .later(delay)
            case .deliver where name == .wakes:
                logger.error("a wake is nothing to deliver", metadata: ["id": "\(row.message.id)"])
                return .done
            case .deliver: break
            }
        }
        return await consumer.deliver(row.message)
    }

    /// Until it is written or the task is cancelled; false then.
    private func store(_ outcome: DeliveryOutcome, of row: ScheduledRow) async -> Bool {
        let now = clock.now()
        while true {
            do {
                try await database.write { db in
                    switch outcome {
                    case .done: try ScheduledRows.remove(row, db)
                    case .retry(let delay):
                        let (attempt, overflow) = row.message.attempt.addingReportingOverflow(1)
                        try ScheduledRows.postpone(row, to: now + delay.wholeNanoseconds, attempt: overflow ? .max : attempt, db)
                    case .later(let delay):
                        try ScheduledRows.postpone(row, to: now + delay.wholeNanoseconds, attempt: row.message.attempt, db)
                    case .dead(let reason): try ScheduledRows.bury(row, reason: reason, db)
                    }
                }
                return true
            } catch {
                logger.error(
                    "the outcome of a message cannot be stored, trying again in 1 s",
                    metadata: ["id": "\(row.message.id)", "reason": "\(error)"])
            }
            do { try await clock.sleep(clock.now() + 1_000_000_000) } catch { return false }
        }
    }
}

extension Duration {
    /// At least 0; saturates at the end of the range. Rounded up: a message never comes early.
    fileprivate var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        guard self > .zero else { return 0 }
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowToo) = whole.addingReportingOverflow((attoseconds + 999_999_999) / 1_000_000_000)
        return overflow || overflowToo ? .max : sum
    }
}
