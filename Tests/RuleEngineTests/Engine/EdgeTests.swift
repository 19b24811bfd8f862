import RuleEngine
import Testing

@Suite struct EdgeTests {
    /// eKuiper's change data capture page: [ts, device, current].
    private static let readings = [(1, 1, 300), (2, 2, 400), (3, 1, 200), (4, 2, 200), (5, 1, 500), (6, 2, 200), (7, 1, 400), (8, 2, 600)]

    private func run(_ body: String, on: String) throws -> [Int] {
        let driver = try EngineDriver.rule(body, on: on)
        var fired: [Int] = []
        for (at, device, current) in Self.readings {
            driver.send("s/\(device)", "{\"current\": \(current)}", at: Double(at))
            if driver.take().contains(where: \.isOccurrence) { fired.append(at) }
        }
        return fired
    }

    @Test func `B05: current > 300 and the previous current of any device <= 300`() throws {
        #expect(try run("event: true\nby: []\nexpr: current > 300 && previous(current) <= 300", on: "s/{device}") == [2, 5, 7])
    }

    @Test func `B06: the same, per device, previous < 300`() throws {
        #expect(try run("event: true\nexpr: current > 300 && previous(current) < 300", on: "s/{device}") == [5, 8])
    }

    @Test func `B07: the same, device 1 only`() throws {
        #expect(try run("event: true\nexpr: current > 300 && previous(current) < 300", on: "s/1") == [5])
    }

    @Test func `B02: pass only changed string values, the first being no change`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: changed(v)")
        var seen: [String] = []
        for (at, value) in ["bad", "good", "bad", "bad", "bad", "good"].enumerated() {
            driver.send("t/a", "{\"v\": \"\(value)\"}", at: Double(at))
            if !driver.take().isEmpty { seen.append(value) }
        }
        #expect(seen == ["good", "bad", "good"])
    }

    @Test func `'became' makes an edge of a condition`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: became(t > 30)")
        for (at, value) in [40, 35, 20, 31, 32, 10, 50].enumerated() { driver.send("t/a", "{\"t\": \(value)}", at: Double(at)) }
        #expect(driver.log() == ["3s A(a) occurred", "6s A(a) occurred"])
    }

    @Test func `an edge is only seen in a reading that carries its field`() throws {
        let driver = try EngineDriver.rule("expr: changed(t)")
        driver.send("t/a", "{\"t\": 1}", at: 0)
        driver.send("t/a", "{\"t\": 2}", at: 1)
        driver.send("t/a", "{\"u\": 2}", at: 2)
        #expect(driver.log() == ["1s A(a) firing", "2s A(a) resolved"])
    }

    @Test func `a retained reading is no edge`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: changed(t)")
        driver.send("t/a", "{\"t\": 1}", at: 0)
        driver.send("t/a", "{\"t\": 2}", at: 1, retained: true)
        driver.send("t/a", "{\"t\": 2}", at: 2)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 3}", at: 3)
        #expect(driver.log() == ["3s A(a) occurred"])
    }

    @Test func `an edge never fires on reload`() throws {
        let driver = try EngineDriver.rule("expr: changed(t) && t > 0")
        driver.send("t/a", "{\"t\": 1}", at: 0)
        try driver.reload(EngineDriver.yaml("expr: changed(t) && t > 1"), at: 1)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"t\": 2}", at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `a configuration change is no edge`() throws {
        let driver = try EngineDriver.rule("expr: became(t > config.limit)")
        try driver.setDevice("a", "{\"limit\": 50}", at: 0)
        driver.send("t/a", "{\"t\": 40}", at: 1)
        try driver.setDevice("a", "{\"limit\": 30}", at: 2)
        #expect(driver.log() == [])
    }

    @Test func `the first live reading after a start is compared with the remembered value`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: changed(t)")
        driver.send("t/a", "{\"t\": 1}", at: 0)
        driver.connected(at: 10)
        driver.backlogEnded(at: 11)
        driver.send("t/a", "{\"t\": 2}", at: 12)
        #expect(driver.log() == ["12s A(a) occurred"])
    }

    @Test func `edges of objects and strings compare what is in them`() throws {
        let driver = try EngineDriver.rule("event: true\nexpr: changed(o)")
        driver.send("t/a", "{\"o\": {\"x\": [1, \"ä\"]}}", at: 0)
        driver.send("t/a", "{\"o\": {\"x\": [1, \"\\u00e4\"]}}", at: 1)
        #expect(driver.log() == [])
        driver.send("t/a", "{\"o\": {\"x\": [1, \"b\"]}}", at: 2)
        #expect(driver.log() == ["2s A(a) occurred"])
    }
}
