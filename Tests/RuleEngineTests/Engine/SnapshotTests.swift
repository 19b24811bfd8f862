import Testing

@testable import RuleEngine

/// A restored engine stands where the one stood of which the picture was taken.
@Suite struct SnapshotTests {
    /// What restoring needs: the rules that the engine has at the time.
    private static func restored(_ driver: EngineDriver, shards: Int) throws -> EngineDriver {
        try restored(driver.engine.snapshot(), driver.engine.plan, shards: shards)
    }

    private static func restored(_ bytes: [UInt8], _ plan: EvaluationPlan, shards: Int) throws -> EngineDriver {
        var settings = EngineSettings()
        settings.shards = shards
        let engine = try #require(Engine(plan: plan, settings: settings, restoring: bytes))
        return EngineDriver(engine: engine)
    }

    @Test(arguments: 0..<20) func `restored at any point, state and effects go on as without a stop`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(5000 + seed))
        let plans = (0..<2).map { PropertyTests.rules(&random, count: 8, windows: true, eventTime: ($0 + seed) % 2 == 1) }
        let driver = try EngineDriver(plans[0], shards: [1, 2, 7][seed % 3])
        var inputs = PropertyTests.Inputs(random: random)
        try inputs.drive([driver], steps: Int.random(in: 20..<200, using: &random), plans: plans, ending: false)
        let before = driver.engine.snapshot()
        let other = try Self.restored(before, driver.engine.plan, shards: [7, 1, 2][seed % 3])
        #expect(other.engine.snapshot() == before)
        _ = driver.take()
        try inputs.drive([driver, other], steps: 200, plans: plans)
        let (expected, seen) = (driver.take(), other.take())
        let place = zip(seen, expected).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(
            Bool(seen == expected),
            "\(place.map { "\($0.offset): \($0.element.0.short) for \($0.element.1.short)" } ?? "\(seen.count) for \(expected.count)")")
        #expect(Bool(driver.engine.snapshot() == other.engine.snapshot()))
    }

    @Test(arguments: 0..<20) func `a picture taken piece by piece between readings is of the instant it was begun`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(6000 + seed))
        let plan = PropertyTests.rules(&random, count: 8, windows: true, eventTime: seed % 2 == 1)
        let driver = try EngineDriver(plan, shards: [1, 2, 7][seed % 3])
        var inputs = PropertyTests.Inputs(random: random)
        try inputs.drive([driver], steps: 150, plans: [], ending: false)
        let expected = driver.engine.snapshot()
        let checkpoint = driver.engine.beginCheckpoint()
        repeat {
            try inputs.drive([driver], steps: 3, plans: [], ending: false)
        } while !driver.engine.continueCheckpoint(subjects: 1)
        #expect(checkpoint.isWhole)
        let other = try Self.restored(checkpoint.common.head + checkpoint.takeBytes(), driver.engine.plan, shards: 1)
        #expect(Bool(other.engine.snapshot() == expected))
    }

    @Test func `a reload abandons a picture that is not whole`() throws {
        let driver = try EngineDriver.rule("expr: v > 1")
        driver.send("t/a", #"{"v": 2}"#, at: 1)
        driver.send("t/b", #"{"v": 2}"#, at: 1)
        let checkpoint = driver.engine.beginCheckpoint()
        #expect(!driver.engine.continueCheckpoint(subjects: 1))
        try driver.reload(EngineDriver.yaml("expr: v > 3"), at: 2)
        #expect(driver.engine.continueCheckpoint(subjects: 1))
        #expect(checkpoint.isAbandoned && !checkpoint.isWhole)
    }

    @Test(arguments: 0..<200) func `damaged bytes are refused or give an engine, and never a trap`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(7000 + seed))
        let plan = PropertyTests.rules(&random, count: 5, windows: true, eventTime: seed % 2 == 1)
        let driver = try EngineDriver(plan)
        var inputs = PropertyTests.Inputs(random: random)
        try inputs.drive([driver], steps: 30, plans: [], ending: false)
        var bytes = driver.engine.snapshot()
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) {
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            } else {
                bytes.removeSubrange(place...)
            }
            if bytes.isEmpty { break }
        }
        guard let engine = Engine(plan: driver.engine.plan, restoring: bytes) else { return }
        // A clock that was damaged into the distant past would be run through every one of its instants.
        guard let due = engine.nextDue, due > EngineDriver.instant(-86_400) else { return }
        engine.advance(to: EngineDriver.instant(1_000))
    }

    @Test func `every kind of value is kept`() throws {
        let driver = try EngineDriver.rule(
            #"expr: has(a) && has(s) && has(l) && has(o) && b && time > timestamp('1970-01-01T00:00:00Z') && n > 0"#)
        driver.send("t/x", #"{"a": 1.5, "s": "Ö", "l": [1, "x", null, [true]], "o": {"k": {"q": -0.0}}, "b": true, "n": 3}"#, at: 5)
        let other = try Self.restored(driver, shards: 2)
        #expect(other.engine.snapshot() == driver.engine.snapshot())
        other.send("t/x", #"{"n": 0}"#, at: 6)
        #expect(other.log() == ["6s A(x) resolved"])
    }
}
