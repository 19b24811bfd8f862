/// Outcomes of queries as bytes, for journals, and where queries stand, for checkpoints.
extension SnapshotWriter {
    mutating func write(_ outcome: QueryOutcome) {
        write(outcome.query)
        write(outcome.instant)
        switch outcome.result {
        case .failed(let reason):
            write(byte: 0)
            write(reason)
        case .rows(let series):
            write(byte: 1)
            write(series.count)
            for one in series { write(one) }
        }
    }

    mutating func write(_ series: HistorySeries) {
        write(series.tags)
        write(series.columns.count)
        for column in series.columns { write(column) }
        write(series.rows.count)
        for row in series.rows {
            write(row.at)
            for value in row.values { write(value) }
        }
    }
}

extension SnapshotReader {
    mutating func readOutcome() -> QueryOutcome? {
        guard let query = readText(), let instant = readInstant(), let kind = readByte() else { return nil }
        switch kind {
        case 0: return readText().map { QueryOutcome(query: query, instant: instant, .failed($0)) }
        case 1: return readAllSeries().map { QueryOutcome(query: query, instant: instant, .rows($0)) }
        default: return nil
        }
    }

    mutating func readAllSeries() -> [HistorySeries]? {
        guard let count = readCount(), count <= remaining else { return nil }
        var all: [HistorySeries] = []
        for _ in 0..<count {
            guard let series = readSeries() else { return nil }
            all.append(series)
        }
        return all
    }

    private mutating func readSeries() -> HistorySeries? {
        guard let tags = readTexts(), let columnCount = readCount(), columnCount <= remaining else { return nil }
        var series = HistorySeries(tags: tags, columns: [], rows: [])
        for _ in 0..<columnCount {
            guard let column = readText() else { return nil }
            series.columns.append(column)
        }
        guard let rowCount = readCount(), rowCount <= remaining else { return nil }
        for _ in 0..<rowCount {
            guard let at = readInstant() else { return nil }
            var values: [Document] = []
            for _ in 0..<columnCount {
                guard let value = readDocument() else { return nil }
                values.append(value)
            }
            series.rows.append(HistoryRow(at: at, values))
        }
        return series
    }
}

/// Where a query stands, as a checkpoint holds it.
struct SavedQuery: Sendable {
    private let id: String
    private let nextDue: Instant
    private let askedFor: Instant?
    private let isAnswered: Bool
    private let failure: String?
    private let series: [HistorySeries]
    private let recorded: RecordedSeries?

    static func all(of context: EngineContext) -> [SavedQuery] { zip(context.plan.queries, context.queries).map { SavedQuery($0, $1) } }

    private init(_ plan: QueryPlan, _ state: QueryState) {
        id = plan.id
        (nextDue, askedFor, isAnswered) = (state.nextDue, state.askedFor, state.isAnswered)
        (failure, series, recorded) = (state.failure, state.series, state.recorded)
    }

    func write(to writer: inout SnapshotWriter) {
        writer.write(id)
        writer.write(nextDue)
        writer.write(askedFor ?? .distantFuture)
        writer.write(isAnswered)
        writer.write(failure != nil)
        writer.write(failure ?? "")
        writer.write(series.count)
        for one in series { writer.write(one) }
        recorded?.write(to: &writer)
    }
}

extension EngineContext {
    /// False when the bytes are damaged or of another plan.
    func readQueries(from reader: inout SnapshotReader) -> Bool {
        guard let count = reader.readCount() else { return false }
        for _ in 0..<count {
            guard let id = reader.readText(), let nextDue = reader.readInstant(), let askedFor = reader.readInstant(),
                let isAnswered = reader.readBool(), let hasFailed = reader.readBool(), let failure = reader.readText(),
                let series = reader.readAllSeries()
            else { return false }
            // What follows depends on the plan, which is that of the checkpoint.
            guard let number = plan.queryNumbers[id] else { return false }
            if let recorded = plan.queries[number].recorded {
                guard let restored = RecordedSeries(recorded, from: &reader) else { return false }
                queries[number].recorded = restored
            }
            queries[number].nextDue = nextDue
            queries[number].askedFor = askedFor == .distantFuture ? nil : askedFor
            queries[number].isAnswered = isAnswered
            queries[number].failure = hasFailed ? failure : nil
            queries[number].series = series
            fillSideTable(number)
        }
        findNextQuery()
        return true
    }
}
