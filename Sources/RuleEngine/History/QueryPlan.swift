/// A query of the rules frozen for asking.
struct QueryPlan: Sendable {
    var query: HistoryQuery
    let id: String
    /// Columns that expressions read of it as a side input.
    var sideColumns: [String] = []
    /// Sources whose instances are its series.
    var sources: [Int32] = []
    /// Whether an enabled rule wants it.
    var isWanted = false
    /// Where it is for windows over recorded readings.
    var recorded: RecordedPlan?

    init(_ query: HistoryQuery, recorded: RecordedPlan? = nil) {
        self.query = query
        self.recorded = recorded
        id = query.id
    }

    var isSide: Bool { !sideColumns.isEmpty }
}

/// Collects the queries of all rules while they are compiled.
final class QueryBuilder {
    private(set) var plans: [QueryPlan] = []
    private var places: [String: Int] = [:]

    func number(of query: HistoryQuery) -> Int {
        let id = query.id
        if let place = places[id] { return place }
        places[id] = plans.count
        plans.append(QueryPlan(query))
        return plans.count - 1
    }

    /// The number of a query for recorded readings of a source's instances.
    func number(of recorded: RecordedPlan, for key: SourceKey, tags: [String]) -> Int {
        let text = "\(recorded.text) for \(key.meaning)"
        let query = HistoryQuery(parts: [.literal(text)], tags: tags, every: .nanoseconds(RecordedPlan.step))
        if let place = places[query.id] { return place }
        places[query.id] = plans.count
        plans.append(QueryPlan(query, recorded: recorded))
        return plans.count - 1
    }

    /// The number of a window over recorded readings among those of its query.
    func window(_ function: WindowFunction, of number: Int) -> Int { plans[number].recorded?.window(function) ?? 0 }

    func column(_ name: String, of number: Int) -> Int {
        if let place = plans[number].sideColumns.firstIndex(of: name) { return place }
        plans[number].sideColumns.append(name)
        return plans[number].sideColumns.count - 1
    }

    func add(source: Int32, to number: Int) {
        if !plans[number].sources.contains(source) { plans[number].sources.append(source) }
    }

    func want(_ number: Int) { plans[number].isWanted = true }
}
