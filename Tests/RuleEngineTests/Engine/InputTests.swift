import RuleLanguage
import Testing

@testable import RuleEngine

/// Inputs as values: what a journal holds leads another engine to the same state.
@Suite struct InputTests {
    private static func batch(_ count: Int) -> MessageBatch {
        var batch = MessageBatch()
        for number in 0..<count {
            batch.append(
                topic: "t/ø\(number)", payload: Array(repeating: UInt8(number), count: number), packetID: UInt16(number),
                qos: UInt8(number % 3),
                flags: number % 2 == 0 ? [.retained, .duplicate] : [])
        }
        return batch
    }

    private static var bounds: EngineBounds {
        var bounds = EngineBounds()
        (bounds.maximumInstances, bounds.forgetAfter, bounds.allowedLateness) = (7, .seconds(1), .milliseconds(20))
        return bounds
    }

    private static var all: [EngineInput] {
        let config: Document = ["a": 1, "b": ["c", .null, .double(.nan)], "at": .instant(Instant(nanoseconds: 7))]
        return [
            .start, .connected, .backlogEnded, .disconnected, .time, .readings(batch(0)), .readings(batch(40)),
            .device(id: "d", config: config, labels: ["x": "y"], location: GeoPoint(latitude: 59.9, longitude: 10.75)),
            .device(id: "", config: nil, labels: [:], location: nil), .variable(name: "mode", "night"), .variable(name: "mode", nil),
            .clockJump(nanoseconds: 5_000_000_000),
            .raise(
                ScriptAlert(
                    automation: "a", alertname: "A", labels: ["x": "y"], annotations: ["summary": "ü"], severity: "high", value: 1.5)),
            .raise(ScriptAlert(automation: "", alertname: "")),
            .resolve(ScriptAlertSelection(automation: "a", alertname: "A", labels: ["x": "y"])),
            .resolve(ScriptAlertSelection(automation: "a")), .automations(["a", "ü"]), .automations([]),
            .bounds(bounds),
        ]
    }

    private static func encoded(_ input: EngineInput) -> [UInt8] {
        var bytes: [UInt8] = []
        input.encode(into: &bytes)
        return bytes
    }

    @Test func `every kind comes back as it was`() throws {
        for input in Self.all {
            let bytes = Self.encoded(input)
            guard case .input(let again)? = bytes.withUnsafeBytes({ EngineInput.decode($0) }) else {
                Issue.record("\(input) does not come back")
                continue
            }
            #expect(Self.encoded(again) == bytes)
        }
        let rules = Self.encoded(.rules(.empty, catalogue: "abc"))
        guard case .rules("abc")? = rules.withUnsafeBytes({ EngineInput.decode($0) }) else {
            Issue.record("rules do not come back by name")
            return
        }
    }

    @Test(arguments: 0..<200) func `damaged bytes give nothing or an input, and never a trap`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(seed))
        for input in Self.all {
            var bytes = Self.encoded(input)
            let place = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) {
                bytes[place] ^= UInt8.random(in: 1...255, using: &random)
            } else {
                bytes.removeSubrange(place...)
            }
            _ = bytes.withUnsafeBytes { EngineInput.decode($0) }
        }
    }

    @Test func `a start makes overdue timers wait, and silence count anew`() throws {
        let driver = try EngineDriver.rule("expr: v > 1\nfor: 10s\nmissing: {after: 30s, policy: nodata}")
        driver.send("t/a", #"{"v": 2}"#, at: 1)
        driver.engine.apply(.start, at: EngineDriver.instant(25))
        driver.advance(to: 26)
        #expect(driver.log() == ["1s A(a) pending"])
        driver.connected(at: 27)
        driver.backlogEnded(at: 28)
        #expect(driver.log() == ["11s A(a) firing"])
        driver.advance(to: 56)
        #expect(driver.log().isEmpty)
        driver.advance(to: 57)
        #expect(driver.log() == ["57s A(a) nodata [missing]"])
    }

    @Test func `bounds hold from where they stand among the inputs, and a restored engine has those of the checkpoint`() throws {
        let driver = try EngineDriver.rule("expr: v > 1")
        driver.send("t/a", #"{"v": 2}"#, at: 1)
        driver.engine.apply(.bounds(Self.bounds), at: EngineDriver.instant(2))
        for device in 1...8 { driver.send("t/\(device)", #"{"v": 0}"#, at: 3) }
        #expect(driver.log() == ["1s A(a) firing", "3s TooManyInstances() firing [limit]"])
        #expect(driver.engine.counters.subjects == 7)
        let restored = try #require(Engine(plan: driver.engine.plan, restoring: driver.engine.snapshot()))
        #expect(restored.bounds == Self.bounds)
    }

    @Test func `a jump of the wall clock runs timers, and is no silence`() throws {
        let driver = try EngineDriver.rule("expr: v > 1\nfor: 10m\nmissing: {after: 30s, policy: nodata}")
        driver.send("t/a", #"{"v": 2}"#, at: 1)
        driver.engine.apply(.clockJump(nanoseconds: 3_600_000_000_000), at: EngineDriver.instant(3605))
        driver.advance(to: 3606)
        #expect(driver.log() == ["1s A(a) pending", "601s A(a) firing"])
        driver.advance(to: 3631)
        #expect(driver.log() == ["3631s A(a) nodata [missing]"])
    }
}

@Suite struct ClockAnchorTests {
    private static func wall(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test func `time goes on by the monotonic clock, from the later of wall time and floor`() {
        var raised = ClockAnchor(wall: Self.wall(100), floor: .distantPast)
        raised.raise(to: Self.wall(50), elapsed: 10)
        #expect(raised.now(elapsed: 10) == Self.wall(100) + 10)
        raised.raise(to: Self.wall(200), elapsed: 20)
        #expect(raised.now(elapsed: 25) == Self.wall(200) + 5)
        var clock = ClockAnchor(wall: Self.wall(100), floor: .distantPast)
        #expect(clock.now(elapsed: 5_000_000_000) == Self.wall(105))
        #expect(clock.now(elapsed: 4_000_000_000) == Self.wall(105))
        var behind = ClockAnchor(wall: Self.wall(100), floor: Self.wall(200))
        #expect(behind.now(elapsed: 0) == Self.wall(200))
    }

    @Test func `a step forward is followed, and more than a second is a jump`() {
        var clock = ClockAnchor(wall: Self.wall(100), floor: .distantPast)
        #expect(clock.compare(wall: Self.wall(100) + 900_000_000, elapsed: 0) == 0)
        #expect(clock.now(elapsed: 0) == Self.wall(100) + 900_000_000)
        #expect(clock.compare(wall: Self.wall(3700), elapsed: 0) == 3_599_100_000_000)
        #expect(clock.now(elapsed: 1_000_000_000) == Self.wall(3701))
    }

    @Test func `a step back changes nothing until wall time has caught up`() {
        var clock = ClockAnchor(wall: Self.wall(100), floor: .distantPast)
        #expect(clock.compare(wall: Self.wall(40), elapsed: 0) == 0)
        #expect(clock.now(elapsed: 10_000_000_000) == Self.wall(110))
        #expect(clock.compare(wall: Self.wall(50), elapsed: 10_000_000_000) == 0)
        #expect(clock.compare(wall: Self.wall(110) + 500_000_000, elapsed: 10_000_000_000) == 0)
        #expect(clock.now(elapsed: 10_000_000_000) == Self.wall(110) + 500_000_000)
    }
}
