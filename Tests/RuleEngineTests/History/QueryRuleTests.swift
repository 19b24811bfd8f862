import Testing

@testable import RuleEngine

/// Rules whose instances are the series of a query.
@Suite struct QueryRuleTests {
    static let text = "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 15m GROUP BY site"

    static func driver(_ body: String, query: String = text, every: String = "5m", start: Double? = 0, shards: Int = 1) throws
        -> EngineDriver
    {
        try EngineDriver(EngineDriver.yaml("every: \(every)\ninflux: \(query)\n\(body)", on: ""), shards: shards, start: start)
    }

    /// One row a series, at an instant in seconds.
    static func rows(_ values: [(site: String, kw: Double?)], at seconds: Double = 0) -> QueryOutcome.Result {
        .rows(
            values.map {
                HistorySeries(
                    tags: ["site": $0.site], columns: ["kw"],
                    rows: [HistoryRow(at: EngineDriver.instant(seconds), [$0.kw.map(Document.double) ?? .null])])
            })
    }

    static func answer(_ driver: EngineDriver, _ result: QueryOutcome.Result, at seconds: Double) throws {
        let due = try #require(driver.takeDue().last)
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, result), at: seconds)
    }

    @Test func `a query is due at aligned instants, now() is the instant less the offset, and it is asked within a tenth of every`() throws
    {
        let driver = try Self.driver("expr: kw > 10\noffset: 30s", start: 1000)
        #expect(driver.takeDue().isEmpty)
        driver.advance(to: 1200)
        let due = try #require(driver.takeDue().first)
        #expect(due.instant == EngineDriver.instant(1200))
        #expect(due.text == "SELECT mean(kw) AS kw FROM meters WHERE time > '1970-01-01T00:19:30.000Z' - 15m GROUP BY site")
        #expect(due.askAt >= due.instant && due.askAt < EngineDriver.instant(1230))
        #expect(due.expiresAt == EngineDriver.instant(1500))
        driver.advance(to: 1800)
        #expect(driver.takeDue().map(\.instant) == [EngineDriver.instant(1500), EngineDriver.instant(1800)].suffix(1))
    }

    @Test func `a thousand queries are not asked at once`() throws {
        let delays = (0..<1000).map { number in
            HistoryQuery(parts: [.literal("SELECT mean(kw) FROM m\(number)")], tags: [], every: .seconds(300)).delay
        }
        #expect(delays.allSatisfy { (0..<30_000_000_000).contains($0) })
        var perSecond = [Int](repeating: 0, count: 30)
        for delay in delays { perSecond[Int(delay / 1_000_000_000)] += 1 }
        #expect(perSecond.max()! < 80 && perSecond.min()! > 5, "\(perSecond)")
    }

    @Test func `the device of a series follows from its tags as 'device' says`() throws {
        let query = "SELECT mean(kw) AS kw FROM m WHERE time > now() - 15m GROUP BY site, sensor"
        let driver = try Self.driver("device: '{site}-{sensor}'\nexpr: kw > config.limit", query: query)
        for (device, limit) in [("oslo-1", 5), ("oslo-2", 50), ("1", 0)] { try driver.setDevice(device, "{\"limit\": \(limit)}", at: 1) }
        driver.advance(to: 300)
        let series = ["1", "2"].map {
            HistorySeries(tags: ["site": "oslo", "sensor": $0], columns: ["kw"], rows: [HistoryRow(at: EngineDriver.instant(290), [10])])
        }
        try Self.answer(driver, .rows(series), at: 301)
        let fired = driver.take()
        #expect(fired.map(\.short) == ["301s A(oslo,1) firing"] && fired.map(\.alert.device) == ["oslo-1"])
        try driver.setDevice("oslo-2", #"{"limit": 6}"#, at: 310)
        driver.advance(to: 600)
        try Self.answer(driver, .rows(series), at: 601)
        #expect(driver.log() == ["601s A(oslo,2) firing"])
        try driver.setDevice("oslo-1", nil, at: 610)
        #expect(driver.log() == ["610s A(oslo,1) resolved [device removed]"])
    }

    @Test func `each series is an instance, its last row's columns the fields`() throws {
        let driver = try Self.driver("expr: kw > 10")
        driver.advance(to: 300)
        try Self.answer(driver, Self.rows([("oslo", 12), ("bergen", 8)]), at: 301)
        #expect(driver.log() == ["301s A(oslo) firing"])
        driver.advance(to: 600)
        try Self.answer(driver, Self.rows([("oslo", 5), ("bergen", 11)], at: 300), at: 602)
        #expect(driver.log() == ["602s A(oslo) resolved", "602s A(bergen) firing"])
        #expect(driver.status()?.evaluations == 2)
        #expect(driver.status()?.lastEvaluationAt == EngineDriver.instant(600))
    }

    @Test func `a series that is missing from a good answer gives no result, and missing counts from its last row`() throws {
        let driver = try Self.driver("expr: kw > 10\nmissing: {after: 12m, policy: nodata}")
        driver.advance(to: 300)
        try Self.answer(driver, Self.rows([("oslo", 12), ("bergen", 12)]), at: 301)
        #expect(driver.log().count == 2)
        for instant in [600, 900, 1200] {
            driver.advance(to: Double(instant))
            try Self.answer(driver, Self.rows([("bergen", 12)], at: Double(instant - 300)), at: Double(instant + 1))
        }
        #expect(driver.log() == ["1021s A(oslo) nodata [missing]"])
    }

    @Test(arguments: [1, 2, 7]) func `a query without tags has one instance: that it never has a row is silence from the first answer`(
        _ shards: Int
    ) throws {
        for (policy, said) in [("nodata", "nodata"), ("alert", "firing")] {
            let driver = try Self.driver(
                "expr: kw > 10\nmissing: {after: 12m, policy: \(policy)}",
                query: "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 15m", shards: shards)
            driver.advance(to: 300)
            // That nobody answers is no silence.
            try Self.answer(driver, .failed("away"), at: 301)
            for instant in stride(from: 600.0, through: 1500, by: 300) {
                driver.advance(to: instant)
                try Self.answer(driver, .rows([]), at: instant + 1)
            }
            #expect(driver.log() == ["1321s A() \(said) [missing]"])
            driver.advance(to: 1800)
            let row = HistoryRow(at: EngineDriver.instant(1790), [12])
            try Self.answer(driver, .rows([HistorySeries(tags: [:], columns: ["kw"], rows: [row])]), at: 1801)
            #expect(driver.log() == (policy == "alert" ? [] : ["1801s A() firing"]))
        }
    }

    @Test func `a series that a query with tags never had is no instance`() throws {
        let driver = try Self.driver("expr: kw > 10\nmissing: {after: 12m, policy: nodata}")
        for instant in stride(from: 300.0, through: 3000, by: 300) {
            driver.advance(to: instant)
            try Self.answer(driver, .rows([]), at: instant + 1)
        }
        #expect(driver.log().isEmpty)
    }

    @Test func `a row of nulls is no data`() throws {
        let driver = try Self.driver("expr: kw > 10\nmissing: {after: 12m, policy: nodata}")
        driver.advance(to: 300)
        try Self.answer(driver, Self.rows([("oslo", 12)]), at: 301)
        driver.advance(to: 600)
        try Self.answer(driver, Self.rows([("oslo", nil)], at: 300), at: 601)
        driver.advance(to: 1100)
        #expect(driver.log() == ["301s A(oslo) firing", "1021s A(oslo) nodata [missing]"])
    }

    @Test func `rows whose bucket ends after the instant less the offset are left out, and rows holds the others`() throws {
        let query = "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 15m GROUP BY time(5m), site"
        let driver = try Self.driver(
            "expr: kw > 10 && rows.size() == 2 && rows[0].kw == 1.0 && rows[1].time == time\noffset: 30s", query: query)
        driver.advance(to: 1200)
        let rows = [(300.0, 1.0), (600.0, 20.0), (900.0, 3.0), (1200.0, 4.0)].map {
            HistoryRow(at: EngineDriver.instant($0), [.double($1)])
        }
        try Self.answer(driver, .rows([HistorySeries(tags: ["site": "oslo"], columns: ["kw"], rows: rows)]), at: 1201)
        #expect(driver.log() == ["1201s A(oslo) firing"])
        let record = try Self.driver("expr: kw > 10", query: query)
        record.advance(to: 900)
        try Self.answer(record, .rows([HistorySeries(tags: ["site": "oslo"], columns: ["kw"], rows: Array(rows.prefix(3)))]), at: 901)
        #expect(record.take().first?.alert.value == .int(20))
    }

    @Test func `a failed query keeps the state and is an error of the rule's health; an instant without an answer is missed`() throws {
        let driver = try Self.driver("expr: kw > 10")
        driver.advance(to: 300)
        try Self.answer(driver, Self.rows([("oslo", 12)]), at: 301)
        #expect(driver.status()?.health == .ok)
        driver.advance(to: 600)
        let due = try #require(driver.takeDue().last)
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, .failed("timeout")), at: 602)
        #expect(driver.log() == ["301s A(oslo) firing"])
        #expect(driver.status()?.health == .error && driver.status()?.lastError == "timeout")
        #expect(driver.engine.counters.missedEvaluations == [:])
        // Retried in time: nothing is missed.
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, Self.rows([("oslo", 2)])), at: 640)
        #expect(driver.log() == ["640s A(oslo) resolved"])
        #expect(driver.status()?.health == .ok)
        driver.advance(to: 900)
        driver.advance(to: 1200)
        #expect(driver.engine.counters.missedEvaluations == ["g/A": 1])
        #expect(driver.status()?.health == .error)
    }

    @Test func `an answer to an earlier instant, and a second one, change nothing`() throws {
        let driver = try Self.driver("expr: kw > 10")
        driver.advance(to: 300)
        let first = try #require(driver.takeDue().last)
        driver.advance(to: 600)
        driver.apply(QueryOutcome(query: first.id, instant: first.instant, Self.rows([("oslo", 12)])), at: 601)
        #expect(driver.log() == [])
        let second = QueryOutcome(query: first.id, instant: EngineDriver.instant(600), Self.rows([("oslo", 1)]))
        driver.apply(second, at: 602)
        driver.apply(QueryOutcome(query: first.id, instant: EngineDriver.instant(600), Self.rows([("oslo", 12)])), at: 603)
        driver.apply(QueryOutcome(query: "nobody's", instant: EngineDriver.instant(600), Self.rows([("oslo", 12)])), at: 603)
        #expect(driver.log() == [])
    }

    @Test func `two series of one instance are an error, and the first counts`() throws {
        let driver = try EngineDriver(
            EngineDriver.yaml(
                "every: 5m\ninflux: SELECT mean(kw) AS kw FROM meters WHERE time > now() - 5m GROUP BY *\nby: [site]\nexpr: kw > 10", on: ""
            ))
        driver.advance(to: 300)
        try Self.answer(driver, Self.rows([("oslo", 12), ("oslo", 1), ("o\0o", 12)]), at: 301)
        #expect(driver.log() == ["301s A(oslo) firing"])
        #expect(driver.engine.counters.evaluationErrors == ["g/A": 2])
    }

    @Test func `rules with the same query share one asking`() throws {
        let yaml = """
            groups:
              - name: g
                every: 5m
                rules:
                  - {alert: A, influx: "\(Self.text)", expr: kw > 10}
                  - {alert: B, influx: "\(Self.text)", expr: kw > 20}
                  - {alert: C, influx: "\(Self.text)", offset: 1m, expr: kw > 10}
                  - {alert: D, influx: "\(Self.text)", enabled: false, expr: kw > 10}
            """
        let driver = try EngineDriver(yaml)
        driver.advance(to: 300)
        let due = driver.takeDue()
        #expect(due.count == 2)
        driver.apply(QueryOutcome(query: due[0].id, instant: due[0].instant, Self.rows([("oslo", 30)])), at: 301)
        #expect(driver.log() == ["301s A(oslo) firing", "301s B(oslo) firing"])
    }

    @Test func `for and edges work over rows, now is the evaluation instant`() throws {
        let driver = try Self.driver("expr: kw > 10 && previous(kw) > 5 && now.getMinutes() % 5 == 0\nfor: 5m")
        for (instant, kw) in [(300, 12.0), (600, 12), (900, 12), (1200, 12)] {
            driver.advance(to: Double(instant))
            try Self.answer(driver, Self.rows([("oslo", kw)], at: Double(instant)), at: Double(instant) + 1.5)
        }
        #expect(driver.log() == ["601.5s A(oslo) pending", "901.5s A(oslo) firing"])
    }

    @Test func `a column whose name reads as a path is found by it`() throws {
        let driver = try Self.driver(
            "expr: battery.level < 10", query: "SELECT \"battery.level\" FROM m WHERE time > now() - 5m GROUP BY site")
        driver.advance(to: 300)
        let rows = [HistoryRow(at: EngineDriver.instant(200), [5])]
        try Self.answer(driver, .rows([HistorySeries(tags: ["site": "oslo"], columns: ["battery.level"], rows: rows)]), at: 301)
        #expect(driver.log() == ["301s A(oslo) firing"])
    }

    @Test func `the configuration is that of the device where the tag device names one`() throws {
        let driver = try Self.driver(
            "expr: kw > config.limit", query: "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 5m GROUP BY device")
        try driver.setDevice("f1", #"{"limit": 10}"#, at: 0)
        driver.advance(to: 300)
        let series = ["f1", "f2"].map {
            HistorySeries(tags: ["device": $0], columns: ["kw"], rows: [HistoryRow(at: EngineDriver.instant(0), [20])])
        }
        try Self.answer(driver, .rows(series), at: 301)
        #expect(driver.log() == ["301s A(f1) firing"])
    }

    @Test func `after a reload the query goes on as it was, and a changed one begins anew`() throws {
        func yaml(_ query: String, _ summary: String) -> String {
            EngineDriver.yaml("every: 5m\ninflux: \(query)\nexpr: kw > 10\nannotations: {summary: \(summary)}", on: "")
        }
        let driver = try EngineDriver(yaml(Self.text, "one"))
        driver.advance(to: 300)
        let due = try #require(driver.takeDue().last)
        try driver.reload(yaml(Self.text, "two"), at: 310)
        #expect(driver.takeDue().isEmpty)
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, Self.rows([("oslo", 12)])), at: 311)
        #expect(driver.log() == ["311s A(oslo) firing"])
        try driver.reload(yaml(Self.text + ", device", "two"), at: 320)
        #expect(driver.log() == ["320s A(oslo) resolved [rule changed]"])
        driver.advance(to: 600)
        #expect(driver.takeDue().map(\.text).allSatisfy { $0.hasSuffix("device") })
    }

    @Test(arguments: [1, 2, 7]) func `effects are the same for any number of shards`(_ shards: Int) throws {
        func log(_ shards: Int) throws -> [String] {
            let driver = try Self.driver("expr: kw > 10\nfor: 5m\nmissing: {after: 20m, policy: alert}", shards: shards)
            for instant in stride(from: 300.0, through: 3000, by: 300) {
                driver.advance(to: instant)
                let sites = (0..<40).filter { ($0 * Int(instant)) % 7 != 0 }.map {
                    (site: "s\($0)", kw: Double(($0 * 31 + Int(instant) / 300 * 17) % 23))
                }
                try Self.answer(driver, Self.rows(sites, at: instant), at: instant + 1)
            }
            return driver.log()
        }
        let reference = try log(1)
        #expect(reference.count > 50)
        #expect(try log(shards) == reference)
    }

    @Test func `an outcome comes back from its bytes as it was, and damaged bytes are none`() throws {
        let outcome = QueryOutcome(
            query: "q", instant: Instant(nanoseconds: 1_234_567_890_123_456_789),
            .rows([
                HistorySeries(
                    tags: ["a": "1", "b": ""], columns: ["x", "y"],
                    rows: [
                        HistoryRow(at: Instant(nanoseconds: 7), [.double(1.5), .null]),
                        HistoryRow(at: Instant(nanoseconds: 8), ["t", true]),
                    ])
            ]))
        func bytes(_ outcome: QueryOutcome) -> [UInt8] {
            var bytes: [UInt8] = []
            EngineInput.rows(outcome).encode(into: &bytes)
            return bytes
        }
        func read(_ bytes: [UInt8]) -> QueryOutcome? {
            guard case .input(.rows(let outcome))? = bytes.withUnsafeBytes({ EngineInput.decode($0) }) else { return nil }
            return outcome
        }
        #expect(read(bytes(outcome)) == outcome)
        let failed = QueryOutcome(query: "q", instant: Instant(nanoseconds: 1), .failed("why"))
        #expect(read(bytes(failed)) == failed)
        for length in 0..<bytes(outcome).count { #expect(read(Array(bytes(outcome).prefix(length))) == nil) }
        for place in bytes(outcome).indices.dropFirst() {
            var damaged = bytes(outcome)
            damaged[place] ^= 0xff
            _ = read(damaged)
        }
    }
}
