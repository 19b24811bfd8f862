import Testing

@testable import RuleEngine

/// Windows in rules: `avg_over_time` and its like over an instance's own history.
@Suite struct WindowRuleTests {
    @Test func `a mean over the last minute fires and resolves as samples come`() throws {
        let driver = try EngineDriver.rule("expr: avg_over_time(t, '1m') > 10")
        for (second, value) in [(0, 5), (20, 8), (40, 30), (60, 30), (80, 2), (100, 2)] {
            driver.send("t/a", "{\"t\": \(value)}", at: Double(second))
        }
        // (5 + 8 + 30) / 3 at 40 s; half-open on the left: at 60 s the sample of 0 s has left.
        #expect(driver.log() == ["40s A(a) firing"])
        driver.send("t/a", "{\"t\": 2}", at: 120)
        #expect(driver.log() == ["120s A(a) resolved"])
    }

    @Test func `a window moves when nothing arrives: it is evaluated at the instant a sample leaves`() throws {
        let driver = try EngineDriver.rule("expr: max_over_time(t, '1m') > 10")
        driver.send("t/a", "{\"t\": 20}", at: 0)
        driver.send("t/a", "{\"t\": 5}", at: 30)
        #expect(driver.log() == ["0s A(a) firing"])
        driver.advance(to: 59.9)
        #expect(driver.log() == [])
        driver.advance(to: 100)
        #expect(driver.log() == ["60s A(a) resolved"])
    }

    @Test func `an empty window has no result, which keeps the state`() throws {
        let driver = try EngineDriver.rule("expr: avg_over_time(t, '1m') > 10")
        driver.send("t/a", "{\"t\": 20}", at: 0)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) firing"])
    }

    @Test func `each instance has its own history, and windows over counts and conditions work`() throws {
        let driver = try EngineDriver.rule("expr: avg_over_last(t, 2) > 10 && share_over_time(t > 0, '1h') > 0.5")
        driver.send("t/a", "{\"t\": 20}", at: 0)
        driver.send("t/b", "{\"t\": -20}", at: 0)
        driver.send("t/a", "{\"t\": 10}", at: 10)
        driver.send("t/b", "{\"t\": 50}", at: 10)
        driver.send("t/b", "{\"t\": 50}", at: 100)
        // All that is known of a is above 0; of b more than half is since 20 s.
        #expect(driver.log() == ["1e-09s A(a) firing", "20.000000001s A(b) firing"])
    }

    @Test func `a rule with every looks at its windows at its instants only`() throws {
        let driver = try EngineDriver.rule("expr: avg_over_time(t, '10s') > 10\nevery: 10s")
        driver.send("t/a", "{\"t\": 0}", at: 15)
        driver.send("t/a", "{\"t\": 20}", at: 20)
        driver.advance(to: 29.9)
        #expect(driver.log() == [])
        driver.advance(to: 30)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 20}", at: 31)
        driver.advance(to: 40)
        #expect(driver.log() == ["40s A(a) firing"])
    }

    @Test(arguments: [
        // On since 100 s: ten minutes of it are full at 700 s, and more than that a nanosecond later.
        ("expr: duration_over_time(on, '1h') >= duration('10m')", ["700s A(a) firing"]),
        ("expr: duration_over_time(on, '1h') > duration('10m')", ["700.000000001s A(a) firing"]),
        ("expr: duration('10m') <= duration_over_time(on, '1h')", ["700s A(a) firing"]),
        ("expr: duration_over_time(on, '1h') >= vars.hold", []),
        ("let: {held: \"duration_over_time(on, '1h')\"}\nexpr: held >= duration('10m')", ["700s A(a) firing"]),
        ("let: {long: \"duration_over_time(on, '1h') >= duration('10m')\"}\nexpr: long && on", ["700s A(a) firing"]),
        ("let: {last: age(on)}\nexpr: last > duration('10m')", ["700.000000001s A(a) firing"]),
        // Off for 100 s, on since: half of what is known at 200 s.
        ("expr: share_over_time(on, '1h') >= 0.5", ["200s A(a) firing"]),
        ("expr: share_over_time(on, '1h') > 0", ["100.000000001s A(a) firing"]),
        ("expr: share_over_time(on, '5m') == 1", ["400s A(a) firing"]),
        ("expr: share_over_time(!on, '5m') < 0.2", ["340.000000001s A(a) firing"]),
        ("expr: share_over_time(on, '1h') >= 0.5\nevery: 1m", ["240s A(a) firing"]),
    ])
    func `the time for which a condition held passes a limit while nothing arrives`(_ body: String, _ log: [String]) throws {
        let driver = try EngineDriver.rule(body)
        driver.send("t/a", "{\"on\": false}", at: 0)
        driver.advance(to: 50)
        _ = driver.log()
        driver.send("t/a", "{\"on\": true}", at: 100)
        driver.advance(to: 2000)
        #expect(driver.log() == log)
    }

    @Test func `messages that are received together are samples each, of one device and of several`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: Three, by: [], expr: "count_over_time(t, '1m') == 3"}
                  - {alert: Mean, by: [], expr: "avg_over_time(t, '1m') == 20"}
                  - {alert: Sum, by: [], expr: "sum_over_last(t > 15, 3) == 2"}
                  - {alert: Twice, expr: "count_over_time(t, '1m') == 2"}
                  - {alert: Fast, by: [], expr: "rate(t, '1m') > 0 || irate(t, '1m') > 0 || deriv(t, '1m') > 0"}
            """)
        var batch = MessageBatch()
        for (device, value) in [("a", 10), ("b", 20), ("a", 30)] {
            batch.append(topic: "t/\(device)", payload: Array("{\"t\": \(value)}".utf8))
        }
        driver.ingest(batch, at: 1)
        #expect(driver.log().sorted() == ["1s Mean() firing", "1s Sum() firing", "1s Three() firing", "1s Twice(a) firing"])
        // A minute later they leave together, and an empty window changes nothing.
        driver.advance(to: 61.1)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 40}", at: 62)
        #expect(driver.log().sorted() == ["62s Mean() resolved", "62s Sum() resolved", "62s Three() resolved", "62s Twice(a) resolved"])
    }

    @Test func `devices of a group that stamp alike are samples each, and a device corrects itself`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: {topic: "t/{device}", time_field: ts}
                rules:
                  - {alert: Group, by: [], expr: "count_over_time(t, '1m') == 3"}
                  - {alert: One, expr: "count_over_time(t, '1m') == 1 && avg_over_time(t, '1m') == 5"}
            """)
        for (device, value) in [("a", 4), ("b", 5), ("a", 5)] { driver.send("t/\(device)", "{\"ts\": 100, \"t\": \(value)}", at: 101) }
        #expect(driver.log().map { $0.drop { $0 != " " } }.sorted() == [" Group() firing", " One(a) firing", " One(b) firing"])
    }

    @Test func `a text that windows take no sample of is an error of the rules that look at them`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: A, expr: "last_over_time(state, '1h') > 3"}
                  - {alert: B, expr: "changes(state == 'on', '1h') > 3"}
                  - {alert: C, expr: "avg_over_time(t / 0.5, '1h') > 3 && state != ''"}
            """)
        driver.send("t/a", "{\"state\": \"on\", \"t\": null}", at: 1)
        #expect(driver.status("A")?.health == .error)
        #expect(driver.status("A")?.lastError == "windows take numbers and truth values, and 'state' was neither")
        #expect(driver.status("B")?.health == .ok)
        #expect(driver.status("C")?.health == .unknown)
        driver.send("t/a", "{\"t\": \"warm\"}", at: 2)
        #expect(driver.status("C")?.health == .error)
        // It is over when a sample comes and there is a result.
        driver.send("t/a", "{\"t\": 1}", at: 3)
        #expect(driver.status("C")?.health == .ok)
    }

    @Test func `changes over texts, numbers and truth values, those of a field of mixed kinds too`() throws {
        let driver = try EngineDriver.rule("expr: changes(state, '1m') >= 3")
        for (second, state) in [#""on""#, #""on""#, #""ön""#, "1", "true", #""on""#].enumerated() {
            driver.send("t/a", "{\"state\": \(state)}", at: Double(second))
        }
        // "on", "ön", 1 = true, "on"
        #expect(driver.log() == ["5s A(a) firing"])
        #expect(driver.status("A")?.health == .ok)
        driver.send("t/a", #"{"state": [1]}"#, at: 6)
        #expect(driver.status("A")?.lastError == "windows take numbers and truth values, and 'state' was neither")
        driver.advance(to: 100)
        #expect(driver.log() == ["61s A(a) resolved"])
    }

    @Test func `texts and whole payloads are counted, and are there`() throws {
        for field in ["state", "payload", "payload.more"] {
            let counted = "count_over_time(\(field), '5s') == 2 && present_over_time(\(field), '5s')"
            let driver = try EngineDriver.rule("expr: \"absent_over_time(\(field), '5s') || \(counted)\"")
            for second in [1, 2, 3] {
                driver.send("t/a", "{\"state\": \"on\", \"more\": [{\"x\": \(second)}]}", at: Double(second))
            }
            driver.advance(to: 20)
            let turns = ["2s A(a) firing", "3s A(a) resolved", "6s A(a) firing", "7s A(a) resolved", "8s A(a) firing"]
            #expect(driver.log() == turns, "\(field)")
            #expect(driver.status("A")?.health == .ok)
        }
    }

    @Test func `windows hold as many samples as is configured, and of more what can be summed up`() throws {
        var surroundings = Surroundings.unknown
        surroundings.windowSamples = 300
        let yaml = """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: Q, expr: "quantile_over_time(1, t, '1h') > 0"}
                  - {alert: C, expr: "count_over_time(t, '1h') == 301"}
            """
        for (surroundings, expected) in [(surroundings, ["300s C(a) firing"]), (.unknown, ["300s Q(a) firing", "300s C(a) firing"])] {
            let driver = try EngineDriver(yaml, surroundings: surroundings)
            for second in 0...300 { driver.send("t/a", "{\"t\": \(second < 300 ? 0 : 1)}", at: Double(second)) }
            #expect(driver.log() == expected)
        }
    }

    @Test func `a text that is wholly a number is a sample as the number`() throws {
        let driver = try EngineDriver.rule("expr: avg_over_time(t, '1m') == 2.5")
        for (second, text) in ["2", "3.0"].enumerated() { driver.send("t/a", "{\"t\": \"\(text)\"}", at: Double(second)) }
        #expect(driver.log() == ["1s A(a) firing"])
        driver.send("t/a", "{\"t\": \"3 °C\"}", at: 2)
        #expect(driver.log() == [])
    }

    @Test func `a rule that wants numbers of a text is wrong for itself alone`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: A, expr: "changes_over_last(state, 2) == 1"}
                  - {alert: B, expr: "avg_over_last(state, 2) == 1"}
            """)
        driver.send("t/a", #"{"state": "on"}"#, at: 0)
        driver.send("t/a", #"{"state": "off"}"#, at: 1)
        #expect(driver.log() == ["1s A(a) firing"])
        #expect(driver.status("B")?.health == .error)
    }

    @Test(arguments: [
        // 30 from 2 s on, but for the reading at 4 s.
        ("expr: all_over_last(t > 20, 3)", ["7s A(a) firing", "9s A(a) resolved"]),
        ("expr: any_over_last(t > 20, 2)", ["2s A(a) firing", "10s A(a) resolved"]),
        ("expr: any_over_time(t > 20, '4s')", ["2s A(a) firing", "12s A(a) resolved"]),
        ("expr: \"!any_over_time(t > 20, '4s') && t > 0\"", ["0s A(a) firing", "2s A(a) resolved", "12s A(a) firing"]),
        ("expr: all_over_last(t > 0, 1)", ["0s A(a) firing"]),
    ])
    func `whether a condition was true at any, at all of the last readings`(_ body: String, _ log: [String]) throws {
        let driver = try EngineDriver.rule(body)
        for (second, value) in [10, 10, 30, 30, 10, 30, 30, 30, 30, 10, 10].enumerated() {
            driver.send("t/a", "{\"t\": \(value)}", at: Double(second))
        }
        driver.advance(to: 100)
        #expect(driver.log() == log)
    }

    @Test func `a retained message is no sample`() throws {
        let driver = try EngineDriver.rule("expr: count_over_time(t, '1h') >= 2")
        driver.send("t/a", "{\"t\": 1}", at: 0, retained: true)
        driver.send("t/a", "{\"t\": 1}", at: 1)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 1}", at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `an expression may hold configuration, and a window may look at a window`() throws {
        let driver = try EngineDriver.rule(
            "expr: max_over_time(avg_over_time(t - config.offset, '10s'), '1m') > 5", on: "t/{device}")
        try driver.setDevice("a", "{\"offset\": 10}", at: 0)
        driver.send("t/a", "{\"t\": 14}", at: 1)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 18}", at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `windows are true across a reload that edits another rule`() throws {
        let one = "groups:\n  - name: g\n    on: t/{device}\n    rules:\n      - {alert: A, expr: 'sum_over_time(t, \"1h\") > 25'}\n"
        let driver = try EngineDriver(one)
        driver.send("t/a", "{\"t\": 10}", at: 0)
        driver.send("t/a", "{\"t\": 10}", at: 60)
        try driver.reload(one + "      - {alert: B, expr: 'min_over_time(t, \"5m\") > 100'}\n", at: 70)
        driver.send("t/a", "{\"t\": 10}", at: 120)
        #expect(driver.log() == ["120s A(a) firing"])
    }

    @Test func `windows are true across a reload that puts rules before theirs`() throws {
        func yaml(_ first: String) -> String {
            """
            groups:
              - name: g
                on: t/{site}/{device}
                rules:
            \(first)      - {alert: A, let: {x: t + u}, expr: "sum_over_time(t - config.offset, '1h') > 25 && count_over_time(x, '1h') == 3"}
                  - {alert: B, by: [site], expr: "sum_over_time(members.size(), '1h') > 2 && sum_over_time(t + latest('o').t, '1h') > 30"}

            """
        }
        let driver = try EngineDriver(yaml(""))
        try driver.setDevice("a", #"{"offset": 0}"#, at: 0)
        driver.send("o", #"{"t": 1}"#, at: 0)
        for instant in [0.0, 60] { driver.send("t/s/a", #"{"t": 10, "u": 1}"#, at: instant) }
        let first = """
                  - {alert: First, expr: "changed(q) && config.w > vars.x && latest('o').q > 1"}
                  - {alert: Group, by: [site], expr: "members.exists(m, m.z > 1) && latest('o').q > 1"}

            """
        try driver.reload(yaml(first), at: 70)
        driver.send("t/s/a", #"{"t": 10, "u": 1}"#, at: 120)
        #expect(driver.log() == ["120s A(s,a) firing", "120s B(s) firing"])
    }

    @Test(arguments: [
        ("expr: avg_over_time(t) > 1", "argument-count"), ("expr: avg_over_time(t, 5) > 1", "window"),
        ("expr: avg_over_time(t, '5 minutes') > 1", "window"), ("expr: avg_over_last(t, 0) > 1", "window"),
        ("expr: quantile_over_time(t, '5m', '1m') > 1", "window"), ("expr: became(avg_over_time(t, '5m') > 1)", "not-supported"),
        ("expr: avg_over_time(1.0, '5m') > 1", "no-field"),
        ("expr: t > 1\nlabels: {x: \"{{ avg_over_time(t, '5m') }}\"}", "label-measured"),
    ])
    func `a call that cannot work is refused`(_ body: String, _ code: String) {
        #expect(EngineDriver.mistakes(EngineDriver.yaml(body)).contains(code), "\(EngineDriver.mistakes(EngineDriver.yaml(body)))")
    }

    @Test(arguments: [2, 7]) func `windows make no difference to any number of shards`(_ shards: Int) throws {
        let yaml = EngineDriver.yaml("expr: avg_over_time(t, '30s') > 10\nfor: 5s")
        let one = try EngineDriver(yaml), many = try EngineDriver(yaml, shards: shards)
        for step in 0..<200 {
            for driver in [one, many] {
                driver.send("t/d\(step % 9)", "{\"t\": \((step * 7919) % 23)}", at: Double(step) * 1.7)
                driver.advance(to: Double(step) * 1.7 + 1)
            }
        }
        let expected = one.take()
        #expect(!expected.isEmpty)
        #expect(many.take() == expected)
    }
}
