public import RuleEngine

/// A stored value: one field of one series at an instant.
public struct StoredPoint: Sendable {
    public var tags: [String: String]
    public var fields: [(name: String, value: Document)]
    public var at: Instant
    public init(_ tags: [String: String], _ fields: [(name: String, value: Document)], at: Instant) {
        self.tags = tags
        self.fields = fields
        self.at = at
    }
}

/// A history and a way to fill it.
public struct WindowHistoryBench: Sendable {
    public var history: any WindowHistory
    /// Stores points of a measurement and returns the query for all rows of these columns, grouped by these tags.
    public var fill: @Sendable (_ points: [StoredPoint], _ columns: [String], _ tags: [String]) async throws -> String
    /// A text that is no query.
    public var nonsense: String

    public init(
        history: any WindowHistory, nonsense: String,
        fill: @escaping @Sendable (_ points: [StoredPoint], _ columns: [String], _ tags: [String]) async throws -> String
    ) {
        self.history = history
        self.nonsense = nonsense
        self.fill = fill
    }
}

public struct WindowHistoryClause: Sendable, CustomStringConvertible {
    public var description: String
    public var check: @Sendable (WindowHistoryBench) async throws -> Void
}

/// The contract of `WindowHistory`, for the fake and the adapter.
public enum WindowHistoryContract {
    private static let limit = Duration.seconds(20)
    private static let first = Instant(nanoseconds: 1_700_000_000_123_456_789)

    public static let clauses: [WindowHistoryClause] = [
        WindowHistoryClause(description: "series come with their tags, columns and rows in order, instants to the nanosecond") { bench in
            let points = [2, 0, 1].flatMap { step in
                ["oslo", "bergen"].map {
                    StoredPoint(["site": $0], [("kw", .double(Double(step) + 0.5))], at: first + Int64(step))
                }
            }
            let query = try await bench.fill(points, ["kw"], ["site"])
            let series = try await bench.history.rows(of: query, within: limit).sorted { $0.tags["site"] ?? "" < $1.tags["site"] ?? "" }
            let rows = (0..<3).map { HistoryRow(at: first + Int64($0), [.double(Double($0) + 0.5)]) }
            try expect(
                series == ["bergen", "oslo"].map { HistorySeries(tags: ["site": $0], columns: ["kw"], rows: rows) }, "\(series)")
        },
        WindowHistoryClause(description: "values keep their kind, and what is not there is null") { bench in
            let points = [
                StoredPoint([:], [("a", .double(0.1)), ("b", true), ("c", "text \"with\" quotes, ü")], at: first),
                StoredPoint([:], [("a", .double(-1e300))], at: first + 1_000),
            ]
            let query = try await bench.fill(points, ["a", "b", "c"], [])
            let series = try await bench.history.rows(of: query, within: limit)
            try expect(
                series.first?.rows == [
                    HistoryRow(at: first, [.double(0.1), true, "text \"with\" quotes, ü"]),
                    HistoryRow(at: first + 1_000, [.double(-1e300), .null, .null]),
                ], "\(series)")
        },
        WindowHistoryClause(description: "tags are any text, and one that a series lacks is empty") { bench in
            let names = ["a b", "a,b=c", "ü 日本", "quote\"", "back\\slash", "{}", "%20&x=1"]
            let query = try await bench.fill(
                names.map { StoredPoint(["site": $0], [("kw", 1.5)], at: first) } + [StoredPoint(["room": "r"], [("kw", 1.5)], at: first)],
                ["kw"], ["site"])
            let found = try await bench.history.rows(of: query, within: limit).map { $0.tags["site"] ?? "" }
            try expect(Set(found) == Set(names + [""]), "\(found)")
        },
        WindowHistoryClause(description: "no data is no series and no error") { bench in
            let query = try await bench.fill([], ["kw"], ["site"])
            let series = try await bench.history.rows(of: query, within: limit)
            try expect(series.isEmpty, "\(series)")
        },
        WindowHistoryClause(description: "thousands of series and of rows come whole") { bench in
            let points =
                (0..<3_000).map { StoredPoint(["device": "d\($0)"], [("kw", .double(Double($0) + 0.5))], at: first) }
                + (1..<25_000).map { StoredPoint(["device": "d0"], [("kw", .double(Double($0) + 0.5))], at: first + Int64($0)) }
            let query = try await bench.fill(points, ["kw"], ["device"])
            let series = try await bench.history.rows(of: query, within: limit)
            try expect(series.count == 3_000, "\(series.count) series")
            let long = series.first { $0.tags["device"] == "d0" }
            try expect(long?.rows.count == 25_000, "\(long?.rows.count ?? 0) rows")
            try expect(long?.rows.last?.values == [.double(24_999.5)], "\(String(describing: long?.rows.last))")
        },
        WindowHistoryClause(description: "what is no query is refused, with what the store said") { bench in
            do {
                let series = try await bench.history.rows(of: bench.nonsense, within: limit)
                try expect(false, "answered: \(series)")
            } catch let failure as HistoryFailure {
                guard case .refused(let reason) = failure else { throw failure }
                try expect(reason.contains("error parsing query"), reason)
            }
        },
        WindowHistoryClause(description: "calls that are under way at once each get their own answer") { bench in
            let points = (0..<20).map { StoredPoint(["device": "d\($0)"], [("f\($0)", .double(Double($0) + 0.5))], at: first) }
            var queries: [String] = []
            for place in points.indices { queries.append(try await bench.fill([points[place]], ["f\(place)"], ["device"])) }
            let found = try await withThrowingTaskGroup(of: (Int, [HistorySeries]).self) { group in
                for (place, query) in queries.enumerated() {
                    group.addTask { (place, try await bench.history.rows(of: query, within: limit)) }
                }
                return try await group.reduce(into: [Int: [HistorySeries]]()) { $0[$1.0] = $1.1 }
            }
            for place in points.indices {
                try expect(found[place]?.map(\.columns) == [["f\(place)"]], "\(place): \(String(describing: found[place]))")
            }
        },
    ]
}
