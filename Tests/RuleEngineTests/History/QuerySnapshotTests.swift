import Testing

@testable import RuleEngine

/// Queries and their rows are part of the engine's state.
@Suite struct QuerySnapshotTests {
    private static let yaml = """
        groups:
          - name: g
            rules:
              - alert: A
                every: 5m
                influx: "\(QueryRuleTests.text)"
                expr: kw > 10 && previous(kw) > 5
                for: 7m
                missing: {after: 20m, policy: nodata}
              - alert: B
                on: t/{site}
                with: {usual: {influx: "SELECT mean(kw) AS kw FROM meters WHERE time > now() - 7d GROUP BY site", every: 10m}}
                expr: kw > 2.0 * usual.kw
        """

    /// One step of five minutes: answers to what is due, some late, some failed, some never, and readings between.
    private static func step(_ drivers: [EngineDriver], _ number: Int) {
        let at = Double(number) * 300
        for driver in drivers { driver.advance(to: at) }
        let due = drivers.map { $0.takeDue() }
        for (driver, due) in zip(drivers, due) {
            for (place, query) in due.enumerated() {
                let sites = (0..<6).filter { ($0 + number) % 4 != 0 }.map {
                    (site: "s\($0)", kw: Double(($0 * 7 + number * 5 + place) % 20))
                }
                switch (number + place) % 5 {
                case 0: driver.apply(QueryOutcome(query: query.id, instant: query.instant, .failed("away")), at: at + 2)
                case 1: break
                default:
                    driver.apply(
                        QueryOutcome(query: query.id, instant: query.instant, QueryRuleTests.rows(sites, at: at - 300)), at: at + 2)
                }
            }
            for site in 0..<6 { driver.send("t/s\(site)", "{\"kw\": \((site * 11 + number * 3) % 30)}", at: at + 100) }
        }
    }

    @Test(arguments: [1, 2, 3, 5, 8, 13]) func `restored at any point, state and effects go on as without a stop`(_ stop: Int) throws {
        let driver = try EngineDriver(Self.yaml, shards: 2)
        for number in 1...stop { Self.step([driver], number) }
        _ = driver.take()
        let before = driver.engine.snapshot()
        let engine = try #require(Engine(plan: driver.engine.plan, restoring: before))
        let other = EngineDriver(engine: engine)
        #expect(other.engine.snapshot() == before)
        #expect(other.engine.unansweredQueries == driver.engine.unansweredQueries)
        for number in (stop + 1)...(stop + 30) { Self.step([driver, other], number) }
        let (expected, seen) = (driver.log(), other.log())
        #expect(seen == expected && expected.count > 10)
        #expect(driver.engine.snapshot() == other.engine.snapshot())
    }
}
