import RuleLanguage
import Testing

@testable import RuleEngine

/// `sequence`: several readings of one instance in their order, the last of which may be an absence.
@Suite struct SequenceTests {
    struct Case: CustomTestStringConvertible {
        var about: String
        var steps: String
        /// Seconds and values of `v`, on `t/a`.
        var readings: [(Double, String)]
        var expected: [String]
        var testDescription: String { about }
    }

    private static let cases: [Case] = [
        Case(
            about: "the steps in their order", steps: "[{expr: v == 1}, {expr: v == 2}, {expr: v == 3}]",
            readings: [(1, "1"), (2, "2"), (3, "3")], expected: ["3s A(a) occurred"]),
        Case(
            about: "another order is none", steps: "[{expr: v == 1}, {expr: v == 2}, {expr: v == 3}]",
            readings: [(1, "2"), (2, "1"), (3, "3"), (4, "2")], expected: []),
        Case(
            about: "other readings are ignored", steps: "[{expr: v == 1}, {expr: v == 2}]",
            readings: [(1, "1"), (2, "7"), (3, "null"), (4, "2")], expected: ["4s A(a) occurred"]),
        Case(
            about: "the first step anew begins again", steps: "[{expr: v == 1}, {expr: v == 2}, {expr: v == 3, within: 10s}]",
            readings: [(1, "1"), (2, "2"), (3, "1"), (4, "3"), (5, "2"), (6, "3")], expected: ["6s A(a) occurred"]),
        Case(
            about: "the first step anew counts 'within' from there", steps: "[{expr: v == 1}, {expr: v == 2, within: 10s}]",
            readings: [(1, "1"), (9, "1"), (19, "2")], expected: ["19s A(a) occurred"]),
        Case(
            about: "a reading is one step at most, and the awaited one before the first",
            steps: "[{expr: v > 0}, {expr: v > 0, within: 600ms}]",
            readings: [(1, "1"), (1.5, "1"), (2, "1"), (2.5, "1"), (3, "1")], expected: ["1.5s A(a) occurred", "2.5s A(a) occurred"]),
        Case(
            about: "after an end the first step is awaited", steps: "[{expr: v == 1}, {expr: v == 2}]",
            readings: [(1, "1"), (2, "2"), (3, "2"), (4, "1"), (5, "2")], expected: ["2s A(a) occurred", "5s A(a) occurred"]),
        Case(
            about: "'within' counts from the step before, its last instant included",
            steps: "[{expr: v == 1}, {expr: v == 2, within: 10s}, {expr: v == 3, within: 10s}]",
            readings: [(0, "1"), (10, "2"), (20, "3")], expected: ["20s A(a) occurred"]),
        Case(
            about: "a step that is late ends the run", steps: "[{expr: v == 1}, {expr: v == 2, within: 10s}]",
            readings: [(0, "1"), (10.001, "2"), (11, "2")], expected: []),
        Case(
            about: "a late step that is the first one too begins anew", steps: "[{expr: v > 0}, {expr: v == 2, within: 10s}]",
            readings: [(0, "1"), (11, "2"), (12, "2")], expected: ["12s A(a) occurred"]),
        Case(
            about: "without 'within' a step may come at any time", steps: "[{expr: v == 1}, {expr: v == 2}]",
            readings: [(0, "1"), (86_400 * 6, "2")], expected: ["518400s A(a) occurred"]),
        Case(
            about: "a last 'not' is complete when its 'within' ends", steps: "[{expr: v == 1}, {not: v == 2, within: 10s}]",
            readings: [(1, "1"), (2, "7"), (30, "7")], expected: ["11s A(a) occurred"]),
        Case(
            about: "what a 'not' says breaks the run, at its last instant too", steps: "[{expr: v == 1}, {not: v == 2, within: 10s}]",
            readings: [(0, "1"), (10, "2"), (20, "1"), (25, "2"), (40, "7")], expected: []),
        Case(
            about: "a run that was broken leaves another its own time", steps: "[{expr: v == 1}, {not: v == 2, within: 10s}]",
            readings: [(0, "1"), (3, "2"), (5, "1"), (30, "7")], expected: ["15s A(a) occurred"]),
        Case(
            about: "a 'not' that is the first step too begins anew", steps: "[{expr: v == 1}, {not: v == 1, within: 10s}]",
            readings: [(0, "1"), (5, "1"), (9, "1"), (30, "7")], expected: ["19s A(a) occurred"]),
        Case(
            about: "the first step moves the end of a 'not'", steps: "[{expr: v > 0}, {expr: v < 0}, {not: v > 5, within: 10s}]",
            readings: [(0, "1"), (1, "-1"), (5, "1"), (6, "-1"), (8, "-1"), (30, "0")], expected: ["16s A(a) occurred"]),
        Case(
            about: "edges are of one reading", steps: "[{expr: became(v > 5)}, {expr: became(v < 3), within: 1m}]",
            readings: [(0, "9"), (1, "2"), (2, "9"), (3, "9"), (4, "1"), (5, "1")], expected: ["4s A(a) occurred"]),
    ]

    @Test(arguments: cases) func `a run is told of when it is complete`(_ example: Case) throws {
        let driver = try EngineDriver.rule("sequence: \(example.steps)")
        for (seconds, value) in example.readings { driver.send("t/a", #"{"v": \#(value)}"#, at: seconds) }
        driver.advance(to: (example.readings.last?.0 ?? 0) + 100)
        #expect(driver.log() == example.expected)
    }

    /// The same with stamps: each reading arrives an hour after it was measured, all of them at once.
    @Test(arguments: cases) func `'within' runs on the instance's time`(_ example: Case) throws {
        let driver = try EngineDriver.rule("sequence: \(example.steps)", on: "{topic: 't/{device}', time_field: at}")
        let arrival = (example.readings.last?.0 ?? 0) + 3600
        // A stamp of 0 is none of this century, and one below a second has another unit.
        for (seconds, value) in example.readings {
            driver.send("t/a", #"{"v": \#(value), "at": \#(seconds + 1000)}"#, at: arrival + 1000)
        }
        driver.advance(to: arrival + 2000)
        let fired = driver.take().map { "\((Double($0.alert.firedAt?.nanoseconds ?? 0) / 1e9 - 1000).shortest)s A(a) occurred" }
        #expect(fired == example.expected)
    }

    @Test func `each step looks at its own topics, and the captures that all have make the instance`() throws {
        let driver = try EngineDriver.rule(
            """
            sequence:
              - {expr: value == 'open', on: "doors/{site}/{door}"}
              - {expr: value == 'on', within: 1m}
              - {not: code == 4711.0, on: ["keypads/{site}", "apps/{site}/{user}"], within: 30s}
            annotations: {summary: "{{ site }} {{ value }} {{ code }} {{ door }}"}
            """, on: "motion/{site}")
        for site in ["x", "y", "z"] { driver.send("doors/\(site)/back", "open", at: 1) }
        // What is a step on one topic is none on another.
        driver.send("doors/x/back", "on", at: 2)
        driver.send("motion/x", "on", at: 3)
        driver.send("motion/y", "on", at: 4)
        driver.send("motion/z", "off", at: 4)
        driver.send("keypads/x", #"{"code": 1}"#, at: 5)
        driver.send("apps/y/ann", #"{"code": 4711}"#, at: 6)
        driver.send("motion/x", #"{"code": 4711}"#, at: 7)
        driver.advance(to: 100)
        let found = driver.take()
        #expect(found.map(\.short) == ["33s A(x) occurred"])
        #expect(found.first?.alert.annotations["summary"] == "x on 4711 <no value>")
        #expect(
            Set(driver.engine.plan.subscriptions.map(\.filter)) == ["doors/+/+", "motion/+", "keypads/+", "apps/+/+"])
    }

    @Test func `a message that matches several filters is one reading, of all steps that look at them`() throws {
        let driver = try EngineDriver.rule(
            "by: [a]\nsequence: [{expr: v == 1, on: 'x/{a}/+'}, {expr: v == 2, on: '{a}/b/#'}, {expr: v == 3, on: 'x/{a}/b'}]", on: "")
        for v in 1...3 { driver.send("x/b/b", #"{"v": \#(v)}"#, at: Double(v)) }
        #expect(driver.log() == ["3s A(b) occurred"])
    }

    @Test func `a step sees the fields of the reading at hand, and what stands beside readings`() throws {
        let driver = try EngineDriver.rule(
            """
            let: {limit: "has(config.limit) ? config.limit : 5.0"}
            sequence: [{expr: a > limit}, {expr: a > limit && b > vars.low && latest('o').x == 1}, {expr: previous(b) == b}]
            """)
        driver.send("o", #"{"x": 1}"#, at: 0)
        try driver.setVariable("low", "3", at: 0)
        driver.send("t/a", #"{"a": 6}"#, at: 1)
        driver.send("t/a", #"{"b": 4}"#, at: 2)
        driver.send("t/a", #"{"a": 6, "b": 4}"#, at: 3)
        driver.send("t/a", #"{"b": 4}"#, at: 4)
        #expect(driver.log() == ["4s A(a) occurred"])
    }

    @Test func `a step of a group sees its members as this reading leaves them`() throws {
        let driver = try EngineDriver.rule(
            "by: [site]\nsequence: [{expr: \"members.filter(m, m.t > 8.0).size() >= 2\"}, {expr: t < 2 && sensor == 'a', within: 1m}]",
            on: "t/{site}/{sensor}")
        for (second, (sensor, t)) in [("a", 9), ("a", 1), ("b", 9), ("a", 9), ("b", 1), ("a", 1)].enumerated() {
            driver.send("t/x/\(sensor)", "{\"t\": \(t)}", at: Double(second))
        }
        #expect(driver.log() == ["5s A(x) occurred"])
    }

    @Test func `retained readings and late ones are no steps`() throws {
        let driver = try EngineDriver.rule("sequence: [{expr: v == 1}, {expr: v == 2}]", on: "{topic: 't/{device}', time_field: at}")
        driver.send("t/a", #"{"v": 1, "at": 10}"#, at: 10, retained: true)
        driver.send("t/a", #"{"v": 2, "at": 11}"#, at: 11)
        driver.send("t/a", #"{"v": 1, "at": 20}"#, at: 20)
        driver.send("t/a", #"{"v": 2, "at": 19}"#, at: 21)
        #expect(driver.log() == [])
        driver.send("t/a", #"{"v": 2, "at": 20}"#, at: 22)
        #expect(driver.log() == ["22s A(a) occurred"])
    }

    @Test func `a completion is an occurrence: fired and ended at once, with the value that decided`() throws {
        let driver = try EngineDriver.rule(
            "sequence: [{expr: v == 1}, {expr: v > 5}]\nlabels: {severity: info}\nactions: {firing: [{publish: {topic: x, payload: \"{{ v }}\"}}]}"
        )
        driver.send("t/a", #"{"v": 1}"#, at: 1)
        driver.send("t/a", #"{"v": 7.5}"#, at: 2)
        let alert = try #require(driver.take().first?.alert)
        #expect(alert.isOccurrence && alert.state == .resolved && alert.firedAt == alert.resolvedAt)
        #expect(alert.value == 7.5)
        #expect(alert.labels == ["alertname": "A", "device": "a", "severity": "info"])
        #expect(
            alert.pendingActions == [
                .publish(PublishRequest(id: alert.pendingActions.first?.id ?? "", topic: "x", payload: "7.5", qos: 0, retain: false))
            ])
    }

    @Test func `what a backlog brings after the end of a 'not' still breaks the run`() throws {
        let driver = try EngineDriver.rule("sequence: [{expr: v == 1}, {not: v == 2, within: 10s}]")
        for device in ["a", "b"] { driver.send("t/\(device)", #"{"v": 1}"#, at: 1) }
        driver.connected(at: 60)
        driver.send("t/a", #"{"v": 2}"#, at: 60)
        driver.backlogEnded(at: 61)
        #expect(driver.log() == ["11s A(b) occurred"])
    }

    @Test func `a step that cannot be evaluated is none, and is told`() throws {
        let driver = try EngineDriver.rule("sequence: [{expr: v > 1}, {expr: v > 1}]")
        driver.send("t/a", #"{"v": "x"}"#, at: 1)
        #expect(driver.status()?.health == .error)
        driver.send("t/a", #"{"v": 2}"#, at: 2)
        #expect(driver.status()?.health == .ok)
        driver.send("t/a", #"{"v": 2}"#, at: 3)
        #expect(driver.log() == ["3s A(a) occurred"])
    }

    @Test func `a reload keeps the runs of a sequence that means what it meant`() throws {
        let steps = "sequence: [{expr: v == 1}, {expr: v == 2, within: 1m}, {not: v == 3, within: 10s}]"
        let changed = "sequence: [{expr: v == 1}, {expr: v == 2, within: 2m}, {not: v == 3, within: 10s}]"
        for on in ["t/{device}", "{topic: 't/{device}', time_field: at}"] {
            let driver = try EngineDriver.rule(steps, on: on)
            driver.send("t/a", #"{"v": 1}"#, at: 1)
            driver.send("t/b", #"{"v": 1}"#, at: 1)
            driver.send("t/b", #"{"v": 2}"#, at: 2)
            try driver.reload(EngineDriver.yaml(steps + "\nannotations: {x: y}", on: on), at: 3)
            driver.send("t/a", #"{"v": 2}"#, at: 4)
            driver.advance(to: 20)
            #expect(driver.log() == ["12s A(b) occurred", "14s A(a) occurred"])
            driver.send("t/a", #"{"v": 1}"#, at: 21)
            try driver.reload(EngineDriver.yaml(changed, on: on), at: 22)
            driver.send("t/a", #"{"v": 2}"#, at: 23)
            driver.advance(to: 60)
            #expect(driver.log() == [])
        }
    }

    @Test func `an instance whose 'not' is under way is not forgotten`() throws {
        let driver = try EngineDriver.rule("sequence: [{expr: v == 1}, {not: v == 2, within: 10d}]")
        driver.send("t/a", #"{"v": 1}"#, at: 1)
        driver.send("t/b", #"{"v": 2}"#, at: 1)
        driver.advance(to: 9 * 86_400)
        #expect(driver.engine.counters.subjects == 1)
        driver.advance(to: 20 * 86_400)
        #expect(driver.log() == ["864001s A(a) occurred"])
        #expect(driver.engine.counters.subjects == 0)
    }

    @Test func `a first step that comes again and again sets no timer each time`() throws {
        let driver = try EngineDriver.rule("sequence: [{expr: v == 1}, {not: v == 2, within: 1h}]")
        for second in 0..<1000 { driver.send("t/a", #"{"v": 1}"#, at: Double(second)) }
        #expect(driver.timerCount == 1)
        driver.advance(to: 10_000)
        #expect(driver.log() == ["4599s A(a) occurred"])
        #expect(driver.timerCount == 0)
    }

    // MARK: Against a naive reference

    /// What the manual says, over the whole history of one instance.
    private static func occurrences(_ readings: [(at: Int, v: Int)], first: Int, second: Int, absence: Int?, within: Int, end: Int) -> [Int]
    {
        var found: [Int] = []
        var run: [Int] = []
        for reading in readings {
            if let last = run.last, run.count == 2, absence != nil, last + within < reading.at {
                found.append(last + within)
                run = []
            }
            if run.count == 1, reading.at <= run[0] + within, reading.v >= second {
                run.append(reading.at)
                if absence == nil {
                    found.append(reading.at)
                    run = []
                }
                continue
            }
            if run.count == 1, reading.at > run[0] + within { run = [] }
            if run.count == 2, let absence, reading.v == absence { run = [] }
            if reading.v == first { run = [reading.at] }
        }
        if let last = run.last, run.count == 2, last + within <= end { found.append(last + within) }
        return found
    }

    @Test(arguments: 0..<40) func `random readings complete what a naive reference completes`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(9000 + seed))
        let first = Int.random(in: 0..<5, using: &random), second = Int.random(in: 2..<5, using: &random)
        let within = Int.random(in: 1..<8, using: &random)
        let absence = Bool.random(using: &random) ? Int.random(in: 0..<5, using: &random) : nil
        let last = absence.map { ", {not: v == \($0), within: \(within)s}" } ?? ""
        let driver = try EngineDriver.rule("sequence: [{expr: v == \(first)}, {expr: v >= \(second), within: \(within)s}\(last)]")
        var readings: [(at: Int, v: Int)] = []
        var now = 0
        for _ in 0..<300 {
            now += Int.random(in: 0..<4, using: &random)
            readings.append((now, Int.random(in: 0..<5, using: &random)))
            driver.send("t/a", #"{"v": \#(readings[readings.count - 1].v)}"#, at: Double(now))
        }
        driver.advance(to: Double(now + 20))
        let expected = Self.occurrences(readings, first: first, second: second, absence: absence, within: within, end: now + 20)
        #expect(!expected.isEmpty)
        #expect(driver.take().map { Int($0.alert.changedAt.nanoseconds / 1_000_000_000) } == expected)
    }

    @Test(arguments: [1, 2, 7]) func `runs outlive a restart, with their timers`(_ shards: Int) throws {
        for on in ["t/{device}", "{topic: 't/{device}', time_field: at}"] {
            let driver = try EngineDriver(
                EngineDriver.yaml("sequence: [{expr: v == 1}, {expr: v == 2, within: 1m}, {not: v == 3, within: 10s}]", on: on), shards: 2)
            for (place, device) in ["a", "b", "c", "d"].enumerated() {
                driver.send("t/\(device)", #"{"v": 1}"#, at: 1)
                if place > 0 { driver.send("t/\(device)", #"{"v": 2}"#, at: 2 + Double(place)) }
            }
            var settings = EngineSettings()
            settings.shards = shards
            let bytes = driver.engine.snapshot()
            let engine = try #require(Engine(plan: driver.engine.plan, settings: settings, restoring: bytes))
            #expect(engine.snapshot() == bytes)
            let other = EngineDriver(engine: engine)
            other.send("t/a", #"{"v": 2}"#, at: 6)
            other.send("t/c", #"{"v": 3}"#, at: 7)
            other.advance(to: 60)
            #expect(other.log() == ["13s A(b) occurred", "15s A(d) occurred", "16s A(a) occurred"])
        }
    }
}
