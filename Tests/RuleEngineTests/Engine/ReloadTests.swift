import RuleEngine
import Testing

@Suite struct ReloadTests {
    private static let warm = "{\"t\": 31}", cold = "{\"t\": 20}"

    @Test func `an edit of a text keeps the alert, and changed labels hold from the next episode`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nlabels: {team: a}\nannotations: {summary: old}")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: 't   >  30'\nlabels: {team: b}\nannotations: {summary: new}"), at: 1)
        driver.send("t/a", Self.cold, at: 2)
        driver.send("t/a", Self.warm, at: 3)
        let seen = driver.take()
        #expect(seen.map(\.short) == ["0s A(a) firing", "2s A(a) resolved", "3s A(a) firing"])
        #expect(seen.map { $0.alert.labels["team"] } == ["a", "a", "b"])
        #expect(seen.map { $0.alert.annotations["summary"] } == ["old", "new", "new"])
        #expect(seen[0].alert.episode == seen[1].alert.episode && seen[2].alert.episode != seen[0].alert.episode)
    }

    @Test func `a changed 'for' keeps pending-since`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 10m")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: t > 30\nfor: 2m"), at: 60)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) pending", "120s A(a) firing"])
    }

    @Test func `a pending alert goes on through an edit of another rule`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nfor: 10m")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: t > 30\nfor: 10m") + "      - {alert: B, expr: t > 10}\n", at: 60)
        driver.advance(to: 1000)
        #expect(driver.log() == ["0s A(a) pending", "60s B(a) firing", "600s A(a) firing"])
    }

    @Test func `a changed 'expr' is evaluated over the remembered values: still true goes on, false resolves`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/b", "{\"t\": 50}", at: 0)
        try driver.reload(EngineDriver.yaml("expr: t > 40"), at: 1)
        #expect(driver.log() == ["0s A(a) firing", "0s A(b) firing", "1s A(a) resolved"])
        driver.send("t/b", "{\"t\": 39}", at: 2)
        #expect(driver.log() == ["2s A(b) resolved"])
    }

    @Test func `an 'on' that leaves the values of 'by' as they were keeps the alert`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: t > 30", on: "['t/{device}', 'u/{device}']"), at: 1)
        driver.send("u/a", Self.cold, at: 2)
        #expect(driver.log() == ["0s A(a) firing", "2s A(a) resolved"])
    }

    @Test func `values are taken over by field, whatever else the new rules read`() throws {
        let driver = try EngineDriver.rule("expr: x > 1 && y > 1 && name == 'abc'")
        driver.send("t/a", "{\"y\": 2, \"x\": 2, \"name\": \"other\", \"z\": 5}", at: 0)
        try driver.reload(EngineDriver.yaml("expr: w > 3 && name == 'other' && y > 1"), at: 1)
        driver.send("t/a", "{\"w\": 4}", at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `when 'by' changes, old instances resolve with 'rule changed' and new ones begin at their next reading`() throws {
        let driver = try EngineDriver.rule("expr: t > 30", on: "s/{site}/{device}")
        driver.send("s/oslo/a", Self.warm, at: 0)
        let sites = EngineDriver.yaml("by: [site]\nexpr: t > 30", on: "s/{site}/{device}")
        try driver.reload(sites + "      - {alert: B, by: [site], expr: t > 25}\n", at: 1)
        #expect(driver.log() == ["0s A(oslo,a) firing", "1s A(oslo,a) resolved [rule changed]"])
        driver.send("s/oslo/a", Self.warm, at: 2)
        #expect(driver.log() == ["2s A(oslo) firing", "2s B(oslo) firing"])
    }

    @Test func `a new instance begins at its next reading also where its values are known`() throws {
        let on = "s/{site}/{device}"
        let more = "      - {alert: B, by: [site], expr: t > 90}\n"
        let driver = try EngineDriver(EngineDriver.yaml("expr: t > 30", on: on) + more)
        driver.send("s/oslo/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("by: [site]\nexpr: t > 30", on: on) + more, at: 1)
        #expect(driver.log() == ["0s A(oslo,a) firing", "1s A(oslo,a) resolved [rule changed]"])
        driver.send("s/oslo/a", Self.warm, at: 2)
        #expect(driver.log() == ["2s A(oslo) firing"])
    }

    @Test(arguments: ["expr: t > 30\nenabled: false", "expr: t > 30\nmode: shadow", ""])
    func `a removed, disabled or shadowed rule resolves its alerts with the reason 'rule removed'`(_ body: String) throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        driver.send("t/a", Self.warm, at: 0)
        driver.send("t/b", Self.warm, at: 0)
        _ = driver.take()
        let other = "groups:\n  - name: h\n    on: t/{device}\n    rules:\n      - {alert: X, expr: t > 99}\n"
        try driver.reload(body.isEmpty ? other : EngineDriver.yaml(body), at: 1)
        let live = driver.take().filter { !$0.alert.isShadow }
        #expect(live.map(\.short) == ["1s A(a) resolved [rule removed]", "1s A(b) resolved [rule removed]"])
    }

    @Test func `a shadow rule that goes live begins its alerts anew, so that they are told`() throws {
        let driver = try EngineDriver.rule("expr: t > 30\nmode: shadow\nactions: {firing: [{publish: {topic: x, payload: y}}]}")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: t > 30"), at: 1)
        let seen = driver.take()
        #expect(seen.map(\.alert.isShadow) == [true, true, false])
        #expect(seen.map(\.alert.state) == [.firing, .resolved, .firing])
        // Shadow rules run no actions.
        #expect(seen.allSatisfy { $0.alert.pendingActions.isEmpty })
    }

    @Test func `an age goes on to turn after a reload`() throws {
        let driver = try EngineDriver.rule("expr: age(t) >= duration('5m')")
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml("expr: age(t) >= duration('5m')\nannotations: {x: y}"), at: 100)
        driver.advance(to: 1000)
        #expect(driver.log() == ["300s A(a) firing"])
    }

    @Test func `silence goes on to count through a reload`() throws {
        let body = "expr: t > 90\nmissing: {after: 5m, policy: alert}"
        let driver = try EngineDriver.rule(body)
        driver.send("t/a", Self.warm, at: 0)
        try driver.reload(EngineDriver.yaml(body + "\nannotations: {x: y}"), at: 100)
        driver.advance(to: 1000)
        #expect(driver.log() == ["300s A(a) firing [missing]"])
        try driver.reload(EngineDriver.yaml(body), at: 1001)
        driver.send("t/a", Self.warm, at: 1002)
        #expect(driver.log() == ["1002s A(a) resolved"])
    }

    @Test func `a level that goes away is replaced by what the condition says now`() throws {
        let driver = try EngineDriver.rule("levels:\n  warning: {expr: t > 30}\n  critical: {expr: t > 50}")
        driver.send("t/a", "{\"t\": 60}", at: 0)
        try driver.reload(EngineDriver.yaml("levels:\n  warning: {expr: t > 30}"), at: 1)
        driver.send("t/a", Self.cold, at: 2)
        #expect(driver.take().last?.short == "2s A(a) resolved warning")
    }

    @Test func `deleting a device resolves and forgets its instances`() throws {
        for on in ["t/{device}", "{topic: 's/{site}/{name}', device: '{site}-{name}'}"] {
            let driver = try EngineDriver.rule("expr: t > 30", on: on)
            let topic = on == "t/{device}" ? "t/d" : "s/d/x"
            let device = on == "t/{device}" ? "d" : "d-x"
            try driver.setDevice(device, "{}", at: 0)
            driver.send(topic, Self.warm, at: 1)
            _ = driver.take()
            try driver.setDevice(device, nil, at: 2)
            let ended = driver.take()
            #expect(ended.map(\.alert.reason) == [.deviceRemoved])
            #expect(ended.map(\.alert.state) == [.resolved])
            #expect(driver.engine.counters.subjects == 0)
            driver.send(topic, Self.warm, at: 3)
            #expect(driver.take().map(\.alert.state) == [.firing])
        }
    }

    @Test func `evaluations count on through a reload`() throws {
        let driver = try EngineDriver.rule("expr: t > 30")
        for at in 0..<5 { driver.send("t/a", Self.cold, at: Double(at)) }
        driver.send("t/a", "{\"u\": 1}", at: 6)
        try driver.reload(EngineDriver.yaml("expr: t > 31"), at: 7)
        driver.send("t/a", Self.cold, at: 8)
        #expect(driver.status()?.evaluations == 6)
        #expect(driver.status()?.lastEvaluationAt == EngineDriver.instant(8))
    }
}
