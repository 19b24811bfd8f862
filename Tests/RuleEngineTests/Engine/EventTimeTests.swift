import RuleLanguage
import Testing

@testable import RuleEngine

/// Readings that say when they were measured, by `time_field`. Engine time begins at a million seconds, so that stamps are told apart by size.
@Suite struct EventTimeTests {
    static let base = 1_000_000.0

    static func driver(
        _ body: String, allowedLateness: Duration = .seconds(60), shards: Int = 1, field: String = "at"
    ) throws -> EngineDriver {
        try EngineDriver(
            EngineDriver.yaml(body, on: "{topic: 't/{device}', time_field: \(field)}"), shards: shards, start: base,
            allowedLateness: allowedLateness)
    }

    /// A reading measured at so many seconds and received at so many, both after the base.
    static func send(
        _ driver: EngineDriver, _ members: String, measured: Double, received: Double, device: String = "a", retained: Bool = false
    ) {
        driver.send("t/\(device)", "{\(members), \"at\": \(base + measured)}", at: base + received, retained: retained)
    }

    /// What happened in seconds of the instances' own time after the base.
    private static func log(_ driver: EngineDriver) -> [String] {
        driver.take().map { transition in
            let since = { (instant: Instant?) in instant.map { Double($0.nanoseconds) / 1e9 - base } ?? -1 }
            return "\(transition.alert.state.rawValue) \(since(transition.alert.instanceTime).shortest)"
        }
    }

    @Test func `an hour of stored readings uploaded in a second fires as it would have in that hour`() throws {
        let body = "expr: t > 30\nfor: 5m\nkeep_firing_for: 2m"
        let uploaded = try Self.driver(body), live = try EngineDriver.rule(body)
        for minute in 0..<60 {
            let value = (10..<20).contains(minute) || (40..<43).contains(minute) ? 31 : 20
            Self.send(uploaded, "\"t\": \(value)", measured: Double(minute * 60), received: 3600 + Double(minute) / 60)
            live.send("t/a", "{\"t\": \(value)}", at: Double(minute * 60))
        }
        let expected = live.take().map { "\($0.alert.state.rawValue) \(Double($0.alert.changedAt.nanoseconds) / 1e9)" }
        let seen = uploaded.take()
        #expect(
            seen.map { "\($0.alert.state.rawValue) \(Double(($0.alert.instanceTime ?? .distantPast).nanoseconds) / 1e9 - Self.base)" }
                == expected)
        #expect(expected.count == 6)
        // Stored at the engine's time, told with the instance's.
        #expect(seen.allSatisfy { $0.alert.changedAt >= EngineDriver.instant(Self.base + 3600) })
        #expect(seen[1].alert.firedAt == EngineDriver.instant(Self.base + 900))
        #expect(seen[3].alert.resolvedAt == EngineDriver.instant(Self.base + 1320))
        #expect(Set(seen.map(\.id)).count == seen.count)
    }

    @Test func `the same in one batch at one instant: every timer is an input of its own`() throws {
        let driver = try Self.driver("expr: max_over_time(t, '1m') > 30\nfor: 30s")
        var batch = MessageBatch()
        for (second, value) in [(0, 31), (100, 31), (200, 31), (300, 1)] {
            batch.append(topic: "t/a", payload: Array("{\"t\": \(value), \"at\": \(Self.base + Double(second))}".utf8), flags: [])
        }
        driver.engine.ingest(batch, at: EngineDriver.instant(Self.base + 300))
        driver.advance(to: Self.base + 301)
        let seen = driver.take()
        #expect(Set(seen.map(\.id)).count == seen.count)
        // Each warm reading fires half a minute later; a minute later the window is empty, which keeps the state, until a cold reading comes.
        #expect(seen.map(\.alert.state) == [.pending, .firing, .resolved])
        #expect(seen[1].alert.firedAt == EngineDriver.instant(Self.base + 30))
    }

    @Test func `an instance's time goes on with the engine's, from its newest stamp`() throws {
        let driver = try Self.driver("expr: t > 30\nfor: 1m")
        // Measured an hour ago.
        Self.send(driver, "\"t\": 31", measured: 0, received: 3600)
        driver.advance(to: Self.base + 3659.9)
        #expect(Self.log(driver) == ["pending 0"])
        driver.advance(to: Self.base + 3660)
        let fired = driver.take()
        #expect(fired.map(\.alert.firedAt) == [EngineDriver.instant(Self.base + 60)])
        #expect(fired.map(\.alert.changedAt) == [EngineDriver.instant(Self.base + 3660)])
    }

    @Test func `an instance's time never goes backwards behind what it has shown`() throws {
        let driver = try Self.driver("expr: t > 30\nfor: 30s\nkeep_firing_for: 10s")
        Self.send(driver, "\"t\": 31", measured: 0, received: 0)
        driver.advance(to: Self.base + 30)
        #expect(Self.log(driver) == ["pending 0", "firing 30"])
        // On its way for 22 s: the instance's time is 30 already and stands still until the stamps have caught up.
        Self.send(driver, "\"t\": 1", measured: 10, received: 32)
        #expect(Self.log(driver) == ["recovering 30"])
        driver.advance(to: Self.base + 61.9)
        #expect(Self.log(driver) == [])
        driver.advance(to: Self.base + 62)
        #expect(Self.log(driver) == ["resolved 40"])
    }

    @Test func `a device that sends once an hour what it kept has each hour as it was`() throws {
        let driver = try Self.driver("expr: t > 30\nfor: 5m")
        for hour in 0..<3 {
            for minute in 0..<60 {
                let value = (30..<40).contains(minute) ? 31 : 20
                Self.send(driver, "\"t\": \(value)", measured: Double(hour * 3600 + minute * 60), received: Double((hour + 1) * 3600))
            }
        }
        #expect(
            Self.log(driver)
                == (0..<3).flatMap { hour in
                    ["pending \(hour * 3600 + 1800)", "firing \(hour * 3600 + 2100)", "resolved \(hour * 3600 + 2400)"]
                })
    }

    @Test func `a late reading is inserted into windows, and the expression evaluated again at the instance's time`() throws {
        let driver = try Self.driver("expr: sum_over_time(v, '1m') >= 10")
        Self.send(driver, "\"v\": 4", measured: 0, received: 0)
        Self.send(driver, "\"v\": 4", measured: 40, received: 40)
        Self.send(driver, "\"v\": 2", measured: 20, received: 41)
        #expect(Self.log(driver) == ["firing 41"])
        // It leaves the window where it belongs: 4 + 2 is left at 60, and at 80 it has gone too.
        driver.advance(to: Self.base + 59.9)
        #expect(Self.log(driver) == [])
        driver.advance(to: Self.base + 60)
        #expect(Self.log(driver) == ["resolved 60"])
        #expect(driver.engine.counters.lateReadings == 1)
        #expect(driver.engine.counters.lateReadingsRefused == 0)
    }

    @Test func `later than 'allowed_lateness' it is refused, and counted`() throws {
        let driver = try Self.driver("expr: sum_over_time(v, '1h') >= 10", allowedLateness: .seconds(30))
        Self.send(driver, "\"v\": 4", measured: 100, received: 100)
        Self.send(driver, "\"v\": 9", measured: 69.9, received: 101)
        #expect(Self.log(driver) == [])
        #expect(driver.engine.counters.lateReadingsRefused == 1)
        Self.send(driver, "\"v\": 9", measured: 70, received: 102)
        #expect(Self.log(driver) == ["firing 102"])
        #expect(driver.engine.counters.lateReadings == 2)
    }

    @Test func `a late reading replaces no newer last known value, and sets what it alone knows`() throws {
        let driver = try Self.driver("expr: a == 1.0 && b == 7.0\nannotations: {x: '{{ a }} {{ b }}'}")
        Self.send(driver, "\"a\": 1", measured: 50, received: 50)
        Self.send(driver, "\"a\": 2, \"b\": 7", measured: 20, received: 51)
        #expect(driver.take().map { $0.alert.annotations["x"] } == ["1 7"])
        // What was taken away since stays away.
        Self.send(driver, "\"b\": null", measured: 60, received: 60)
        Self.send(driver, "\"a\": 5, \"b\": 8", measured: 55, received: 61)
        driver.send("t/a", "{\"c\": 1, \"at\": \(Self.base + 70)}", at: Self.base + 70)
        Self.send(driver, "\"a\": 0", measured: 71, received: 71)
        let last = driver.take().last
        #expect(last?.alert.annotations["x"] == "5 <no value>")
    }

    @Test func `a late reading is no edge and no beat, but an occurrence of what it carries`() throws {
        let edge = try Self.driver("event: true\nexpr: changed(v)")
        Self.send(edge, "\"v\": 1", measured: 50, received: 50)
        Self.send(edge, "\"v\": 2", measured: 20, received: 51)
        #expect(edge.take().isEmpty)
        let silent = try Self.driver("expr: 'false'\nmissing: {after: 1m, policy: nodata}")
        Self.send(silent, "\"v\": 1", measured: 50, received: 50)
        Self.send(silent, "\"v\": 1", measured: 20, received: 100)
        silent.advance(to: Self.base + 111)
        #expect(silent.take().map(\.alert.changedAt) == [EngineDriver.instant(Self.base + 110)])
        let button = try Self.driver("event: true\nexpr: pressed == 1.0\nannotations: {x: '{{ pressed }} {{ time }}'}")
        Self.send(button, "\"pressed\": 0", measured: 50, received: 50)
        Self.send(button, "\"pressed\": 1", measured: 20, received: 51)
        #expect(button.take().map { $0.alert.annotations["x"] } == ["1 1970-01-12T13:47:00Z"])
    }

    @Test func `silence and clocks go by the engine's time, whatever stamps say`() throws {
        let driver = try Self.driver("expr: v > 1\nmissing: {after: 1m, policy: nodata}")
        Self.send(driver, "\"v\": 1", measured: -5000, received: 0)
        driver.advance(to: Self.base + 60)
        #expect(driver.take().map(\.alert.changedAt) == [EngineDriver.instant(Self.base + 60)])
        let every = try Self.driver("expr: v > 1\nevery: 10s")
        Self.send(every, "\"v\": 2", measured: -5000, received: 1)
        every.advance(to: Self.base + 10)
        #expect(every.take().map(\.alert.changedAt) == [EngineDriver.instant(Self.base + 10)])
    }

    @Test func `a stamp more than five minutes ahead counts as the time of receipt`() throws {
        let driver = try Self.driver("expr: v > 1\nannotations: {x: '{{ time }} {{ received_at }}'}")
        Self.send(driver, "\"v\": 2", measured: 310, received: 0)
        #expect(driver.take().first?.alert.annotations["x"] == "1970-01-12T13:46:40Z 1970-01-12T13:46:40Z")
        #expect(driver.engine.counters.stampsAhead == 1)
        Self.send(driver, "\"v\": 1", measured: 301, received: 1)
        #expect(driver.take().first?.alert.instanceTime == EngineDriver.instant(Self.base + 301))
        #expect(driver.engine.counters.stampsAhead == 1)
    }

    @Test func `without a stamp, or with one that cannot be read, a reading is measured when received`() throws {
        let driver = try Self.driver("expr: v > 1\nannotations: {x: '{{ time }}'}")
        driver.send("t/a", #"{"v": 2}"#, at: Self.base)
        driver.send("t/b", #"{"v": 2, "at": "yesterday"}"#, at: Self.base)
        driver.send("t/c", #"{"v": 2, "at": 1e300}"#, at: Self.base)
        driver.send("t/d", #"{"v": 2, "at": {"x": 1}}"#, at: Self.base)
        #expect(driver.take().allSatisfy { $0.alert.annotations["x"] == "1970-01-12T13:46:40Z" })
        #expect(driver.engine.counters.stampsUnreadable == 4)
    }

    @Test(arguments: [
        ("1700000000", "2023-11-14T22:13:20.000Z"), ("1700000000.25", "2023-11-14T22:13:20.250Z"),
        ("1700000000123", "2023-11-14T22:13:20.123Z"),
        ("1700000000123456", "2023-11-14T22:13:20.123Z"), ("1700000000123456789", "2023-11-14T22:13:20.123Z"),
        ("\"1700000000123\"", "2023-11-14T22:13:20.123Z"), ("\"2023-11-14T23:13:20.5+01:00\"", "2023-11-14T22:13:20.500Z"),
        ("-1.5", "1969-12-31T23:59:58.500Z"), ("0", "1970-01-01T00:00:00.000Z"),
    ])
    func `the unit of a stamp is recognised by its size`(_ json: String, _ expected: String) throws {
        let decoder = PayloadDecoder(paths: [.member("at")], decoder: .automatic)
        let found = try Array("{\"at\": \(json)}".utf8).withUnsafeBytes { payload in
            try decoder.decode(payload)
            return EventTime.instant(decoder.row[0], in: payload)
        }
        #expect(found?.description == expected)
    }

    @Test func `microseconds are exact`() {
        #expect(EventTime.instant(of: 1_700_000_000_123_456)?.nanoseconds == 1_700_000_000_123_456_000)
        for number in [Double.nan, .infinity, -.infinity, 1e300, -1e300, 9.3e18, -9.3e18] { #expect(EventTime.instant(of: number) == nil) }
        #expect(EventTime.instant(of: 9.9e10) == .distantFuture || EventTime.instant(of: 9.9e10) == nil)
    }

    @Test func `the stamp may stand deeper, and need not be a field`() throws {
        let driver = try Self.driver("expr: v > 1", field: "meta.at")
        driver.send("t/a", "{\"v\": 2, \"meta\": {\"at\": \(Self.base - 50)}}", at: Self.base)
        #expect(driver.take().first?.alert.instanceTime == EngineDriver.instant(Self.base - 50))
    }

    @Test func `a retained reading with a stamp is a sample`() throws {
        let driver = try Self.driver("expr: count_over_time(v, '1h') >= 2")
        Self.send(driver, "\"v\": 1", measured: -100, received: 0, retained: true)
        Self.send(driver, "\"v\": 1", measured: 1, received: 1)
        #expect(Self.log(driver) == ["firing 1"])
        driver.send("t/b", #"{"v": 1}"#, at: Self.base + 2, retained: true)
        Self.send(driver, "\"v\": 1", measured: 3, received: 3, device: "b")
        #expect(driver.take().isEmpty)
    }

    @Test func `'age' counts from when a value was measured`() throws {
        let driver = try Self.driver("expr: age(v) > duration('1m')")
        Self.send(driver, "\"v\": 1", measured: 0, received: 500)
        Self.send(driver, "\"w\": 1", measured: 61, received: 501)
        #expect(driver.take().map(\.alert.firedAt) == [EngineDriver.instant(Self.base + 60) + 1])
    }

    @Test func `a pending alert that is restored goes on in its instance's time`() throws {
        let body = "expr: t > 30\nfor: 1h"
        let before = try Self.driver(body)
        Self.send(before, "\"t\": 31", measured: -7200, received: 0)
        let records = before.take().map(\.alert)
        let stored = records.compactMap { AlertRecord(document: $0.document) }
        #expect(stored == records)
        let after = try EngineDriver(EngineDriver.yaml(body, on: "{topic: 't/{device}', time_field: at}"), start: nil)
        after.restore(stored, at: Self.base + 60)
        after.connected(at: Self.base + 60)
        after.backlogEnded(at: Self.base + 61)
        after.advance(to: Self.base + 3599)
        #expect(after.take().isEmpty)
        after.advance(to: Self.base + 3600)
        #expect(after.take().map(\.alert.firedAt) == [EngineDriver.instant(Self.base - 3600)])
    }

    @Test func `what came due in a backlog of stored readings happens where it belongs in it`() throws {
        let driver = try Self.driver("expr: t > 30\nfor: 1m")
        Self.send(driver, "\"t\": 31", measured: 0, received: 0)
        driver.connected(at: Self.base + 600)
        for second in stride(from: 30, through: 570, by: 30) {
            Self.send(driver, "\"t\": \(second < 300 ? 31 : 20)", measured: Double(second), received: 600)
        }
        driver.backlogEnded(at: Self.base + 601)
        #expect(Self.log(driver) == ["pending 0", "firing 60", "resolved 300"])
    }

    @Test func `time_field is checked`() {
        func mistakes(_ options: String) -> [String] {
            EngineDriver.mistakes(EngineDriver.yaml("expr: v > 1", on: "{topic: 't/{device}', \(options)}"))
        }
        #expect(mistakes("time_field: at").isEmpty)
        #expect(mistakes("time_field: a..b") == ["time-field"])
        #expect(mistakes("decoder: text, time_field: at") == ["time-field"])
    }

    @Test func `timers of an instance do not pile up`() throws {
        let driver = try Self.driver("expr: t > 30 && age(t) < duration('2h')\nfor: 1h")
        var random = Seeded(seed: 1)
        for second in 0..<3000 {
            let lag = Double.random(in: 0..<5, using: &random)
            Self.send(driver, "\"t\": \(second % 7 == 0 ? 1 : 31)", measured: Double(second) - lag, received: Double(second))
        }
        #expect(driver.timerCount < 100)
    }
}
