import RuleEngine
import Testing

@Suite struct RestoreTests {
    /// What a store has after these transitions, through its form.
    private func stored(_ transitions: [AlertTransition]) throws -> [AlertRecord] {
        var latest: [String: AlertRecord] = [:]
        for transition in transitions { latest[transition.alert.storageID] = transition.alert }
        return try latest.values.sorted { $0.id < $1.id }.map { record in
            try #require(AlertRecord(document: Document(json: record.document.json)))
        }
    }

    private func restarted(_ yaml: String, at seconds: Double, before: (EngineDriver) throws -> Void) throws -> EngineDriver {
        let first = try EngineDriver(yaml)
        try before(first)
        let second = try EngineDriver(yaml, start: nil)
        second.restore(try stored(first.take()), at: seconds)
        second.connected(at: seconds)
        return second
    }

    @Test func `firing does not fire again, and resolves by the first cold reading`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: t > 30"), at: 100) { $0.send("t/a", "{\"t\": 31}", at: 0) }
        driver.backlogEnded(at: 101)
        driver.send("t/a", "{\"t\": 31}", at: 102)
        driver.send("t/a", "{\"t\": 35}", at: 103)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 3}", at: 104)
        let last = driver.take()
        #expect(last.map(\.short) == ["104s A(a) resolved"])
        #expect(last.map(\.alert.transition) == [2])
        #expect(last.map(\.alert.activeAt) == [EngineDriver.instant(0)])
    }

    @Test func `pending fires at its own instant, also when that passed while the server was away`() throws {
        let yaml = EngineDriver.yaml("expr: t > 30\nfor: 5m")
        let soon = try restarted(yaml, at: 100) { $0.send("t/a", "{\"t\": 31}", at: 0) }
        soon.backlogEnded(at: 101)
        soon.advance(to: 1000)
        #expect(soon.log() == ["300s A(a) firing"])
        let late = try restarted(yaml, at: 900) { $0.send("t/a", "{\"t\": 31}", at: 0) }
        late.advance(to: 901)
        #expect(late.log() == [])
        late.backlogEnded(at: 902)
        let fired = late.take()
        #expect(fired.map(\.short) == ["300s A(a) firing"])
        #expect(fired.map(\.alert.firedAt) == [EngineDriver.instant(300)])
    }

    @Test func `what the backlog says counts before an overdue timer`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: t > 30\nfor: 5m"), at: 900) { $0.send("t/a", "{\"t\": 31}", at: 0) }
        driver.send("t/a", "{\"t\": 3}", at: 901)
        driver.backlogEnded(at: 902)
        #expect(driver.log() == ["901s A(a) inactive"])
    }

    @Test func `recovering goes on to its end, and levels keep theirs`() throws {
        let yaml = EngineDriver.yaml("levels:\n  warning: {expr: t > 30}\n  critical: {expr: t > 50, for: 10m}\nkeep_firing_for: 5m")
        let driver = try restarted(yaml, at: 200) {
            $0.send("t/a", "{\"t\": 60}", at: 0)
            $0.send("t/b", "{\"t\": 40}", at: 0)
            $0.send("t/b", "{\"t\": 4}", at: 100)
        }
        driver.backlogEnded(at: 201)
        driver.advance(to: 2000)
        #expect(driver.log() == ["400s A(b) resolved warning [keep_firing_for]", "600s A(a) firing critical"])
    }

    @Test func `remembered values come back, so that a condition over two fields goes on`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: x > 1 && s == 'on'"), at: 100) {
            $0.send("t/a", "{\"x\": 2, \"s\": \"on\"}", at: 0)
        }
        driver.backlogEnded(at: 101)
        driver.send("t/a", "{\"s\": \"off\"}", at: 102)
        #expect(driver.log() == ["102s A(a) resolved"])
    }

    @Test func `no data stays, and the first reading decides whatever its value`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: t > 30\nmissing: {after: 1m, policy: nodata}"), at: 500) {
            $0.send("t/a", "{\"t\": 3}", at: 0)
            $0.advance(to: 100)
        }
        driver.backlogEnded(at: 501)
        driver.advance(to: 600)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 3}", at: 601)
        #expect(driver.log() == ["601s A(a) resolved"])
    }

    @Test func `alerts whose rule is gone are resolved with the reason 'rule removed'`() throws {
        let first = try EngineDriver.rule("expr: t > 30")
        first.send("t/a", "{\"t\": 31}", at: 0)
        let second = try EngineDriver(EngineDriver.yaml("expr: t > 30", on: "u/{site}/{device}"), start: nil)
        second.restore(try stored(first.take()), at: 100)
        #expect(second.log() == ["100s A(a) resolved [rule removed]"])
    }

    @Test func `labels of a restored alert are those it began with`() throws {
        let first = try EngineDriver.rule("expr: t > 30\nlabels: {team: old}")
        first.send("t/a", "{\"t\": 31}", at: 0)
        let second = try EngineDriver(EngineDriver.yaml("expr: t > 30\nlabels: {team: new}"), start: nil)
        second.restore(try stored(first.take()), at: 100)
        second.connected(at: 100)
        second.backlogEnded(at: 101)
        second.send("t/a", "{\"t\": 1}", at: 102)
        #expect(second.take().map { $0.alert.labels["team"] } == ["old"])
    }

    @Test func `an identity is not used again when the clock stands where it stood`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: t > 30"), at: 0) {
            $0.send("t/a", "{\"t\": 31}", at: 5)
            $0.send("t/a", "{\"t\": 1}", at: 5)
            $0.send("t/b", "{\"t\": 31}", at: 5)
        }
        driver.backlogEnded(at: 5)
        driver.send("t/b", "{\"t\": 1}", at: 5)
        driver.send("t/b", "{\"t\": 31}", at: 5)
        let seen = driver.take()
        #expect(seen.count == 2)
        #expect(seen[0].alert.episode != seen[1].alert.episode)
    }

    @Test func `the engine's own alerts end after a restart too`() throws {
        let driver = try restarted(EngineDriver.yaml("expr: t > 30\nlimit: 1"), at: 100) {
            $0.send("t/a", "{\"t\": 31}", at: 0)
            $0.send("t/b", "{\"t\": 31}", at: 0)
        }
        driver.backlogEnded(at: 101)
        driver.advance(to: 1000)
        #expect(driver.take().map { "\($0.alert.rule.alert) \($0.alert.state)" } == ["RuleOverLimit resolved"])
    }
}
