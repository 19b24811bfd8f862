import RuleEngine
import Testing

@Suite struct TimeTests {
    @Test func `'age' compared with a constant is evaluated at the instant the comparison turns`() throws {
        let driver = try EngineDriver.rule("expr: age(t) > duration('5m')")
        driver.send("t/a", "{\"t\": 1}", at: 0)
        driver.send("t/a", "{\"t\": 1}", at: 100)
        driver.send("t/a", "{\"u\": 1}", at: 200)
        driver.advance(to: 400)
        #expect(driver.log() == [])
        driver.advance(to: 1000)
        let fired = driver.take()
        #expect(fired.map(\.alert.changedAt) == [Instant(nanoseconds: 400_000_000_001)])
        driver.send("t/a", "{\"t\": 1}", at: 1001)
        #expect(driver.log() == ["1001s A(a) resolved"])
    }

    @Test(arguments: [(">=", 60_000_000_000), (">", 60_000_000_001)] as [(String, Int64)])
    func `the instant at which an age turns depends on the comparison`(_ comparison: String, _ at: Int64) throws {
        for expression in [
            "age(t) \(comparison) limit", "!(limit \(comparison == ">" ? ">=" : ">") age(t))", "age(t) \(comparison) duration('1m')",
        ] {
            let driver = try EngineDriver.rule("let: {limit: duration('1m')}\nexpr: '\(expression.replacingQuotes)'")
            driver.send("t/a", "{\"t\": 1}", at: 0)
            driver.advance(to: 100)
            #expect(driver.take().map(\.alert.changedAt.nanoseconds) == [at], "\(expression)")
        }
    }

    @Test func `'age' compared with a configured value turns when the configuration says`() throws {
        for rule in ["let: {limit: duration(config.silence)}\nexpr: age(t) >= limit", "expr: age(t) >= duration(config.silence)"] {
            let driver = try EngineDriver.rule(rule)
            try driver.setDevice("a", "{\"silence\": \"60s\"}", at: 0)
            driver.send("t/a", "{\"t\": 1}", at: 0)
            try driver.setDevice("a", "{\"silence\": \"30s\"}", at: 10)
            driver.advance(to: 100)
            #expect(driver.log() == ["30s A(a) firing"])
        }
    }

    @Test func `with 'every' a rule is evaluated at aligned instants only`() throws {
        let driver = try EngineDriver.rule("every: 1m\nexpr: t > 30")
        driver.advance(to: 70)
        driver.send("t/a", "{\"t\": 31}", at: 90)
        #expect(driver.log() == [])
        driver.advance(to: 120)
        driver.send("t/a", "{\"t\": 1}", at: 130)
        driver.advance(to: 200)
        #expect(driver.log() == ["120s A(a) firing", "180s A(a) resolved"])
        let status = driver.engine.status(of: RuleIdentity(group: "g", alert: "A"))
        #expect(status?.evaluations == 3)
        #expect(status?.lastEvaluationAt == EngineDriver.instant(180))
    }

    @Test func `'every' without 'on' is one instance on the clock: a dead man's switch`() throws {
        for shards in [1, 7] {
            let driver = try EngineDriver(
                "groups:\n  - name: g\n    rules:\n      - {alert: Watchdog, every: 30s, expr: 'true'}\n", shards: shards, start: 5)
            driver.advance(to: 100)
            #expect(driver.log() == ["30s Watchdog() firing"])
        }
    }

    @Test func `'now' needs 'every'`() throws {
        #expect(!EngineDriver.mistakes(EngineDriver.yaml("expr: now.getHours() > 7")).isEmpty)
        let driver = try EngineDriver.rule("every: 1h\nexpr: now.getHours() >= 7 && t > 30")
        driver.send("t/a", "{\"t\": 31}", at: 1)
        driver.advance(to: 10 * 3600)
        #expect(driver.log() == ["25200s A(a) firing"])
    }

    @Test func `timers that came due while the server was away run after the backlog, each at its own due instant`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 1m")
        for device in ["a", "b", "c"] { driver.send("t/\(device)", "{\"t\": 31}", at: 0) }
        _ = driver.log()
        driver.connected(at: 100)
        driver.send("t/a", "{\"t\": 1}", at: 101)
        driver.send("t/b", "{\"t\": 35}", at: 101)
        driver.advance(to: 101)
        #expect(driver.engine.nextDue == nil)
        #expect(driver.log() == ["101s A(a) inactive"])
        driver.backlogEnded(at: 102)
        #expect(driver.log() == ["60s A(b) firing", "60s A(c) firing"])
    }

    @Test func `engine time never goes back`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", "{\"t\": 31}", at: 100)
        driver.send("t/a", "{\"t\": 1}", at: 50)
        #expect(driver.log() == ["100s A(a) firing", "100s A(a) resolved"])
    }

    @Test func `there is never more than one timer of an alert, however often it flaps`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 1h")
        for at in 0..<1000 { driver.send("t/a", "{\"t\": \(at % 2 == 0 ? 31 : 1)}", at: Double(at)) }
        #expect(driver.timerCount <= 2)
    }
}

extension String {
    /// Doubled, as a YAML scalar in single quotes wants them.
    var replacingQuotes: String { split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") }
}
