import Testing

@testable import RuleEngine

/// Alerts of automations: fired, changed, ended, kept.
@Suite struct ScriptAlertTests {
    private static func alert(_ device: String, of automation: String = "a", severity: String? = nil, summary: String = "") -> EngineInput {
        .raise(
            ScriptAlert(
                automation: automation, alertname: "Open", labels: ["device": device], annotations: ["summary": summary],
                severity: severity,
                value: 1))
    }

    private static func resolve(_ automation: String = "a", name: String? = nil, device: String? = nil) -> EngineInput {
        .resolve(ScriptAlertSelection(automation: automation, alertname: name, labels: device.map { ["device": $0] } ?? [:]))
    }

    private static func lines(_ engine: Engine) -> [String] {
        engine.takeEffects().transitions.map { transition in
            let alert = transition.alert
            return
                "\(alert.rule) \(alert.labels["device"] ?? "") \(transition.from.rawValue)→\(alert.state.rawValue) \(alert.transition) \(alert.level ?? "-") \(alert.reason.rawValue)"
        }
    }

    private static func at(_ second: Int64) -> Instant { Instant(milliseconds: second * 1000) }

    private static func engine(shards: Int = 1) throws -> Engine {
        try EngineDriver(EngineDriver.yaml("expr: v > 1"), shards: shards).engine
    }

    @Test func `it fires, changes in place, and is resolved by name and labels`() throws {
        let engine = try Self.engine()
        engine.apply(Self.alert("f1"), at: Self.at(1))
        engine.apply(Self.alert("f1"), at: Self.at(2))
        engine.apply(Self.alert("f1", severity: "high"), at: Self.at(3))
        engine.apply(Self.alert("f2"), at: Self.at(3))
        engine.apply(Self.alert("f1", of: "b"), at: Self.at(3))
        #expect(engine.scriptAlerts.count == 3)
        engine.apply(Self.resolve(name: "Other"), at: Self.at(4))
        engine.apply(Self.resolve(device: "f1"), at: Self.at(5))
        engine.apply(.automations(["a"]), at: Self.at(6))
        engine.apply(Self.alert("f1"), at: Self.at(7))
        #expect(
            Self.lines(engine) == [
                "automation/a/Open f1 inactive→firing 1 - script", "automation/a/Open f1 firing→firing 2 high script",
                "automation/a/Open f2 inactive→firing 1 - script", "automation/b/Open f1 inactive→firing 1 - script",
                "automation/a/Open f1 firing→resolved 3 high script", "automation/b/Open f1 firing→resolved 2 - script removed",
                "automation/a/Open f1 inactive→firing 1 - script",
            ])
    }

    @Test func `an automation has a thousand at most`() throws {
        let engine = try Self.engine()
        for number in 0..<1001 { engine.apply(Self.alert("d\(number)"), at: Self.at(1)) }
        engine.apply(Self.alert("d0", of: "b"), at: Self.at(1))
        #expect(engine.scriptAlerts.count == 1001)
        #expect(Set(engine.takeEffects().transitions.map(\.id)).count == 1001)
    }

    @Test(arguments: [1, 2, 7]) func `it is in the checkpoint, byte for byte for any number of shards`(_ shards: Int) throws {
        let one = try Self.engine(), engine = try Self.engine(shards: shards)
        for input in [Self.alert("f1", severity: "low"), Self.alert("f2"), Self.resolve(device: "f2"), Self.alert("f3", of: "b")] {
            one.apply(input, at: Self.at(5))
            engine.apply(input, at: Self.at(5))
        }
        #expect(one.snapshot() == engine.snapshot())
        #expect(one.snapshot() != (try Self.engine()).snapshot())
        let again = try #require(Engine(plan: engine.plan, restoring: engine.snapshot()))
        #expect(again.snapshot() == engine.snapshot())
        again.apply(Self.resolve(), at: Self.at(6))
        #expect(Self.lines(again) == ["automation/a/Open f1 firing→resolved 2 low script"])
    }

    @Test func `after a restart it goes on, from the store and beside it`() throws {
        let engine = try Self.engine()
        engine.apply(Self.alert("f1", severity: "low"), at: Self.at(1))
        engine.apply(Self.alert("f2"), at: Self.at(1))
        let stored = engine.takeEffects().transitions.map(\.alert)
        // From the store alone.
        let other = try Self.engine()
        other.restore(stored, at: Self.at(2))
        #expect(Self.lines(other).isEmpty)
        #expect(other.scriptAlerts == engine.scriptAlerts)
        // The store lacks one, has one in an earlier state, and one that is over.
        engine.apply(Self.alert("f1", severity: "high"), at: Self.at(3))
        engine.apply(Self.alert("f3"), at: Self.at(3))
        engine.apply(Self.resolve(device: "f2"), at: Self.at(3))
        _ = engine.takeEffects()
        engine.reconcile(with: stored, at: Self.at(4))
        #expect(
            Self.lines(engine).sorted() == [
                "automation/a/Open f1 firing→firing 2 high script", "automation/a/Open f2 firing→resolved 2 - condition",
                "automation/a/Open f3 inactive→firing 1 - script",
            ])
        engine.forgetAlerts()
        #expect(engine.scriptAlerts.isEmpty)
    }
}
