public import RuleEngine

/// Queries and points of scripts.
public struct InfluxAccess: Sendable {
    private let client: InfluxClient
    private let limits: QueryAnswer.Limits

    /// What a script takes in of one answer.
    private static let bounds = QueryAnswer.Limits(bytes: 4 << 20, rows: 10_000, series: 1_000)

    public init(_ configuration: InfluxConfiguration) {
        client = InfluxClient(configuration)
        limits = Self.bounds
    }

    /// Asks one SELECT: a list of `{name, tags, rows}`, rows being `{time, column…}` with the time in seconds since 1970.
    public func series(of query: String) async throws(HistoryFailure) -> Document {
        let answer = QueryAnswer(limits: limits)
        switch await client.query(query, within: client.configuration.timeout, into: answer) {
        case .none(let reason, let isRefusal):
            if let mistake = answer.mistake { throw .refused("InfluxDB at \(client.configuration.address): \(mistake)") }
            throw isRefusal ? .refused(reason) : .unavailable(reason)
        case .answer(let status, _):
            guard status == 200 else { throw client.failure(status, answer.said) }
            switch answer.finish() {
            case .series(let series): return .array(zip(answer.seriesNames, series).map { Self.document($0, $1) })
            case .mistake(let mistake): throw .refused("InfluxDB at \(client.configuration.address): \(mistake)")
            case .error(let said): throw .refused("InfluxDB says: \(client.shown(said))")
            }
        }
    }

    private static func document(_ name: String, _ series: HistorySeries) -> Document {
        let rows = series.rows.map { row in
            let time = Document.Member("time", .double(Double(row.at.nanoseconds) / 1e9))
            return Document.object([time] + zip(series.columns, row.values).map { Document.Member($0, $1) })
        }
        return ["name": .string(name), "tags": Document(series.tags), "rows": .array(rows)]
    }

    /// Returns when InfluxDB has taken the point.
    public func write(_ point: SeriesPoint) async throws(HistoryFailure) {
        let answer = QueryAnswer(limits: limits)
        switch await client.write(PointLine.of(point), retentionPolicy: nil, within: client.configuration.timeout, into: answer) {
        case .none(let reason, let isRefusal): throw isRefusal ? .refused(reason) : .unavailable(reason)
        case .answer(let status, _):
            guard status == 204 || status == 200 else { throw client.failure(status, answer.said) }
        }
    }
}

/// InfluxDB's line protocol.
enum PointLine {
    static func of(_ point: SeriesPoint) -> [UInt8] {
        var line = escaped(point.measurement, ", ")
        for (name, value) in point.tags.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            line += ",\(escaped(name, ",= "))=\(escaped(value, ",= "))"
        }
        let fields = point.fields.map { "\(escaped($0.name, ",= "))=\(value($0.value))" }
        return Array("\(line) \(fields.joined(separator: ",")) \(point.at.nanoseconds)\n".utf8)
    }

    private static func value(_ value: Document) -> String {
        switch value {
        case .int(let number): "\(number)i"
        case .double(let number): "\(number)"
        case .bool(let flag): flag ? "true" : "false"
        default: "\"\(escaped(value.plainText, "\"\\"))\""
        }
    }

    private static func escaped(_ text: String, _ marks: String) -> String {
        var escaped: [UInt8] = []
        for byte in text.utf8 {
            if marks.utf8.contains(byte) { escaped.append(UInt8(ascii: "\\")) }
            escaped.append(byte)
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}
