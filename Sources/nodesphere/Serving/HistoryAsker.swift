import Logging
import RuleEngine
import Synchronization

/// Asks InfluxDB what the rules want to know, when the engine says so, and hands the engine what came of it.
///
/// A query that fails is asked again, at growing intervals, until its next instant comes.
final class HistoryAsker: Sendable {
    private struct Pending {
        var query: DueQuery
        var askAt: Instant
        var attempt = 0
    }
    private struct State {
        /// By the query's id: what is asked next of it.
        var pending: [String: Pending] = [:]
        var underWay = 0
        /// Queries whose last attempt failed.
        var failing: Set<String> = []
        var failures: UInt64 = 0
        var answers: UInt64 = 0
    }

    /// Queries under way at once; more would only wait in the server.
    private static let limit = 8

    private let history: (any WindowHistory)?
    private let logger: Logger
    private let state = Mutex(State())
    private let doorbell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation

    /// `history` nil: no InfluxDB is configured, and every query fails with that reason.
    init(history: (any WindowHistory)?, logger: Logger) {
        self.history = history
        self.logger = logger
        (doorbell, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    var counts: (answers: UInt64, failures: UInt64, waiting: Int) {
        state.withLock { ($0.answers, $0.failures, $0.pending.count + $0.underWay) }
    }

    /// Takes queries in; one that waits for an earlier instant is not asked any more.
    func add(_ due: [DueQuery]) {
        guard !due.isEmpty else { return }
        state.withLock { state in
            for query in due { state.pending[query.id] = Pending(query: query, askAt: query.askAt) }
        }
        ring.yield()
    }

    /// Asks until cancelled.
    func run(_ host: EngineHost) async {
        await withDiscardingTaskGroup { group in
            var bell = doorbell.makeAsyncIterator()
            while !Task.isCancelled {
                let now = host.clock.now()
                let (ready, next) = takeReady(now)
                for pending in ready { group.addTask { await self.ask(pending, host) } }
                let alarm = next.map { next in
                    let ring = ring
                    return Task {
                        try? await Task.sleep(for: .nanoseconds(max(1_000_000, next - now)))
                        ring.yield()
                    }
                }
                guard await bell.next() != nil else { return }
                alarm?.cancel()
            }
        }
    }

    /// What is to be asked now, as much as may be under way, and when to look again.
    private func takeReady(_ now: Instant) -> (ready: [Pending], next: Instant?) {
        state.withLock { state in
            state.pending = state.pending.filter { $0.value.query.expiresAt > now }
            let room = max(0, Self.limit - state.underWay)
            let due = state.pending.values.filter { $0.askAt <= now }.sorted { ($0.askAt, $0.query.id) < ($1.askAt, $1.query.id) }
            let ready = Array(due.prefix(room))
            for pending in ready { state.pending[pending.query.id] = nil }
            state.underWay += ready.count
            // With others waiting for room, the end of one that is under way rings.
            return (ready, state.pending.values.lazy.filter { $0.askAt > now }.map(\.askAt).min())
        }
    }

    private func ask(_ pending: Pending, _ host: EngineHost) async {
        let query = pending.query
        let left = Duration.nanoseconds(max(1_000_000_000, query.expiresAt - host.clock.now()))
        let result: QueryOutcome.Result
        do throws(HistoryFailure) {
            guard let history else { throw .refused("no InfluxDB is configured: the rule needs 'influxdb.url'") }
            result = .rows(try await history.rows(of: query.text, within: left))
        } catch {
            result = .failed(error.description)
        }
        guard !Task.isCancelled else { return }
        host.apply(.rows(QueryOutcome(query: query.id, instant: query.instant, result)))
        note(pending, result, host.clock.now())
        ring.yield()
    }

    private func note(_ pending: Pending, _ result: QueryOutcome.Result, _ now: Instant) {
        let (started, ended) = state.withLock { state -> (Bool, Bool) in
            state.underWay -= 1
            guard case .failed = result else {
                state.answers &+= 1
                return (false, state.failing.remove(pending.query.id) != nil && state.failing.isEmpty)
            }
            state.failures &+= 1
            // A later instant may have come meanwhile.
            if history != nil, state.pending[pending.query.id] == nil {
                var again = pending
                again.attempt += 1
                again.askAt = now + Self.pause(pending)
                state.pending[pending.query.id] = again
            }
            let isFirst = state.failing.isEmpty
            state.failing.insert(pending.query.id)
            return (isFirst, false)
        }
        if started, case .failed(let reason) = result {
            logger.warning(
                "a query of the rules fails and is asked again; the rules keep their state: \(reason)",
                metadata: ["query": "\(pending.query.text)"])
        } else if ended {
            logger.notice("the queries of the rules are answered again")
        }
    }

    /// 1 s, 2 s, 4 s, at most 30 s and a tenth of the time between two instants.
    private static func pause(_ pending: Pending) -> Int64 {
        let longest = min(30_000_000_000, max(1_000_000_000, (pending.query.expiresAt - pending.query.instant) / 10))
        return min(longest, 1_000_000_000 << Int64(min(pending.attempt, 6)))
    }
}
