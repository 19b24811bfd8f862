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

    init(_ query: HistoryQuery) {
        self.query = query
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
