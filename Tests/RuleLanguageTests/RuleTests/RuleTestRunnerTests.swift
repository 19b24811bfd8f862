import RuleEngine
import Testing

@testable import RuleLanguage

@Suite struct RuleTestRunnerTests {
    static let warm = """
        groups:
          - name: g
            on: f/{device}/t
            rules:
              - alert: Warm
                expr: t > 30
                for: 5m
                annotations: {summary: "{{ device }} is at {{ t }}"}
        """

    private func expect(_ test: String, rules: String = warm, passes: Bool, sourceLocation: Testing.SourceLocation = #_sourceLocation)
        throws
    {
        let report = try runRuleTest(rules: rules, test: "rules: [r.yaml]\ntests:\n  - name: it\n" + test)
        #expect(report.failed == (passes ? 0 : 1), "\(failures(of: report).joined(separator: "\n"))", sourceLocation: sourceLocation)
    }

    /// One reading a minute, warm from the first minute on.
    static let readings = "    readings: [{topic: f/a/t, every: 1m, t: \"20 31x20\"}]\n    expect: "

    @Test(arguments: [
        ("[{at: 59s, alert: Warm, state: inactive}]", true), ("[{at: 1m, alert: Warm, state: pending}]", true),
        ("[{at: 1m, alert: Warm, state: inactive}]", false),
        ("[{at: 5m59s, alert: Warm, state: pending}]", true), ("[{at: 6m, alert: Warm, state: pending}]", false),
        ("[{at: 6m, alert: Warm, state: firing}]", true),
        ("[{at: 6m, alert: Warm, labels: {device: a}}]", true), ("[{at: 6m, alert: Warm, labels: {device: b}}]", false),
        ("[{at: 6m, alert: Warm, labels: {device: b}, state: inactive}]", true), ("[{at: 6m, alert: Warm, value: 31}]", true),
        ("[{at: 6m, alert: Warm, value: 32}]", false),
        ("[{at: 6m, alert: Warm, annotations: {summary: a is at 31}}]", true),
        ("[{at: 6m, alert: Warm, annotations: {summary: b}}]", false),
        ("[{at: 6m, alert: Warm, count: 1}]", true), ("[{at: 6m, alert: Warm, count: 2}]", false),
        ("[{at: 0s, alert: Warm, state: firing, count: 0}]", true),
        ("[{at: 6m, alert: Warm, group: g}]", true),
        ("[{at: 6m, notifications: [{receiver: default, status: firing}]}]", true),
        ("[{at: 6m, notifications: [{receiver: default, status: resolved}]}]", false),
        ("[{at: 6m, notifications: []}]", false), ("[{at: 5m, notifications: []}]", true),
        ("[{at: 5m, notifications: [{receiver: default}]}]", false),
        ("[{at: 6m, notifications: [{receiver: default, alerts: [{alert: Warm, labels: {device: a}}]}]}]", true),
        ("[{at: 6m, notifications: [{receiver: default, alerts: []}]}]", false),
        ("[{at: 6m, notifications: [{receiver: default}, {receiver: default}]}]", false),
        ("[{at: 8m, alert: Warm, state: firing}, {at: 2m, alert: Warm, state: pending}]", true),
    ])
    func `an expectation is about the state after everything at its instant`(expectation: String, passes: Bool) throws {
        try expect(Self.readings + expectation, passes: passes)
    }

    @Test func `a reading at the instant of an expectation comes before it`() throws {
        try expect(
            "    readings: [{topic: f/a/t, at: 0s, t: 31}, {topic: f/a/t, at: 5m, t: 29}]\n    expect: [{at: 5m, alert: Warm, state: inactive}]",
            passes: true)
    }

    @Test(arguments: [("NaN", "math.isNaN(t)"), ("Inf", "math.isInf(t) && t > 0.0"), ("-Inf", "math.isInf(t) && t < 0.0")])
    func `NaN and the infinities are doubles`(value: String, expression: String) throws {
        let rules = "groups: [{name: g, on: f, rules: [{alert: Warm, expr: '\(expression)'}]}]"
        try expect(
            "    readings: [{topic: f, at: 1s, t: \(value)}]\n    expect: [{at: 1s, alert: Warm, state: firing}]", rules: rules,
            passes: true)
        try expect(
            "    readings: [{topic: f, every: 1s, t: \"1 \(value)x2 5\"}]\n    expect: [{at: 2s, alert: Warm, state: firing}, {at: 4s, alert: Warm, state: inactive}]",
            rules: rules, passes: true)
        try expect(
            "    readings: [{topic: f, at: 1s, t: 5}]\n    expect: [{at: 1s, alert: Warm, state: firing}]", rules: rules, passes: false)
    }

    @Test(arguments: [
        ("{topic: f, at: 1s, payload: '21.5'}", "value == 21.5"), ("{topic: f, at: 1s, payload: ON}", "value == 'ON'"),
        ("{topic: f, at: 1s, payload: {a: {b: [1, 2]}}}", "a.b[1] == 2.0"),
        ("{topic: f, at: 1s, hex: 7b2261223a317d}", "a == 1.0"),
        ("{topic: f, at: 1s, fields: {at: 5, topic: x}}", "at == 5.0 && payload.topic == 'x'"),
        ("{topic: f, at: 1s, fields: {'AM-1': 5}}", "payload.`AM-1` == 5.0"),
        ("{topic: f, at: 1s, a: {b: {c: 1}, d: true}, e: '7 8'}", "a.b.c == 1.0 && a.d && e == '7 8'"),
        ("{topic: f, every: 1s, a: {b: 1, c: '_ 2'}, d: 3}", "a.b == 1.0 && a.c == 2.0 && d == 3.0"),
        ("{topic: f, at: 1s, list: [1, {a: 2}], a: 1}", "list[1].a == 2.0"),
        ("{topic: f, every: 1s, 'quote\"d': '1 2'}", #"payload['quote"d'] == 2.0"#),
    ])
    func `payloads, bytes, fields and nested members are sent`(reading: String, expression: String) throws {
        let rules = "groups:\n  - name: g\n    on: f\n    rules:\n      - alert: Warm\n        expr: \(Document.string(expression).json)"
        try expect("    readings: [\(reading)]\n    expect: [{at: 1s, alert: Warm, state: firing}]", rules: rules, passes: true)
    }

    @Test func `a retained message is no edge`() throws {
        let rules = "groups: [{name: g, on: f, rules: [{alert: Warm, event: true, expr: became(open)}]}]"
        for (isRetained, passes) in [(true, false), (false, true)] {
            try expect(
                "    readings: [{topic: f, at: 0s, open: false}, {topic: f, at: 1s, open: true, retained: \(isRetained)}]\n    expect: [{at: 1s, alert: Warm, state: firing}]",
                rules: rules, passes: passes)
        }
    }

    @Test func `the test's own time zone, place and zones are those of the functions`() throws {
        let rules = """
            groups:
              - name: g
                on: f/{device}
                rules:
                  - {alert: Night, expr: "open && is_between(now, '22:00', '06:00')"}
                  - {alert: Day, expr: "open && sun.is_up"}
                  - {alert: Home, expr: "in_zone('home', lat, 10.75)"}
            """
        let test = """
            rules: [r.yaml]
            time_zone: Europe/Oslo
            location: {latitude: 59.91, longitude: 10.75}
            zones: {home: {latitude: 59.91, longitude: 10.75, radius: 200}}
            devices: {b: {location: {latitude: -33.87, longitude: 151.21}}}
            start: 2026-06-21T12:00:00Z
            tests:
              - name: it
                readings: [{topic: f/a, at: 0s, open: true, lat: 59.911}, {topic: f/b, at: 0s, open: true, lat: 0}]
                expect:
                  - {at: 7h59m59s, alert: Night, state: inactive}
                  - {at: 8h, alert: Night, count: 2}
                  - {at: 8h, alert: Day, labels: {device: a}, count: 1}
                  - {at: 8h, alert: Day, labels: {device: b}, state: inactive}
                  - {at: 9h1m, alert: Day, labels: {device: b}, state: firing}
                  - {at: 9h, alert: Day, labels: {device: a}, state: inactive}
                  - {at: 16h, alert: Night, state: inactive}
                  - {at: 16h, alert: Home, labels: {device: a}, count: 1}
                  - {at: 16h, alert: Home, labels: {device: b}, state: inactive}
            """
        let report = try runRuleTest(rules: rules, test: test)
        #expect(report.passed == 1, "\(failures(of: report).joined(separator: "\n"))")
    }

    @Test func `devices, profiles and variables hold from the start and change`() throws {
        let rules = "groups: [{name: g, on: 'f/{device}', rules: [{alert: Warm, expr: 't > config.limit && vars.armed'}]}]"
        let test = """
            rules: [r.yaml]
            profiles: {cold: {config: {limit: 10}}}
            devices: {a: {profile: cold}, b: {profile: cold, config: {limit: 50}}}
            vars: {armed: true}
            tests:
              - name: it
                readings: [{topic: f/a, at: 0s, t: 20}, {topic: f/b, at: 0s, t: 20}]
                changes: [{at: 5s, vars: {armed: false}}, {at: 7s, vars: {armed: true}, devices: {b: {config: {limit: 1}}}}]
                expect:
                  - {at: 0s, alert: Warm, labels: {device: a}, state: firing}
                  - {at: 0s, alert: Warm, labels: {device: b}, state: inactive}
                  - {at: 5s, alert: Warm, state: inactive}
                  - {at: 7s, alert: Warm, state: firing, count: 2}
            """
        let report = try runRuleTest(rules: rules, test: test)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
    }

    @Test func `groups wait and repeat as the route says`() throws {
        let test = """
            rules: [r.yaml]
            notifications:
              route: {receiver: team, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 1h}
              receivers: [{name: team, log_configs: [{}, {}]}]
            tests:
              - name: it
                readings: [{topic: f/a/t, at: 0s, t: 31}, {topic: f/b/t, at: 10s, t: 31}]
                expect:
                  - {at: 5m, notifications: []}
                  - {at: 5m30s, notifications: [{receiver: team, status: firing, alerts: [{labels: {device: a}}, {labels: {device: b}}]}]}
                  - {at: 1h5m30s, notifications: [{receiver: team, status: firing}]}
            """
        let report = try runRuleTest(rules: Self.warm, test: test)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
    }

    @Test func `a start gives the wall clock`() throws {
        let rules = "groups: [{name: g, rules: [{alert: Noon, every: 1m, expr: \"now.getHours('UTC') == 12\"}]}]"
        let test =
            "rules: [r.yaml]\nstart: 2026-03-01T11:59:30Z\ntests: [{name: it, expect: [{at: 29s, alert: Noon, state: inactive}, {at: 30s, alert: Noon, state: firing}]}]"
        let report = try runRuleTest(rules: rules, test: test)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
    }

    @Test func `coverage says which branches were not reached`() throws {
        let report = try runRuleTest(
            rules: Self.warm, test: "rules: [r.yaml]\ntests:\n  - name: it\n" + Self.readings + "[{at: 6m, alert: Warm}]", coverage: true)
        let entry = try #require(report.coverage?.entries.first)
        #expect(entry.reached == ["expr true", "expr false", "pending", "firing"])
        #expect(entry.missed == ["resolved"])
    }

    @Test(arguments: ["event: true, ", ""]) func `a condition that is a constant has no other side`(_ event: String) throws {
        let rules = "groups: [{name: g, on: f, rules: [{alert: Any, \(event)expr: 'true'}]}]"
        let test =
            "rules: [r.yaml]\ntests: [{name: it, readings: [{topic: f, at: 1s, t: 1}], expect: [{at: 1s, alert: Any, state: firing}]}]"
        let report = try runRuleTest(rules: rules, test: test, coverage: true)
        #expect(report.coverage?.entries.map(\.missed) == [[]])
    }

    @Test func `a notification that did not come is told with the annotations that were expected`() throws {
        let rules =
            "groups: [{name: g, on: f, rules: [{alert: Warm, event: true, expr: t > 1, annotations: {summary: 'at {{ t }}', more: x}}]}]"
        let test =
            "rules: [r.yaml]\ntests: [{name: it, readings: [{topic: f, at: 1s, t: 2}], expect: [{at: 1s, "
            + "notifications: [{receiver: default, alerts: [{annotations: {summary: at 3}}]}]}]}]"
        let text = failures(of: try runRuleTest(rules: rules, test: test)).joined()
        #expect(text.contains("expected at 1s: a notification to 'default', with summary \"at 3\"\n"))
        #expect(text.contains(#"but there was:   'default', firing, with {alertname="Warm"} firing summary "at 2""#))
    }

    @Test(arguments: [("1 2 2", []), ("1 2", []), ("2", ["expr true", "occurred"])])
    func `coverage sees readings that are no edge`(_ series: String, _ missed: [String]) throws {
        let rules = "groups: [{name: g, on: f, rules: [{alert: Warm, event: true, expr: 't - previous(t) >= 1'}]}]"
        let test =
            "rules: [r.yaml]\ntests: [{name: it, readings: [{topic: f, every: 1s, t: '\(series)'}], "
            + "expect: [{at: 9s, alert: Warm, state: inactive}]}]"
        let report = try runRuleTest(rules: rules, test: test, coverage: true)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
        #expect(report.coverage?.entries.map(\.missed) == [missed])
    }

    @Test(arguments: [
        ("t > latest('o').limit", "f", ["expr true", "firing", "resolved"]),
        ("members.all(m, m.t > latest('o').limit)", "{device}/f", ["expr true", "firing", "resolved"]),
    ]) func `coverage sees conditions that a reading on another topic finds false`(_ expr: String, _ on: String, _ missed: [String]) throws
    {
        let by = on == "f" ? "" : "by: [], "
        let rules = "groups: [{name: g, on: '\(on)', rules: [{alert: Warm, \(by)expr: \"\(expr)\"}]}]"
        let topic = on == "f" ? "f" : "a/f"
        let test =
            "rules: [r.yaml]\ntests: [{name: it, readings: [{topic: \(topic), at: 1s, t: 5}, {topic: o, at: 2s, limit: 9}], "
            + "expect: [{at: 3s, alert: Warm, state: inactive}]}]"
        let report = try runRuleTest(rules: rules, test: test, coverage: true)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
        #expect(report.coverage?.entries.map(\.missed) == [missed])
    }

    @Test func `coverage sees conditions that only a timer finds true`() throws {
        let rules = "groups: [{name: g, rules: [{alert: Warm, every: 1m, expr: now.getMinutes() == 5}]}]"
        let test =
            "rules: [r.yaml]\ntests: [{name: it, expect: [{at: 5m, alert: Warm, state: firing}, "
            + "{at: 6m, alert: Warm, state: inactive}]}]"
        let report = try runRuleTest(rules: rules, test: test, coverage: true)
        #expect(report.failed == 0, "\(failures(of: report).joined())")
        #expect(report.coverage?.entries.map(\.missed) == [[]])
    }

    @Test func `a failure of an event says that its evaluation is over`() throws {
        let rules = "groups: [{name: g, on: f, rules: [{alert: Warm, event: true, expr: t > limit}]}]"
        let test = """
            rules: [r.yaml]
            tests:
              - name: it
                readings: [{topic: f, at: 0s, limit: 5}, {topic: f, at: 1s, t: 6}]
                expect: [{at: 1s, alert: Warm, state: firing}]
            """
        let report = try runRuleTest(rules: rules, test: test)
        let failure = try #require(failures(of: report).first)
        #expect(failure.contains("t > limit\n"))
        #expect(failure.contains("an event sees only the fields that its reading carries"))
    }

    @Test func `a failure shows what was expected, what was, and the evaluation`() throws {
        let report = try runRuleTest(
            rules: Self.warm,
            test: "rules: [r.yaml]\ntests:\n  - name: it\n" + Self.readings + "[{at: 5m, alert: Warm, state: firing, labels: {device: a}}]")
        #expect(
            failures(of: report) == [
                """
                expected at 5m: Warm{device="a"} firing
                but there was:   Warm{device="a"} pending since 1m, value 31
                evaluation at 5m (1970-01-01T00:05:00.000Z):
                  Warm{device="a"} expr:
                      t > 30
                      ^^^^^^  31.0 > 30 is true
                      ^       31.0

                """
            ])
    }
}
