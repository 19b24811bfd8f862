import RuleEngine
import Testing

@Suite struct BoundTests {
    private static let warm = "{\"t\": 31}", cold = "{\"t\": 20}"

    @Test func `when 'limit' is full no new one begins, none is evicted, and 'RuleOverLimit' fires until none was refused for 5 minutes`()
        throws
    {
        let driver = try EngineDriver.rule("expr: t > 30\nlimit: 2")
        for device in ["a", "b", "c"] { driver.send("t/\(device)", Self.warm, at: 0) }
        #expect(driver.log() == ["0s A(a) firing", "0s A(b) firing", "0s RuleOverLimit(g/A) firing [limit]"])
        #expect(driver.engine.counters.refusedInstances == ["g/A": 1])
        driver.send("t/c", Self.warm, at: 100)
        driver.send("t/a", Self.cold, at: 120)
        // There is room now; its value has not changed since it was refused.
        driver.send("t/c", Self.warm, at: 130)
        driver.advance(to: 1000)
        #expect(driver.log() == ["120s A(a) resolved", "130s A(c) firing", "400s RuleOverLimit(g/A) resolved [limit]"])
    }

    @Test func `a refused instance is counted by rule and raises 'TooManyInstances'`() throws {
        let driver = try EngineDriver(EngineDriver.yaml("expr: t > 30"), maximumInstances: 2)
        for device in ["a", "b", "c", "d"] { driver.send("t/\(device)", Self.warm, at: 0) }
        #expect(driver.log() == ["0s A(a) firing", "0s A(b) firing", "0s TooManyInstances() firing [limit]"])
        #expect(driver.engine.counters.refusedInstances == ["g/A": 2])
        #expect(driver.engine.counters.subjects == 2)
        try driver.setDevice("a", nil, at: 1)
        driver.send("t/c", Self.warm, at: 2)
        #expect(driver.log() == ["1s A(a) resolved [device removed]", "2s A(c) firing"])
    }

    @Test func `an inactive instance without a reading for 'forget_after' is forgotten, an active one is not`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", Self.cold, at: 0)
        driver.send("t/b", Self.warm, at: 0)
        driver.send("t/c", Self.cold, at: 3 * 86_400)
        driver.advance(to: 7.5 * 86_400)
        #expect(driver.engine.counters.subjects == 2)
        _ = driver.log()
        // What was forgotten comes again as something new, in a place that another may have had.
        driver.send("t/d", Self.warm, at: 7.5 * 86_400)
        driver.send("t/a", Self.warm, at: 7.5 * 86_400)
        driver.send("t/b", Self.cold, at: 7.5 * 86_400)
        #expect(driver.log() == ["648000s A(d) firing", "648000s A(a) firing", "648000s A(b) resolved"])
    }

    @Test func `'evaluations' count readings that reached the topic with a field the rule reads`() throws {
        let yaml = EngineDriver.yaml("expr: t > 1000") + "      - {alert: B, expr: u > 1000}\n      - {alert: C, expr: 'config.x > 3'}\n"
        let driver = try EngineDriver(yaml)
        for at in 0..<10 { driver.send("t/a", Self.warm, at: Double(at)) }
        driver.send("t/a", "{\"u\": 3, \"t\": 4}", at: 20)
        driver.send("t/b", "{\"v\": 3}", at: 30)
        driver.send("x/b", "{\"t\": 3}", at: 40)
        #expect([driver.status("A")?.evaluations, driver.status("B")?.evaluations, driver.status("C")?.evaluations] == [11, 1, 12])
        #expect(driver.status("A")?.lastEvaluationAt == EngineDriver.instant(20))
        #expect(driver.status("C")?.lastEvaluationAt == EngineDriver.instant(30))
    }

    @Test func `'evaluations' stay right when readings carry more sets of fields than are told apart`() throws {
        let fields = (0..<10).map { "f\($0)" }
        let driver = try EngineDriver.rule("expr: " + fields.map { "\($0) > 1000" }.joined(separator: " || "))
        let rules = fields.map { "      - {alert: R\($0), expr: \($0) > 1000}\n" }.joined()
        try driver.reload(EngineDriver.yaml("expr: f0 > 10000") + rules, at: 0)
        var expected = [UInt64](repeating: 0, count: 10)
        for mask in 1..<1024 {
            let carried = fields.indices.filter { mask >> $0 & 1 == 1 }
            for field in carried { expected[field] += 1 }
            driver.send("t/a", "{" + carried.map { "\"f\($0)\": \(mask)" }.joined(separator: ",") + "}", at: Double(mask))
        }
        #expect(fields.map { driver.status("R\($0)")?.evaluations ?? 0 } == expected)
    }
}
