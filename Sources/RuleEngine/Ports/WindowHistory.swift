/// Why a store of time series did not do what it was asked.
public enum HistoryFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Out of reach, too slow or overloaded: asking again later is right. Says what was tried and what came back, without secrets.
    case unavailable(String)
    /// It answered and refused: a mistake in the query, a missing permission, an answer beyond the bounds.
    case refused(String)

    public var description: String {
        switch self {
        case .unavailable(let reason), .refused(let reason): reason
        }
    }
}

/// Answers queries over the platform's stored time series.
///
/// Contract
/// * **Content**: series with their tags, columns (without the time) and rows in the order of their instants, to the nanosecond. A tag that a series lacks is empty. Whole numbers come as `int`,
///   others as `double`, bools and texts as they are, what is not there as `null`. No data is no series and no error.
/// * **Time**: returns within `limit`, with an answer or a failure. Calls may be under way at once; each is its own answer.
/// * **Bounds**: an answer is taken in as it comes and never grows beyond bytes, rows and series that are bounded; a larger one, and one that is no answer, is `refused`.
/// * **Failure**: says what the store said; never a password or token.
/// * **Cancellation**: a cancelled call ends soon, its outcome is of no use.
public protocol WindowHistory: Sendable {
    func rows(of query: String, within limit: Duration) async throws(HistoryFailure) -> [HistorySeries]
    /// Nil when it can be used now, else the reason for `/readyz`.
    func unreadyReason() async -> String?
}
