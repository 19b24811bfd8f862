import Testing

@testable import RuleEngine

/// `latest('topic').field`: the last reading on another topic.
@Suite struct LatestTests {
    private static let on = "sites/{site}/rooms/{device}"

    @Test func `a capture of the topic is the instance's value, and a reading on it evaluates the rule`() throws {
        let driver = try EngineDriver.rule("expr: t > latest('sites/{site}/outdoor').t + 5", on: Self.on)
        driver.send("sites/oslo/rooms/a", #"{"t": 20}"#, at: 1)
        driver.send("sites/oslo/rooms/b", #"{"t": 30}"#, at: 2)
        driver.send("sites/bergen/rooms/c", #"{"t": 30}"#, at: 3)
        #expect(driver.log() == [])
        driver.send("sites/oslo/outdoor", #"{"t": 18}"#, at: 4)
        #expect(driver.log() == ["4s A(oslo,b) firing"])
        driver.send("sites/oslo/outdoor", #"{"t": 10}"#, at: 5)
        #expect(driver.log() == ["5s A(oslo,a) firing"])
        driver.send("sites/oslo/rooms/b", #"{"t": 11}"#, at: 6)
        driver.send("sites/bergen/outdoor", #"{"t": 12}"#, at: 7)
        #expect(driver.log() == ["6s A(oslo,b) resolved", "7s A(bergen,c) firing"])
    }

    @Test func `what is not there yet, or null, is a missing name`() throws {
        let driver = try EngineDriver.rule("expr: has(latest('o').t) && t > latest('o').t || alarm", on: "t/{device}")
        driver.send("t/a", #"{"t": 2}"#, at: 1)
        #expect(driver.log() == [])
        driver.send("o", #"{"t": 1}"#, at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
        // No result: nothing changes.
        driver.send("o", #"{"t": null}"#, at: 3)
        #expect(driver.log() == [])
        driver.send("t/a", #"{"alarm": false}"#, at: 4)
        #expect(driver.log() == ["4s A(a) resolved"])
    }

    @Test func `retained readings count, and fields and elements are reached by their paths`() throws {
        let driver = try EngineDriver.rule("expr: v > latest('limits/{device}').list[1].max && latest('mode').value == 'on'")
        driver.send("limits/a", #"{"list": [{"max": 9}, {"max": 3}]}"#, at: 1, retained: true)
        driver.send("mode", "on", at: 1, retained: true)
        driver.send("t/a", #"{"v": 4}"#, at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `a message that is a reading of the rule too is evaluated once, and knows itself`() throws {
        let driver = try EngineDriver.rule("expr: changed(t) && t == latest('t/a').t")
        driver.send("t/a", #"{"t": 1}"#, at: 1)
        driver.send("t/a", #"{"t": 2}"#, at: 2)
        driver.send("t/b", #"{"t": 2}"#, at: 3)
        #expect(driver.log() == ["2s A(a) firing"])
        driver.send("t/a", #"{"u": 2}"#, at: 4)
        #expect(driver.log() == ["4s A(a) resolved"])
    }

    @Test func `a reading on another topic is no edge, no event and no beat`() throws {
        let driver = try EngineDriver(
            """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: Event, event: true, expr: latest('o').x > 1}
                  - {alert: Edge, expr: changed(v) && latest('o').x > 1}
                  - {alert: Silent, expr: "latest('o').x > 100", missing: {after: 10s, policy: alert}}
            """)
        driver.send("t/a", #"{"v": 1}"#, at: 1)
        driver.send("o", #"{"x": 5}"#, at: 5)
        #expect(driver.log() == [])
        driver.send("t/a", #"{"v": 1}"#, at: 6)
        #expect(driver.log() == ["6s Event(a) occurred"])
        driver.send("o", #"{"x": 6}"#, at: 15)
        driver.advance(to: 17)
        #expect(driver.log() == ["16s Silent(a) firing [missing]"])
    }

    @Test func `with 'every' it is seen at the instants, also by a rule on the clock`() throws {
        let driver = try EngineDriver.rule("every: 10s\nexpr: latest('o').x > 1", on: "")
        driver.send("o", #"{"x": 5}"#, at: 5)
        #expect(driver.log() == [])
        driver.advance(to: 10)
        #expect(driver.log() == ["10s A() firing"])
    }

    @Test func `texts see it, and its topic is subscribed`() throws {
        let driver = try EngineDriver.rule("expr: v > 1\nannotations: {summary: \"{{ latest('sites/{device}').name }}\"}")
        driver.send("sites/a", #"{"name": "Harbour"}"#, at: 1)
        driver.send("t/a", #"{"v": 2}"#, at: 2)
        #expect(driver.take().first?.alert.annotations["summary"] == "Harbour")
        #expect(Set(driver.engine.plan.subscriptions.map(\.filter)) == ["t/+", "sites/+"])
    }

    @Test func `it outlives a reload and a restart`() throws {
        let yaml = EngineDriver.yaml("expr: t > latest('o/{device}').limit")
        let driver = try EngineDriver(yaml, shards: 2)
        for device in ["a", "b", "c"] { driver.send("o/\(device)", #"{"limit": 5}"#, at: 1) }
        try driver.reload(EngineDriver.yaml("expr: t >= latest('o/{device}').limit"), at: 2)
        driver.send("t/a", #"{"t": 5}"#, at: 3)
        #expect(driver.log() == ["3s A(a) firing"])
        var settings = EngineSettings()
        settings.shards = 7
        let engine = try #require(Engine(plan: driver.engine.plan, settings: settings, restoring: driver.engine.snapshot()))
        let other = EngineDriver(engine: engine)
        other.send("t/b", #"{"t": 5}"#, at: 4)
        other.send("o/a", #"{"limit": 6}"#, at: 5)
        #expect(other.log() == ["4s A(b) firing", "5s A(a) resolved"])
    }

    @Test func `a topic that was silent for long is forgotten when no instance sees it`() throws {
        let driver = try EngineDriver.rule("expr: v > latest('o/{device}').limit")
        driver.send("o/a", #"{"limit": 5}"#, at: 1)
        driver.send("o/b", #"{"limit": 5}"#, at: 1)
        driver.send("t/a", #"{"v": 1}"#, at: 2)
        for day in 1...8 { driver.send("t/a", #"{"v": 1}"#, at: Double(day) * 86_400) }
        driver.advance(to: 8.1 * 86_400)
        #expect(driver.engine.counters.subjects == 2)
        driver.send("t/a", #"{"v": 6}"#, at: 8.2 * 86_400)
        #expect(driver.log().count == 1)
    }

    @Test(arguments: [
        ("expr: v > latest('o').x\nlabels: {x: \"{{ latest('o').x }}\"}", "label-measured"),
        ("expr: avg_over_time(latest('o').x, '5m') > 1", "no-field"),
        ("expr: changed(latest('o').x)", "no-field"),
        ("expr: \"age(latest('o').x) > duration('5m')\"", "no-field"),
    ]) func `what it cannot be used for is refused`(_ body: String, _ code: String) {
        #expect(EngineDriver.mistakes(EngineDriver.yaml(body)) == [code])
    }
}
