import RuleEngine
import Testing

@Suite struct MissingTests {
    private static let warm = "{\"t\": 31}", cold = "{\"t\": 20}"

    private func driver(_ policy: String, after: String = "1m", more: String = "") throws -> EngineDriver {
        try EngineDriver.rule("expr: t > 30\nmissing: {after: \(after), policy: \(policy)}\(more)")
    }

    @Test func `'hold': nothing changes`() throws {
        let driver = try driver("hold")
        driver.send("t/a", Self.warm, at: 0)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) firing"])
    }

    @Test func `'ok': pending is dropped, firing resolves, reason 'missing'`() throws {
        let firing = try driver("ok")
        firing.send("t/a", Self.warm, at: 0)
        firing.advance(to: 100)
        firing.send("t/a", Self.warm, at: 100)
        #expect(firing.log() == ["0s A(a) firing", "60s A(a) resolved [missing]", "100s A(a) firing"])
        let pending = try driver("ok", more: "\nfor: 10m")
        pending.send("t/a", Self.warm, at: 0)
        pending.advance(to: 1000)
        #expect(pending.log() == ["0s A(a) pending", "60s A(a) inactive [missing]"])
    }

    @Test func `'alert': fires at once at the worst level whatever 'for' says; the next reading decides anew`() throws {
        let driver = try EngineDriver.rule(
            "levels:\n  warning: {expr: t > 30, for: 10m}\n  critical: {expr: t > 50, for: 10m}\nmissing: {after: 1m, policy: alert}")
        driver.send("t/a", Self.cold, at: 0)
        driver.advance(to: 100)
        #expect(driver.log() == ["60s A(a) firing critical [missing]"])
        // The same value again: nothing that it reads has changed, and yet it decides.
        driver.send("t/a", Self.cold, at: 100)
        #expect(driver.log() == ["100s A(a) resolved critical"])
        driver.advance(to: 160)
        driver.send("t/a", Self.warm, at: 170)
        #expect(driver.log() == ["160s A(a) firing critical [missing]", "170s A(a) resolved critical", "170s A(a) pending"])
    }

    @Test func `'alert' takes what fires at a milder level to the worst`() throws {
        let driver = try EngineDriver.rule(
            "levels:\n  warning: {expr: t > 30}\n  critical: {expr: t > 50}\nkeep_firing_for: 10m\nmissing: {after: 1m, policy: alert}")
        driver.send("t/a", Self.warm, at: 0)
        driver.advance(to: 100)
        driver.send("t/a", Self.warm, at: 100)
        driver.send("t/a", Self.cold, at: 110)
        driver.advance(to: 200)
        #expect(
            driver.log() == [
                "0s A(a) firing warning", "60s A(a) firing critical [missing]", "100s A(a) firing warning", "110s A(a) recovering warning",
                "170s A(a) firing critical [missing]",
            ])
    }

    @Test(arguments: [1, 2, 7]) func `while the broker is away nothing falls silent, and deadlines count from the reconnect`(_ shards: Int)
        throws
    {
        let driver = try EngineDriver(
            EngineDriver.yaml("expr: t > 30\nfor: 40s\nmissing: {after: 1m, policy: nodata}"), shards: shards, start: 0)
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/b", "{\"t\": 1}", at: 10)
        driver.disconnected(at: 20)
        driver.advance(to: 1_000)
        #expect(driver.log() == ["0s A(a) pending", "40s A(a) firing"])
        driver.connected(at: 1_000)
        driver.backlogEnded(at: 1_001)
        driver.send("t/b", "{\"t\": 1}", at: 1_050)
        driver.advance(to: 1_100)
        #expect(driver.log() == ["1060s A(a) nodata [missing]"])
        driver.advance(to: 1_200)
        #expect(driver.log() == ["1110s A(b) nodata [missing]"])
    }

    private static let others = ["every: 10s\nexpr: t > 30", "expr: avg_over_time(t, '5m') > 30"]

    @Test(arguments: others) func `'ok': what has resolved does not fire again before there is a reading`(rule: String) throws {
        let driver = try EngineDriver.rule("\(rule)\nmissing: {after: 1m, policy: ok}")
        for at in [0, 10] { driver.send("t/a", Self.warm, at: Double(at)) }
        driver.advance(to: 150)
        driver.send("t/a", Self.warm, at: 150, retained: true)
        try driver.setDevice("a", "{}", at: 151)
        driver.connected(at: 152)
        driver.backlogEnded(at: 153)
        driver.advance(to: 600)
        #expect(driver.log().dropFirst() == ["70s A(a) resolved [missing]"])
        driver.send("t/a", Self.warm, at: 601)
        driver.advance(to: 620)
        #expect(driver.log().first?.hasSuffix("A(a) firing") ?? false)
    }

    @Test func `'alert': what fires goes on until there is a reading, though its window empties`() throws {
        let driver = try EngineDriver.rule(
            "expr: max_over_time(t, '2m') > 30 && count_over_time(t, '2m') > 1\nmissing: {after: 1m, policy: alert}")
        for at in [0, 10] { driver.send("t/a", Self.warm, at: Double(at)) }
        driver.advance(to: 1000)
        #expect(driver.log() == ["10s A(a) firing"])
        driver.send("t/a", Self.warm, at: 1000)
        #expect(driver.log() == ["1000s A(a) resolved"])
    }

    @Test func `'nodata' is a state of its own, notified, kept until a reading`() throws {
        let driver = try driver("nodata")
        driver.send("t/a", Self.warm, at: 0)
        driver.advance(to: 500)
        driver.send("t/a", Self.warm, at: 500, retained: true)
        try driver.setDevice("a", "{}", at: 501)
        #expect(driver.log() == ["0s A(a) firing", "60s A(a) nodata [missing]"])
        driver.send("t/a", Self.warm, at: 502)
        #expect(driver.log() == ["502s A(a) firing"])
        driver.advance(to: 600)
        driver.send("t/a", Self.cold, at: 601)
        #expect(driver.log() == ["562s A(a) nodata [missing]", "601s A(a) resolved"])
    }

    @Test func `'after' counts from the instance's last beat, and a retained message is none`() throws {
        let driver = try driver("alert")
        driver.send("t/a", Self.cold, at: 0)
        driver.send("t/a", Self.cold, at: 50)
        driver.send("t/a", Self.cold, at: 90, retained: true)
        driver.advance(to: 1000)
        #expect(driver.log() == ["110s A(a) firing [missing]"])
    }

    @Test func `a 'missing' deadline is at least start (or reconnect) + 'after'`() throws {
        let driver = try driver("alert")
        driver.send("t/a", Self.cold, at: 0)
        driver.connected(at: 40)
        driver.backlogEnded(at: 42)
        driver.advance(to: 99)
        #expect(driver.log() == [])
        driver.advance(to: 200)
        #expect(driver.log() == ["100s A(a) firing [missing]"])
    }

    @Test func `a registered device that was never heard counts from its registration`() throws {
        let driver = try driver("alert")
        try driver.setDevice("a", "{}", at: 10)
        driver.advance(to: 200)
        #expect(driver.log() == ["70s A(a) firing [missing]"])
        let other = try EngineDriver.rule("expr: t > 30\nmissing: {after: 1m, policy: alert}", on: "s/{site}/{device}")
        try other.setDevice("a", "{}", at: 10)
        other.advance(to: 200)
        #expect(other.log() == [])
    }

    @Test func `'after: auto' is three beats of the learned median interval`() throws {
        let driver = try driver("alert", after: "auto")
        driver.advance(to: 100)
        driver.send("t/a", Self.cold, at: 100)
        driver.advance(to: 5000)
        #expect(driver.log() == [])
        // Intervals of 4900, 10, 10, 25 and 10 seconds.
        for at in [5000, 5010, 5020, 5045, 5055] { driver.send("t/a", Self.cold, at: Double(at)) }
        driver.advance(to: 5084)
        #expect(driver.log() == [])
        driver.advance(to: 5095)
        #expect(driver.log() == ["5085s A(a) firing [missing]"])
        // The interval of the outage hardly moves the median.
        for at in [5095, 5105] { driver.send("t/a", Self.cold, at: Double(at)) }
        driver.advance(to: 5134)
        #expect(driver.log() == ["5095s A(a) resolved"])
        driver.advance(to: 6000)
        #expect(driver.log() == ["5135s A(a) firing [missing]"])
    }

    @Test func `a learned deadline follows a rhythm that becomes faster`() throws {
        let driver = try driver("alert", after: "{beats: 2}")
        for at in [0, 100, 200, 300] { driver.send("t/a", Self.cold, at: Double(at)) }
        for at in 301...310 { driver.send("t/a", Self.cold, at: Double(at)) }
        driver.advance(to: 400)
        #expect(driver.log() == ["312s A(a) firing [missing]"])
    }

    @Test func `messages of one delivery say nothing about the rhythm`() throws {
        let driver = try driver("alert", after: "auto")
        for at in [0, 0, 0, 0, 0, 10, 20, 30] { driver.send("t/a", Self.cold, at: Double(at)) }
        driver.advance(to: 100)
        #expect(driver.log() == ["60s A(a) firing [missing]"])
    }

    @Test func `several deadlines of one subject are each dealt with once, by time, then rule`() throws {
        let yaml = """
            groups:
              - name: g
                on: t/{device}
                rules:
                  - {alert: A, expr: t > 90, missing: {after: 2m, policy: alert}}
                  - {alert: B, expr: t > 90, missing: {after: 1m, policy: nodata}}
                  - {alert: C, expr: t > 90, missing: {after: 1m, policy: alert}}
            """
        let driver = try EngineDriver(yaml)
        driver.send("t/a", Self.cold, at: 0)
        driver.send("t/b", Self.cold, at: 0)
        driver.advance(to: 1000)
        #expect(
            driver.log() == [
                "60s B(a) nodata [missing]", "60s B(b) nodata [missing]", "60s C(a) firing [missing]", "60s C(b) firing [missing]",
                "120s A(a) firing [missing]", "120s A(b) firing [missing]",
            ])
        for at in 0..<50 {
            driver.send("t/a", Self.cold, at: 1000 + Double(at) * 90)
            driver.advance(to: 1000 + Double(at) * 90 + 89)
        }
        #expect(driver.timerCount <= 6)
    }

    @Test func `a last will is a reading as any other`() throws {
        let driver = try EngineDriver.rule("expr: value == 'offline'\nmissing: {after: 1m, policy: ok}", on: "status/{device}")
        driver.send("status/a", "online", at: 0)
        driver.send("status/a", "offline", at: 30)
        #expect(driver.log() == ["30s A(a) firing"])
        driver.advance(to: 100)
        #expect(driver.log() == ["90s A(a) resolved [missing]"])
    }

    @Test func `with 'every' the first instant after a reading decides anew`() throws {
        let driver = try EngineDriver.rule("every: 10s\nexpr: t > 30\nmissing: {after: 25s, policy: nodata}")
        driver.send("t/a", Self.warm, at: 1)
        driver.advance(to: 52)
        driver.send("t/a", Self.warm, at: 53)
        driver.advance(to: 65)
        #expect(driver.log() == ["10s A(a) firing", "26s A(a) nodata [missing]", "60s A(a) firing"])
    }
}
