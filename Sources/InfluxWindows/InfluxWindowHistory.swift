public import RuleEngine
import Synchronization

/// InfluxQL queries at `/query`.
public final class InfluxWindowHistory: WindowHistory {
    private let client: InfluxClient
    private let limits: QueryAnswer.Limits
    /// Why the last call failed that had to do with the server and not with one query.
    private let trouble = Mutex<String?>(nil)

    public convenience init(_ configuration: InfluxConfiguration) { self.init(configuration, limits: QueryAnswer.Limits()) }

    init(_ configuration: InfluxConfiguration, limits: QueryAnswer.Limits) {
        client = InfluxClient(configuration)
        self.limits = limits
    }

    public func rows(of query: String, within limit: Duration) async throws(HistoryFailure) -> [HistorySeries] {
        let answer = QueryAnswer(limits: limits)
        let reply = await client.query(query, within: min(limit, client.configuration.timeout), into: answer)
        do throws(HistoryFailure) {
            let series = try series(reply, answer)
            trouble.withLock { $0 = nil }
            return series
        } catch {
            note(error, reply)
            throw error
        }
    }

    private func series(_ reply: InfluxClient.Reply, _ answer: QueryAnswer) throws(HistoryFailure) -> [HistorySeries] {
        switch reply {
        case .none(let reason, let isRefusal):
            if let mistake = answer.mistake { throw .refused("InfluxDB at \(client.configuration.address): \(mistake)") }
            throw isRefusal ? .refused(reason) : .unavailable(reason)
        case .answer(let status, _):
            guard status == 200 else { throw client.failure(status, answer.said) }
            switch answer.finish() {
            case .series(let series): return series
            case .mistake(let mistake): throw .refused("InfluxDB at \(client.configuration.address): \(mistake)")
            case .error(let said): throw .refused("InfluxDB says: \(client.shown(said))")
            }
        }
    }

    /// A mistake in one query does not make the server unready; being out of reach, overloaded or shut to us does.
    private func note(_ failure: HistoryFailure, _ reply: InfluxClient.Reply) {
        switch (failure, reply) {
        case (.unavailable(let reason), _): trouble.withLock { $0 = reason }
        case (.refused(let reason), .answer(status: 401, _)), (.refused(let reason), .answer(status: 403, _)):
            trouble.withLock { $0 = reason }
        default: break
        }
    }

    public func unreadyReason() async -> String? {
        switch await client.ping(within: .seconds(2)) {
        case .none(let reason, _): return reason
        case .answer(let status, _) where status >= 500: return "InfluxDB answered \(status)"
        case .answer: return trouble.withLock { $0 }
        }
    }
}
