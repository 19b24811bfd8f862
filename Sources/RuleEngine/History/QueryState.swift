import CEL

/// Where a query of the rules stands.
struct QueryState {
    /// When it is asked next; `distantFuture` while nothing has started.
    var nextDue = Instant.distantFuture
    /// The instant that it was last asked for.
    var askedFor: Instant?
    var isAnswered = false
    /// Why the last attempt failed; nil after a good answer.
    var failure: String?
    /// Instants that passed without a good answer.
    var missed: UInt64 = 0
    /// The last good answer, where rules see it as a side input.
    var series: [HistorySeries] = []
    var table = SideTable(width: 0)
    /// What has been fetched, where it is for windows over recorded readings.
    var recorded: RecordedSeries?

    init(_ plan: QueryPlan) {
        table = SideTable(width: plan.sideColumns.count)
        recorded = plan.recorded.map { RecordedSeries($0) }
    }

    /// The row of an instance; -1: no series of the answers is its own.
    func row(of key: String) -> Int32 { recorded?.row(of: key) ?? table.row(of: key) }
}

/// The last row of each series of a side input: `SideColumn`s by the values of the query's tags.
struct SideTable {
    private(set) var rows: [String: Int32] = [:]
    private let slots: SlotTable

    init(width: Int) { slots = SlotTable(width: width) }

    static func key(_ values: [String]) -> String { values.joined(separator: "\0") }

    func row(of key: String) -> Int32 { rows[key] ?? -1 }

    /// Lives as long as the table's row is not filled anew.
    func slot(_ row: Int32, _ column: Int) -> Slot { slots.row(row)[column] }

    /// Puts an answer in the place of the last one. Rows keep their numbers; what is missing from the answer is missing.
    mutating func fill(_ series: [HistorySeries], tags: [String], columns: [String], strings: InternedStrings) {
        for row in rows.values { slots.clear(row) }
        for one in series {
            guard let last = one.rows.last else { continue }
            let key = Self.key(tags.map { one.tags[$0] ?? "" })
            let row = rows[key] ?? Int32(rows.count)
            rows[key] = row
            slots.reach(row)
            for (place, name) in columns.enumerated() {
                guard let column = one.columns.firstIndex(of: name), last.values.indices.contains(column), last.values[column] != .null
                else { continue }
                slots.row(row)[place].release()
                slots.row(row)[place] = Slot(retaining: last.values[column].celValue, strings: strings)
            }
        }
    }
}

extension QueryState {
    /// Rows that are whole at a cutoff: their bucket has ended by then. Series without any are left out.
    static func complete(_ series: [HistorySeries], _ query: HistoryQuery, cutoff: Instant) -> [HistorySeries] {
        series.compactMap { one in
            var whole = one
            whole.rows.removeAll { $0.at + query.bucket > cutoff || $0.values.count != one.columns.count }
            return whole.rows.isEmpty ? nil : whole
        }
    }
}
