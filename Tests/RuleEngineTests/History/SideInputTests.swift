import Testing

@testable import RuleEngine

/// `with`: rows that stand beside readings.
@Suite struct SideInputTests {
    static let query = "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 7d GROUP BY device"
    static let body = "with: {usual: {influx: \"\(query)\", every: 1h}}\nexpr: kw > 2.0 * usual.kw"

    static func rows(_ values: [(device: String, kw: Double)]) -> QueryOutcome.Result {
        .rows(
            values.map {
                HistorySeries(
                    tags: ["device": $0.device], columns: ["time2", "kw"],
                    rows: [HistoryRow(at: EngineDriver.instant(0), [.null, .double($0.kw)])])
            })
    }

    static func answer(_ driver: EngineDriver, _ result: QueryOutcome.Result, at seconds: Double) throws {
        let due = try #require(driver.takeDue().last)
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, result), at: seconds)
    }

    @Test func `it is asked at the start, for the last aligned instant, and gives no result until it is there`() throws {
        let driver = try EngineDriver(EngineDriver.yaml(Self.body), start: 5000)
        driver.send("t/a", #"{"kw": 30}"#, at: 5001)
        #expect(driver.log() == [])
        let due = try #require(driver.takeDue().first)
        #expect(due.instant == EngineDriver.instant(3600))
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, Self.rows([("a", 10), ("b", 20)])), at: 5002)
        #expect(driver.log() == ["5002s A(a) firing"])
    }

    @Test func `it is matched on shared labels, and new rows are looked at when they come`() throws {
        let driver = try EngineDriver(EngineDriver.yaml(Self.body))
        try Self.answer(driver, Self.rows([("a", 10), ("b", 20)]), at: 1)
        for device in ["a", "b", "c"] { driver.send("t/\(device)", #"{"kw": 30}"#, at: 10) }
        #expect(driver.log() == ["10s A(a) firing"])
        driver.advance(to: 3600)
        try Self.answer(driver, Self.rows([("a", 20), ("b", 10), ("c", 1)]), at: 3601)
        #expect(driver.log() == ["3601s A(a) resolved", "3601s A(b) firing", "3601s A(c) firing"])
        // A series that is missing from a good answer gives no result, which keeps the state.
        driver.advance(to: 7200)
        try Self.answer(driver, Self.rows([("a", 20)]), at: 7201)
        driver.send("t/b", #"{"kw": 1}"#, at: 7202)
        #expect(driver.log() == [])
    }

    @Test func `a query without tags stands beside every instance, and a failed one keeps its rows`() throws {
        let body = "with: {all: {influx: \"SELECT max(kw) AS top FROM meters WHERE time > now() - 1d\", every: 1h}}\nexpr: kw > all.top"
        let driver = try EngineDriver.rule(body)
        let due = try #require(driver.takeDue().last)
        let series = HistorySeries(columns: ["top"], rows: [HistoryRow(at: EngineDriver.instant(0), [10])])
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, .rows([series])), at: 1)
        driver.advance(to: 3600)
        try Self.answer(driver, .failed("away"), at: 3601)
        driver.send("t/x", #"{"kw": 11}"#, at: 3602)
        #expect(driver.log() == ["3602s A(x) firing"])
        #expect(driver.status()?.health == .error && driver.status()?.lastError == "away")
    }

    @Test func `rows are kept over a reload that edits the rule`() throws {
        let driver = try EngineDriver(EngineDriver.yaml(Self.body))
        try Self.answer(driver, Self.rows([("a", 10)]), at: 1)
        try driver.reload(EngineDriver.yaml(Self.body.replacingLast("2.0", by: "1.5")), at: 2)
        #expect(driver.takeDue().isEmpty)
        driver.send("t/a", #"{"kw": 16}"#, at: 3)
        #expect(driver.log() == ["3s A(a) firing"])
    }

    @Test func `a label may not depend on it`() {
        #expect(EngineDriver.mistakes(EngineDriver.yaml(Self.body + "\nlabels: {x: '{{ usual.kw }}'}")) == ["label-measured"])
    }

    @Test func `what was asked and not answered is known after a restart`() throws {
        let driver = try EngineDriver(EngineDriver.yaml(Self.body))
        #expect(driver.engine.unansweredQueries.map(\.text) == driver.due.map(\.text) && driver.due.count == 1)
        try Self.answer(driver, Self.rows([]), at: 1)
        #expect(driver.engine.unansweredQueries.isEmpty)
    }
}

extension String {
    fileprivate func replacingLast(_ text: String, by other: String) -> String {
        guard let found = ranges(of: text).last else { return self }
        return replacingCharacters(found, other)
    }
    private func replacingCharacters(_ range: Range<Index>, _ other: String) -> String {
        self[..<range.lowerBound] + other + self[range.upperBound...]
    }
}
