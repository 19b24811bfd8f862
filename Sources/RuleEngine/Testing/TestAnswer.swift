/// What a query is answered in a test, from an instant on.
public struct TestAnswer: Sendable {
    public enum Content: Sendable {
        /// Tags and columns of each row, and how long before the evaluation instant it is.
        case rows([Row])
        case failed(String)
    }
    public struct Row: Sendable {
        public var members: [Document.Member]
        /// Nil: so long that its bucket has just ended.
        public var ago: Int64?
        public init(_ members: [Document.Member], ago: Int64? = nil) {
            self.members = members
            self.ago = ago
        }
    }
    public var location: SourceLocation
    public var alert: String
    public var group: String?
    /// The side input of the rule; nil: its own query.
    public var side: String?
    /// Nanoseconds since the test's start.
    public var at: Int64
    public var content: Content

    public init(alert: String, group: String? = nil, side: String? = nil, at: Int64, location: SourceLocation, _ content: Content) {
        self.alert = alert
        self.group = group
        self.side = side
        self.at = at
        self.location = location
        self.content = content
    }

    /// The query of a rule that is meant; nil when it has none.
    public func query(of rule: Rule) -> HistoryQuery? {
        guard let side else { return rule.query }
        return rule.sides.first { $0.name == side }?.query
    }

    /// The answer as series, for an instant.
    func result(_ query: HistoryQuery, tags: [String], for instant: Instant) -> QueryOutcome.Result {
        guard case .rows(let rows) = content else {
            if case .failed(let reason) = content { return .failed(reason) }
            return .rows([])
        }
        var series: [HistorySeries] = []
        for row in rows {
            let own = row.members.filter { tags.contains($0.name) }
            let values = Dictionary(own.map { ($0.name, $0.value.plainText) }) { first, _ in first }
            let columns = row.members.filter { !tags.contains($0.name) }
            let place = series.firstIndex { $0.tags == values } ?? series.count
            if place == series.count { series.append(HistorySeries(tags: values, columns: [], rows: [])) }
            series[place].add(columns, at: query.cutoff(of: instant) + -(row.ago ?? query.bucket))
        }
        for place in series.indices { series[place].rows.sort { $0.at < $1.at } }
        return .rows(series)
    }
}

extension HistorySeries {
    fileprivate mutating func add(_ members: [Document.Member], at instant: Instant) {
        for member in members where !columns.contains(member.name) {
            columns.append(member.name)
            for row in rows.indices { rows[row].values.append(.null) }
        }
        rows.append(HistoryRow(at: instant, columns.map { name in members.first { $0.name == name }?.value ?? .null }))
    }
}

/// The answers of a test by query.
struct TestHistory {
    private struct Entry {
        var answer: TestAnswer
        var query: HistoryQuery
        var tags: [String]
    }
    private var entries: [String: [Entry]] = [:]

    init(_ answers: [TestAnswer], _ plan: EvaluationPlan) {
        for answer in answers.enumerated().sorted(by: { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }).map(\.element) {
            for rule in plan.catalog.rules
            where rule.identity.alert == answer.alert && answer.group.map({ $0 == rule.identity.group }) ?? true {
                guard let query = answer.query(of: rule) else { continue }
                entries[query.id, default: []].append(Entry(answer: answer, query: query, tags: query.tags ?? rule.by))
            }
        }
    }

    func outcome(of due: DueQuery, start: Instant) -> QueryOutcome {
        guard let entry = entries[due.id]?.last(where: { start + $0.answer.at <= due.instant }) else {
            return QueryOutcome(query: due.id, instant: due.instant, .failed("the test gives no answer for this instant"))
        }
        return QueryOutcome(query: due.id, instant: due.instant, entry.answer.result(entry.query, tags: entry.tags, for: due.instant))
    }
}
