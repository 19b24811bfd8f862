import LuaScripting
import RuleEngine
import RuleLanguage
import Testing

/// `time_field: true`: the time that a plugin's decoder finds is the one that a reading was measured at.
@Suite struct DecoderTimeTests {
    private static let code = """
        plugin { decoders = { sample = function(topic, bytes)
          local value, at = bytes:match("^(%S+) ?(%S*)$")
          return { value = tonumber(value) }, tonumber(at)
        end } }
        """
    private static let start = 1_000_000.0

    /// What happens of readings `value seconds` that come at the instants, in seconds after the start: state and the instance's time.
    private static func log(_ rule: String, _ subscription: String, _ readings: [(String, at: Double)], restoringAfter: Int? = nil)
        async throws -> [String]
    {
        try await PluginLoading.with(code: code) { plugin in
            let (catalog, _) = PluginCatalog.assembling([plugin.manifest], environment: RuleLanguageEnvironment.standard)
            let (set, _) = PluginSet.assembling(catalog, [plugin])
            let yaml = "groups: [{name: g, on: {topic: 's/{device}', decoder: sample\(subscription)}, rules: [{alert: A, \(rule)}]}]\n"
            let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: catalog)
                .load(files: [RuleLoader.Source(name: "r", bytes: Array(yaml.utf8))])
            if !loaded.diagnostics.isEmpty { return loaded.diagnostics.map(\.message) }
            let rules = try #require(loaded.catalog)
            let plan = try #require(EvaluationPlan.compile(rules, decoders: set.decoders).plan)
            var engine = Engine(plan: plan)
            engine.connected(at: instant(0))
            engine.backlogEnded(at: instant(0))
            var log: [String] = []
            for (number, (payload, second)) in readings.enumerated() {
                if number == restoringAfter { engine = try #require(Engine(plan: plan, restoring: engine.snapshot())) }
                Array("s/d".utf8).withUnsafeBytes { topic in
                    Array(payload.utf8).withUnsafeBytes { engine.ingest(topic: topic, payload: $0, at: instant(second)) }
                }
                log += engine.takeEffects().transitions.map { transition in
                    let time = transition.alert.instanceTime ?? transition.alert.changedAt
                    return "\(transition.alert.state.rawValue) \(Double(time.nanoseconds) / 1e9 - start)"
                }
            }
            return log
        }
    }

    private static func instant(_ second: Double) -> Instant { Instant(nanoseconds: Int64((start + second) * 1e9)) }

    /// An hour of readings, a minute apart, which come within a second.
    private static let uploaded = (0..<60).map { minute in
        ("\((10..<20).contains(minute) ? 31 : 20) \(Int(start) + minute * 60)", at: 3600 + Double(minute) / 60)
    }

    @Test(arguments: [nil, 5, 14, 25])
    func `an hour of readings at once fires as it would have in that hour`(_ restored: Int?) async throws {
        let log = try await Self.log("expr: value > 30.0, for: 5m", ", time_field: true", Self.uploaded, restoringAfter: restored)
        #expect(log == ["pending 600.0", "firing 900.0", "resolved 1200.0"])
    }

    @Test func `without it a reading is measured when it is received`() async throws {
        let log = try await Self.log("expr: value > 30.0, for: 5m", "", Self.uploaded)
        #expect(log.map { $0.prefix { $0 != " " } } == ["pending", "inactive"])
    }

    @Test func `a message of which the decoder knows no time is measured when it is received`() async throws {
        let readings = [("31 \(Int(Self.start) + 10)", at: 20.0), ("20", at: 30.0)]
        #expect(try await Self.log("expr: value > 30.0", ", time_field: true", readings) == ["firing 10.0", "resolved 30.0"])
    }

    @Test func `only a plugin's decoder finds a time`() throws {
        let yaml = "groups: [{name: g, on: {topic: 's/{device}', time_field: true}, rules: [{alert: A, expr: value > 1}]}]\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard)
            .load(files: [RuleLoader.Source(name: "r", bytes: Array(yaml.utf8))])
        let message = "'time_field: true' is the time that a plugin's decoder finds: with this one it must name a member"
        #expect(loaded.diagnostics.map(\.message) == [message])
    }
}
