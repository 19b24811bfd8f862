public import RuleEngine
internal import Synchronization

/// Stored series that live as long as the value. Queries are texts that were given an answer before; any other is refused.
public final class InMemoryWindowHistory: WindowHistory {
    private struct State {
        var answers: [String: [HistorySeries]] = [:]
        var failure: String?
        var asked: [String] = []
    }
    private let state = Mutex(State())

    public init() {}

    public func answer(_ query: String, _ series: [HistorySeries]) { state.withLock { $0.answers[query] = series } }

    /// While a reason is set every call throws `unavailable` with it.
    public func setUnavailable(_ reason: String?) { state.withLock { $0.failure = reason } }

    /// Every query that was asked, in order.
    public var asked: [String] { state.withLock { $0.asked } }

    public func rows(of query: String, within limit: Duration) async throws(HistoryFailure) -> [HistorySeries] {
        let (failure, answer) = state.withLock { state in
            state.asked.append(query)
            return (state.failure, state.answers[query])
        }
        if let failure { throw .unavailable(failure) }
        guard let answer else { throw .refused("error parsing query: \(query)") }
        return answer
    }

    public func unreadyReason() async -> String? { state.withLock { $0.failure } }
}

extension InMemoryWindowHistory {
    /// The rows of points as a store groups them.
    public static func series(of points: [StoredPoint], _ columns: [String], _ tags: [String]) -> [HistorySeries] {
        var series: [HistorySeries] = []
        var places: [[String: String]: Int] = [:]
        for point in points.sorted(by: { $0.at < $1.at }) {
            let own = Dictionary(uniqueKeysWithValues: tags.map { ($0, point.tags[$0] ?? "") })
            let place = places[own] ?? series.count
            if place == series.count {
                places[own] = place
                series.append(HistorySeries(tags: own, columns: columns, rows: []))
            }
            series[place].rows.append(
                HistoryRow(at: point.at, columns.map { name in point.fields.first { $0.name == name }?.value ?? .null }))
        }
        return series
    }
}
