import Testing

@testable import RuleEngine

/// `members`: the devices that feed an instance, as records of their last readings.
@Suite struct MemberTests {
    private static let on = "sites/{site}/sensors/{device}"
    private static let threeHot = "by: [site]\nexpr: members.filter(m, m.t > 80.0).size() >= 3"

    private static func rule(_ body: String, on: String = on) throws -> EngineDriver { try EngineDriver.rule(body, on: on) }

    @Test func `three of a site's sensors`() throws {
        let driver = try Self.rule(Self.threeHot)
        for (number, device) in ["a", "b", "c", "d"].enumerated() {
            driver.send("sites/oslo/sensors/\(device)", #"{"t": \#(device == "a" ? 20 : 81)}"#, at: Double(number))
            driver.send("sites/bergen/sensors/\(device)", #"{"t": 20}"#, at: Double(number))
        }
        #expect(driver.log() == ["3s A(oslo) firing"])
        driver.send("sites/bergen/sensors/a", #"{"t": 90}"#, at: 4)
        driver.send("sites/oslo/sensors/b", #"{"t": 80}"#, at: 5)
        #expect(driver.log() == ["5s A(oslo) resolved"])
    }

    @Test(arguments: [
        ("members.exists(m, m.t > 5.0)", ["2s", "4s"]), ("members.exists_one(m, m.t > 5.0)", ["2s", "4s"]),
        ("!members.all(m, m.t <= 5.0)", ["2s", "4s"]), ("members.map(m, m.t).sum() == 10.0", ["2s", "4s"]),
        ("members.map(m, m.t).avg() > 4.0", ["2s", "4s"]), ("members.map(m, m.t > 5.0, m.device) == ['b']", ["2s", "4s"]),
        ("members.sortBy(m, -m.t)[0].device == 'b'", ["2s"]), ("members.reverse()[0].t > 5.0", ["2s", "4s"]),
        ("members.map(m, m.t).stddev() == 4.0", ["2s", "4s"]), ("members[1].t > 5.0", ["2s", "4s"]),
    ]) func `macros and functions go over the records`(_ expression: String, _ changes: [String]) throws {
        let driver = try Self.rule("by: [site]\nexpr: \"\(expression)\"")
        driver.send("sites/s/sensors/a", #"{"t": 1}"#, at: 1)
        driver.send("sites/s/sensors/b", #"{"t": 9}"#, at: 2)
        driver.send("sites/s/sensors/a", #"{"t": 1}"#, at: 3)
        driver.send("sites/s/sensors/b", #"{"t": 5}"#, at: 4)
        #expect(driver.log() == zip(changes, ["firing", "resolved"]).map { "\($0) A(s) \($1)" })
    }

    @Test func `records are in the order of their captures, with captures, time and the fields that the rule names`() throws {
        let driver = try Self.rule(
            """
            by: [site]
            expr: members.size() >= 3
            annotations:
              names: "{{ members.map(m, m.device).join(' ') }}"
              first: "{{ members[0] }}"
              level: "{{ members.filter(m, has(m.battery.level)).map(m, m.battery.level) }}"
              named: "{{ members.exists(m, has(m.b)) }}"
            """)
        driver.send("sites/s/sensors/c", #"{"a": 1, "b": 2}"#, at: 1)
        driver.send("sites/s/sensors/a", #"{"a": 1, "b": "x", "battery": {"level": 3, "other": 4}}"#, at: 2)
        driver.send("sites/s/sensors/b", #"{"a": 1, "battery": {}}"#, at: 3)
        let alert = try #require(driver.take().last?.alert)
        #expect(alert.annotations["names"] == "a b c")
        #expect(alert.annotations["level"] == "[3]")
        #expect(alert.annotations["named"] == "true")
        #expect(
            alert.annotations["first"]
                == #"{"site":"s","device":"a","time":"1970-01-01T00:00:02Z","b":"x","battery":{"level":3,"other":4}}"#)
    }

    @Test func `null removes a field, and a field that is not there is a missing name`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.filter(m, m.t > 5.0).size() > 0")
        driver.send("sites/s/sensors/a", #"{"t": 9}"#, at: 1)
        driver.send("sites/s/sensors/a", #"{"t": null}"#, at: 2)
        driver.send("sites/s/sensors/b", #"{"u": 1}"#, at: 3)
        #expect(driver.log() == ["1s A(s) firing"])
        #expect(driver.status()?.health == .ok)
        driver.send("sites/s/sensors/a", #"{"t": 1}"#, at: 4)
        driver.send("sites/s/sensors/b", #"{"t": 1}"#, at: 5)
        #expect(driver.log() == ["5s A(s) resolved"])
    }

    @Test func `whatever a member sends is an occasion, also a retained reading`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.size() >= 2 || x > 1")
        driver.send("sites/s/sensors/a", #"{"y": 9}"#, at: 1)
        driver.send("sites/s/sensors/b", #"{"z": 9}"#, at: 2, retained: true)
        #expect(driver.log() == ["2s A(s) firing"])
    }

    @Test(arguments: [("", 3600.0), ("missing: {after: 10m, policy: hold}\n", 600), ("missing: {after: auto, policy: hold}\n", 3600)])
    func `a member leaves after its silence, which evaluates the rule`(_ missing: String, _ silence: Double) throws {
        let driver = try Self.rule("\(missing)by: [site]\nexpr: members.size() == 2")
        driver.send("sites/s/sensors/a", "{}", at: 1)
        driver.send("sites/s/sensors/b", "{}", at: 2)
        driver.send("sites/s/sensors/a", "{}", at: 300)
        driver.advance(to: silence + 1)
        #expect(driver.log() == ["2s A(s) firing"])
        driver.advance(to: silence + 500)
        #expect(driver.log() == ["\((silence + 2).shortest)s A(s) resolved"])
        // A retained reading is no sign of life.
        driver.send("sites/s/sensors/a", "{}", at: silence + 600)
        driver.send("sites/s/sensors/b", "{}", at: silence + 600)
        driver.send("sites/s/sensors/b", "{}", at: silence + 700, retained: true)
        driver.send("sites/s/sensors/a", "{}", at: silence + 700)
        driver.advance(to: silence * 2 + 650)
        #expect(driver.log() == ["\((silence + 600).shortest)s A(s) firing", "\((silence * 2 + 600).shortest)s A(s) resolved"])
    }

    @Test func `nothing is left of a group of which all have left`() throws {
        let driver = try Self.rule("by: [site]\nexpr: \"!members.exists(m, m.role == 'primary')\"")
        driver.send("sites/s/sensors/a", #"{"role": "primary"}"#, at: 1)
        driver.advance(to: 3601)
        #expect(driver.log() == ["3601s A(s) firing"])
    }

    @Test func `after a reconnect silence counts anew`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.size() == 0")
        driver.send("sites/s/sensors/a", "{}", at: 1)
        driver.connected(at: 5_000)
        driver.backlogEnded(at: 5_001)
        driver.advance(to: 8_599)
        #expect(driver.log() == [])
        driver.advance(to: 8_600)
        #expect(driver.log() == ["8600s A(s) firing"])
    }

    @Test func `deleting a device takes its member away`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.size() == 1")
        try driver.setDevice("b", "{}", at: 0)
        driver.send("sites/s/sensors/a", "{}", at: 1)
        driver.send("sites/s/sensors/b", "{}", at: 2)
        try driver.setDevice("b", nil, at: 3)
        #expect(driver.log() == ["1s A(s) firing", "2s A(s) resolved", "3s A(s) firing"])
    }

    @Test func `an instance has a thousand members at most, and readings of more are counted`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.size() > 1000 || !members.exists(m, m.device == 'd1')")
        for number in 0..<1_003 { driver.send("sites/s/sensors/d\(number)", "{}", at: Double(number)) }
        driver.send("sites/other/sensors/d1", "{}", at: 1_003)
        #expect(driver.log() == ["0s A(s) firing", "1s A(s) resolved"])
        #expect(driver.engine.counters.refusedMembers == ["g/A": 3])
        #expect(driver.engine.counters.refusedInstances == [:])
    }

    @Test func `a member is told by all captures, which need not be common to the filters`() throws {
        let driver = try Self.rule(
            "by: [site]\nexpr: members.map(m, m.device + '/' + m.kind).join(' ') == '/fan a/ a/pump'",
            on: "[\"p/{site}/{device}\", \"q/{site}/{device}/{kind}\", \"r/{site}/{kind}\"]")
        driver.send("p/s/a", "1", at: 1)
        driver.send("q/s/a/pump", "1", at: 2)
        driver.send("r/s/fan", "1", at: 3)
        #expect(driver.log() == ["3s A(s) firing"])
    }

    @Test func `'value_as' names fields of members, and let, levels, resolve_expr and value see them`() throws {
        let driver = try Self.rule(
            """
            by: [room]
            let: {hot: "members.filter(m, has(m.temperature) && m.temperature > 30)"}
            levels:
              some: {expr: "hot.size() > 0"}
              many: {expr: "hot.size() > 1", resolve_expr: "hot.size() == 0"}
            value: math.greatest(hot.map(h, h.temperature))
            annotations: {where: "{{ hot.map(h, h.sensor).join(',') }}"}
            """, on: "{topic: \"r/{room}/{sensor}/{metric}\", value_as: metric}")
        driver.send("r/k/s1/temperature", "31", at: 1)
        driver.send("r/k/s1/humidity", "80", at: 2)
        driver.send("r/k/s2/temperature", "33", at: 3)
        let found = driver.take()
        #expect(found.map(\.short) == ["1s A(k) firing some", "3s A(k) firing many"])
        #expect(found.last?.alert.value == 33)
        #expect(found.last?.alert.annotations["where"] == "s1,s2")
        driver.send("r/k/s2/temperature", "3", at: 4)
        #expect(driver.log() == [])
        driver.send("r/k/s1/temperature", "3", at: 5)
        #expect(driver.log() == ["5s A(k) resolved many"])
    }

    @Test func `windows take what members come to at each reading`() throws {
        let driver = try Self.rule("by: []\nexpr: avg_over_time(members.map(m, m.kw).sum(), '10s') >= 4.0")
        driver.send("sites/s/sensors/a", #"{"kw": 2}"#, at: 1)
        driver.send("sites/t/sensors/b", #"{"kw": 3}"#, at: 2)
        #expect(driver.log() == [])
        driver.send("sites/t/sensors/b", #"{"x": 3}"#, at: 3)
        #expect(driver.log() == ["3s A() firing"])
    }

    @Test func `with 'every' it is seen at the instants, and an event sees it at its readings`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: t/{site}/{device}
                rules:
                  - {alert: Every, by: [site], every: 10s, expr: members.size() == 1}
                  - {alert: Event, by: [site], event: true, expr: opened && members.size() == 1}
            """)
        driver.send("t/s/a", #"{"opened": true}"#, at: 1)
        driver.send("t/s/a", "{}", at: 2)
        driver.advance(to: 10)
        #expect(driver.log() == ["1s Event(s) occurred", "10s Every(s) firing"])
        driver.advance(to: 3_610)
        #expect(driver.log() == ["3610s Every(s) resolved"])
    }

    @Test func `what is missing inside a field is missing, too`() throws {
        let driver = try Self.rule("by: [site]\nexpr: members.exists(m, m.list[1].x > 5.0 || m['of']['y'] > 5.0)")
        for payload in ["{}", #"{"list": [1]}"#, #"{"list": [1, {}]}"#, #"{"list": [1, {"x": 1}], "of": {}}"#] {
            driver.send("sites/s/sensors/a", payload, at: 1)
        }
        #expect(driver.status()?.health == .unknown)
        driver.send("sites/s/sensors/a", #"{"list": [1, {"x": 6}]}"#, at: 2)
        driver.send("sites/s/sensors/b", #"{"of": {"y": 6}}"#, at: 2)
        driver.send("sites/s/sensors/a", #"{"list": [1, {"x": 5}], "of": {"y": 1}}"#, at: 3)
        driver.send("sites/s/sensors/b", #"{"list": [1, {"x": 5}], "of": {"y": 1}}"#, at: 4)
        #expect(driver.log() == ["2s A(s) firing", "4s A(s) resolved"])
    }

    @Test func `a reading too late for its instance is still one of its member`() throws {
        let driver = try Self.rule(
            "by: [site]\nexpr: members.exists(m, m.t > 5.0)", on: "{topic: \"sites/{site}/sensors/{device}\", time_field: at}")
        driver.send("sites/s/sensors/a", #"{"t": 1, "at": 100000}"#, at: 100_000)
        driver.send("sites/s/sensors/b", #"{"t": 9, "at": 90000}"#, at: 100_001)
        #expect(driver.log() == ["100001s A(s) firing"])
        driver.send("sites/s/sensors/b", #"{"t": 1, "at": 80000}"#, at: 100_002)
        #expect(driver.log() == [])
    }

    @Test(arguments: [1, 2, 7]) func `members outlive reloads and restarts`(_ shards: Int) throws {
        func yaml(_ body: String) -> String { EngineDriver.yaml(body, on: Self.on) }
        let driver = try EngineDriver(yaml("expr: t > 100"), shards: shards)
        for site in ["x", "y", "z"] {
            for device in ["a", "b"] { driver.send("sites/\(site)/sensors/\(device)", #"{"t": 5}"#, at: 1) }
        }
        // Of what other rules heard on the same topics.
        try driver.reload(yaml("by: [site]\nexpr: members.filter(m, m.t >= 5).size() > 2"), at: 10)
        driver.send("sites/x/sensors/c", #"{"t": 5}"#, at: 11)
        #expect(driver.log() == ["11s A(x) firing"])
        // Other groups, and another silence.
        try driver.reload(yaml("by: []\nmissing: {after: 1m, policy: hold}\nexpr: members.filter(m, m.t >= 5).size() > 7"), at: 20)
        driver.send("sites/y/sensors/c", #"{"t": 5}"#, at: 21)
        #expect(driver.log() == ["20s A(x) resolved [rule changed]", "21s A() firing"])
        var settings = EngineSettings()
        settings.shards = [1: 7, 2: 1, 7: 2][shards] ?? 1
        let engine = try #require(Engine(plan: driver.engine.plan, settings: settings, restoring: driver.engine.snapshot()))
        let other = EngineDriver(engine: engine)
        #expect(Bool(other.engine.snapshot() == driver.engine.snapshot()))
        for driver in [driver, other] {
            driver.advance(to: 60)
            #expect(driver.log() == [])
            driver.advance(to: 61)
            #expect(driver.log() == ["61s A() resolved"])
        }
        #expect(Bool(other.engine.snapshot() == driver.engine.snapshot()))
    }

    @Test func `rules without members have no source of them`() throws {
        let driver = try Self.rule("by: [site]\nexpr: payload.members > 1")
        driver.send("sites/s/sensors/a", #"{"members": 2}"#, at: 1)
        #expect(driver.log() == ["1s A(s) firing"])
        #expect(driver.engine.plan.sources.count == 1)
    }

    @Test(arguments: [
        ("expr: members.size() > 1", "members"),
        ("by: [site, device]\nexpr: members.size() > 1", "members"),
        ("by: [site]\nexpr: v > 1\nlabels: {x: \"{{ members.size() }}\"}", "label-measured"),
        ("by: [site]\nevent: true\nexpr: became(members.exists(m, m.t > 1))", "not-supported"),
        ("by: [site]\nexpr: changed(members.size())", "not-supported"),
        ("by: [site]\nexpr: \"age(members.size()) > duration('5m')\"", "not-supported"),
        ("by: [site]\nexpr: members.t > 1", "no-such-overload"),
        ("by: [site]\nexpr: members.exists(m, m > 1)", "no-such-overload"),
        ("by: [site]\nexpr: members.exists(m, m.config.high > 1)", "members"),
        ("by: [site]\nexpr: members.exists(m, m[field] > 1)", "computed-field"),
    ]) func `what cannot be meant is refused`(_ body: String, _ code: String) {
        #expect(EngineDriver.mistakes(EngineDriver.yaml(body, on: Self.on)) == [code])
    }
}
