import Foundation
import RuleEngine
import RuleLanguage
import TestSupport
import Testing

@testable import InfluxWindows

/// Windows over recorded readings, from a real InfluxDB.
@Suite(.serialized, .usesInfluxDB, .enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
struct InfluxRecordedTests {
    private static let start: Int64 = 1_700_000_000
    private static let functions = [
        "avg_over_time(kw", "min_over_time(kw", "max_over_time(kw", "sum_over_time(kw", "count_over_time(kw", "stddev_over_time(kw",
        "first_over_time(kw", "last_over_time(kw", "quantile_over_time(0.9, kw", "mad_over_time(kw", "delta(kw", "rate(kw", "deriv(kw",
    ]

    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: (start + seconds) * 1_000_000_000) }

    /// An engine that starts at an instant; `own` keeps all samples in memory.
    private static func engine(own: Bool, at instant: Instant) throws -> Engine {
        var yaml = "groups:\n  - name: g\n    on: \"s/{site}/{dev}/po'wer\"\n    rules:\n"
        for (number, function) in functions.enumerated() {
            yaml += "      - {alert: R\(number), expr: \"now_kw > 0.0\", value: \"\(function), '40m', '1h')\"}\n"
        }
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: [.init(name: "r.yaml", bytes: Array(yaml.utf8))])
        let measurement = RecordedHistory.Measurement(
            #"me"ter"#, topic: try TopicFilter("s/{plant}/{device}/{metric}"), retention: "autogen")
        let recorded = own ? RecordedHistory.none : RecordedHistory(ownReach: .seconds(1800), measurements: [measurement])
        let compiled = EvaluationPlan.compile(try #require(loaded.catalog), surroundings: Surroundings(recorded: recorded))
        let engine = Engine(plan: try #require(compiled.plan, "\(compiled.diagnostics)"))
        engine.connected(at: instant)
        engine.backlogEnded(at: instant)
        return engine
    }

    private static func send(_ engine: Engine, _ topic: String, _ payload: String, at instant: Instant) {
        var batch = MessageBatch()
        batch.append(topic: topic, payload: Array(payload.utf8))
        engine.ingest(batch, at: instant)
    }

    private static func values(_ engine: Engine) -> [String: Double] {
        let fired = engine.takeEffects().transitions.map { ("\($0.alert.rule.alert) \($0.alert.key)", $0.alert.value.number ?? .nan) }
        return Dictionary(uniqueKeysWithValues: fired)
    }

    @Test func `what InfluxDB has recorded says the same as samples in memory`() async throws {
        try await InfluxBench.with { bench in
            let own = try Self.engine(own: true, at: Self.at(-10_000))
            var lines = "", random = SplitMix(seed: 3)
            let devices = ["a", #"o'ne "x" \y"#]
            for second in stride(from: Int64(-9_000), to: 0, by: 7) {
                for (place, device) in devices.enumerated() where place == 0 || second % 3 != 0 {
                    let kw = Double(random.next() % 100_000) / 997
                    Self.send(own, "s/oslo/\(device)/po'wer", "{\"kw\": \(kw)}", at: Self.at(second))
                    let tag = device.replacingOccurrences(of: " ", with: "\\ ")
                    let stamp = Self.at(second).nanoseconds
                    lines += "me\"ter,plant=oslo,device=\(tag),metric=po'wer kw=\(kw) \(stamp)\n"
                    lines += "me\"ter,plant=oslo,device=\(tag),metric=other kw=1e9 \(stamp)\n"
                }
            }
            try await bench.write(lines)

            let recorded = try Self.engine(own: false, at: Self.at(0))
            let history = InfluxWindowHistory(try bench.configuration)
            var pieces = 0
            while let due = recorded.takeEffects().dueQueries.first {
                let series = try await history.rows(of: due.text, within: patience)
                recorded.applyRows(QueryOutcome(query: due.id, instant: due.instant, .rows(series)), at: Self.at(0))
                pieces += 1
            }
            #expect(pieces == 10)
            for engine in [own, recorded] {
                _ = engine.takeEffects()
                for device in devices { Self.send(engine, "s/oslo/\(device)/po'wer", #"{"now_kw": 1}"#, at: Self.at(1)) }
            }
            let (expected, seen) = (Self.values(own), Self.values(recorded))
            // In which order moments are summed depends on when a window was looked at.
            let differing = expected.keys.filter { key in
                guard let own = expected[key], let found = seen[key] else { return true }
                return !(abs(own - found) <= 1e-12 * abs(own))
            }.sorted()
            #expect(
                expected.count == 2 * Self.functions.count && differing.isEmpty,
                "\(differing.map { "\($0): \(expected[$0] ?? .nan), seen \(seen[$0] ?? .nan)" })")
        }
    }
}
