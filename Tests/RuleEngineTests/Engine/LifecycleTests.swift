import RuleEngine
import Testing

@Suite struct LifecycleTests {
    private static let warm = "{\"t\": 31}", cold = "{\"t\": 20}"

    @Test func `an alert without 'for' fires at once and resolves when its condition ends`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", Self.cold, at: 1)
        driver.send("t/a", Self.warm, at: 2)
        driver.send("t/a", Self.warm, at: 3)
        driver.send("t/a", Self.cold, at: 4)
        #expect(driver.log() == ["2s A(a) firing", "4s A(a) resolved"])
    }

    @Test func `one warm reading followed by silence fires after 'for'`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 5m")
        driver.send("t/a", Self.warm, at: 10)
        driver.advance(to: 309.999)
        #expect(driver.log() == ["10s A(a) pending"])
        driver.advance(to: 1000)
        #expect(driver.log() == ["310s A(a) firing"])
    }

    @Test func `a condition that ends while pending is dropped and told as inactive`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 5m")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/a", Self.cold, at: 299)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) pending", "299s A(a) inactive"])
    }

    @Test func `at one instant inputs come before timers`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 5m")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/a", Self.cold, at: 300)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) pending", "300s A(a) inactive"])
    }

    @Test func `timers of one instant run by rule, then instance`() throws {
        let yaml = """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: A, expr: t > 30, for: 10s}
                  - {alert: B, expr: t > 20, for: 10s}
            """
        let driver = try EngineDriver(yaml)
        driver.send("t/b", "{\"t\": 40}", at: 0)
        driver.send("t/a", "{\"t\": 40}", at: 0)
        _ = driver.log()
        driver.advance(to: 10)
        #expect(driver.log() == ["10s A(b) firing", "10s A(a) firing", "10s B(b) firing", "10s B(a) firing"])
    }

    @Test func `in recovering the resolve condition holds and the time runs; a relapse goes back to firing`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nkeep_firing_for: 60s")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/a", Self.cold, at: 10)
        driver.send("t/a", Self.warm, at: 40)
        driver.send("t/a", Self.cold, at: 50)
        driver.advance(to: 109)
        #expect(driver.log() == ["0s A(a) firing", "10s A(a) recovering", "40s A(a) firing", "50s A(a) recovering"])
        driver.advance(to: 500)
        #expect(driver.log() == ["110s A(a) resolved [keep_firing_for]"])
    }

    @Test func `between 'expr' and 'resolve_expr' it is firing`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nresolve_expr: t < 25")
        for (at, value) in [(0, 29), (1, 31), (2, 28), (3, 26), (4, 24), (5, 28), (6, 31)] {
            driver.send("t/a", "{\"t\": \(value)}", at: Double(at))
        }
        #expect(driver.log() == ["1s A(a) firing", "4s A(a) resolved", "6s A(a) firing"])
    }

    @Test func `'resolve_expr' without a result keeps the state`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nresolve_expr: t < 25 && door == 'closed'")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/a", Self.cold, at: 1)
        #expect(driver.log() == ["0s A(a) firing"])
        driver.send("t/a", "{\"door\": \"closed\"}", at: 2)
        #expect(driver.log() == ["2s A(a) resolved"])
    }

    /// Kapacitor's levels with reset expressions.
    @Test func `B01: an instance leaves its level downwards only when that level's own 'resolve_expr' is true`() throws {
        let levels =
            "levels:\n  info: {expr: v > 60, resolve_expr: v < 50}\n  warning: {expr: v > 70, resolve_expr: v < 60}\n  critical: {expr: v > 80, resolve_expr: v < 70}"
        let driver = try EngineDriver.rule(levels)
        var seen: [String] = []
        var now = "OK"
        for (at, value) in [61, 73, 64, 85, 62, 56, 47].enumerated() {
            driver.send("t/a", "{\"v\": \(value)}", at: Double(at))
            if let last = driver.take().last {
                now = last.alert.state == .resolved ? "OK" : (last.alert.labels["severity"] ?? "?").uppercased()
            }
            seen.append(now)
        }
        #expect(seen == ["INFO", "WARNING", "WARNING", "CRITICAL", "INFO", "INFO", "OK"])
    }

    @Test func `an instance rises to a worse level as soon as that level's 'expr' has been true for its 'for'`() throws {
        let driver = try EngineDriver.rule("levels:\n  warning: {expr: v > 70}\n  critical: {expr: v > 80, for: 1m}")
        driver.send("t/a", "{\"v\": 90}", at: 0)
        driver.advance(to: 59)
        #expect(driver.log() == ["0s A(a) firing warning"])
        driver.advance(to: 61)
        #expect(driver.log() == ["60s A(a) firing critical"])
        driver.send("t/a", "{\"v\": 75}", at: 62)
        driver.send("t/a", "{\"v\": 60}", at: 63)
        let last = driver.take()
        #expect(last.map(\.short) == ["62s A(a) firing warning", "63s A(a) resolved warning"])
        #expect(last.map { $0.alert.labels["severity"] } == ["warning", "warning"])
    }

    /// Prometheus' unit testing page: one sample and one evaluation a minute.
    @Test func `B10: up == 0 for 5m after ten minutes`() throws {
        let driver = try EngineDriver.rule("expr: up == 0.0\nfor: 5m")
        let series = ["a": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "b": [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]]
        for minute in 0...10 {
            for device in ["a", "b"] { driver.send("t/\(device)", "{\"up\": \(series[device]?[minute] ?? 9)}", at: Double(minute * 60)) }
        }
        driver.advance(to: 600)
        var states: [String: String] = [:]
        for transition in driver.take() { states[transition.alert.key[0]] = transition.alert.state.rawValue }
        #expect(states == ["a": "firing", "b": "pending"])
    }

    @Test func `'event' is one occurrence for every non-retained reading for which it is true`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: action == 'single'")
        driver.send("t/a", "{\"action\": \"single\"}", at: 1)
        driver.send("t/a", "{\"action\": \"single\"}", at: 2)
        driver.send("t/a", "{\"action\": \"single\"}", at: 3, retained: true)
        driver.send("t/a", "{\"battery\": 3}", at: 4)
        driver.send("t/a", "{\"action\": \"double\"}", at: 5)
        let events = driver.take()
        #expect(events.map(\.short) == ["1s A(a) occurred", "2s A(a) occurred"])
        #expect(Set(events.map(\.id)).count == 2)
        #expect(events.allSatisfy { $0.alert.firedAt == $0.alert.resolvedAt })
    }

    @Test func `an event sees only the fields of the reading at hand`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: \"has(armed) ? armed : action == 'open'\"")
        driver.send("t/a", "{\"armed\": true}", at: 1)
        driver.send("t/a", "{\"action\": \"close\"}", at: 2)
        driver.send("t/a", "{\"action\": \"open\"}", at: 3)
        #expect(driver.log() == ["1s A(a) occurred", "3s A(a) occurred"])
    }

    @Test func `no identity is ever used twice`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        for round in 0..<5 {
            // All at one instant: told apart by the input's ordinal.
            driver.send("t/a", Self.warm, at: 7)
            driver.send("t/a", Self.cold, at: 7)
            if round == 3 { try driver.setDevice("a", nil, at: 7) }
        }
        let all = driver.take()
        #expect(all.count == 10)
        #expect(Set(all.map(\.id)).count == 10)
        #expect(Set(all.map(\.alert.episode)).count == 5)
        #expect(Set(all.map(\.alert.id)).count == 1)
    }
}
