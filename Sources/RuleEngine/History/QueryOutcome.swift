/// One row of a series: an instant and a value a column (null, bool, number or text).
public struct HistoryRow: Sendable, Equatable {
    public var at: Instant
    public var values: [Document]
    public init(at: Instant, _ values: [Document]) {
        self.at = at
        self.values = values
    }

    /// Whether it says anything at all: buckets without data come as rows of nulls.
    var isEmpty: Bool { values.allSatisfy { $0 == .null } }
}

/// One series of an answer; `columns` are those beside the time.
public struct HistorySeries: Sendable, Equatable {
    public var tags: [String: String]
    public var columns: [String]
    /// In the order of their instants.
    public var rows: [HistoryRow]
    public init(tags: [String: String] = [:], columns: [String], rows: [HistoryRow]) {
        self.tags = tags
        self.columns = columns
        self.rows = rows
    }
}

/// What came of asking a query for an instant: an input of the engine.
public struct QueryOutcome: Sendable, Equatable {
    public enum Result: Sendable, Equatable {
        case rows([HistorySeries])
        /// What the store said, or that it said nothing; without secrets.
        case failed(String)
    }
    /// `HistoryQuery.id`.
    public var query: String
    /// The evaluation instant that was asked for.
    public var instant: Instant
    public var result: Result

    public init(query: String, instant: Instant, _ result: Result) {
        self.query = query
        self.instant = instant
        self.result = result
    }
}

/// A query that is to be asked.
public struct DueQuery: Sendable, Equatable {
    /// `HistoryQuery.id`.
    public var id: String
    /// The evaluation instant.
    public var instant: Instant
    /// Not before this.
    public var askAt: Instant
    /// An answer that comes later is of no use: the next instant has come.
    public var expiresAt: Instant
    public var text: String
}
