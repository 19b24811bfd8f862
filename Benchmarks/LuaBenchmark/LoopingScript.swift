import BenchmarkHarness
import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage
import Synchronization

/// Rules while a script loops for ever on its own thread: the time of an evaluation, and when the script is stopped.
struct LoopingScript {
    let rounds: Int

    private static let readings = 200_000
    private static let limit = Duration.milliseconds(200)

    func run(_ report: Report) throws {
        let engine = try Self.engine()
        var quiet: [Double] = [], looping: [Double] = [], late: [Double] = []
        _ = Self.evaluate(engine)
        for _ in 0..<rounds {
            quiet.append(Self.evaluate(engine))
            let loop = Loop(limit: Self.limit)
            loop.start()
            looping.append(Self.evaluate(engine))
            late += loop.stop()
        }
        // There is at least one round, and each has at least one run of the loop.
        let reference = Samples(quiet)!
        report.write("rules while a script loops", "p99_us_per_reading", Samples(looping)!, reference: reference)
        report.write("loop stopped after its limit", "late_ms", Samples(late)!)
    }

    /// A thread with a script whose handler loops; called again as soon as it was stopped.
    private final class Loop: Sendable {
        private let limit: Duration
        private let state = Mutex((isStopped: false, hasEnded: false, late: [Double]()))

        init(limit: Duration) { self.limit = limit }

        func start() {
            let thread = Thread { self.run() }
            thread.stackSize = 8 << 20
            thread.start()
            Thread.sleep(forTimeInterval: 0.02)
        }

        private func run() {
            var settings = AutomationSettings()
            // The clock ends it, not the instructions.
            settings.limits.instructions = .max / 2
            settings.limits.wallTime = limit
            settings.faultsToDisable = .max
            let runtime = AutomationRuntime(settings: settings)
            runtime.load(
                file: "loop.lua", text: "automation {}:on_reading('x', function() local n = 0 while true do n = n + 1 end end)",
                at: Instant(nanoseconds: 0))
            while !state.withLock({ $0.isStopped }) {
                let start = monotonicSeconds()
                runtime.apply(.reading(topic: "x", payload: [49], isRetained: false), at: Instant(nanoseconds: 1))
                let took = monotonicSeconds() - start
                let allowed = Double(limit.components.attoseconds) / 1e18 + Double(limit.components.seconds)
                state.withLock { $0.late.append((took - allowed) * 1e3) }
            }
            state.withLock { $0.hasEnded = true }
        }

        func stop() -> [Double] {
            state.withLock { $0.isStopped = true }
            while !state.withLock({ $0.hasEnded }) { Thread.sleep(forTimeInterval: 0.005) }
            return state.withLock { $0.late }
        }
    }

    // MARK: Rules

    private static func engine() throws -> Engine {
        let rules = (0..<100).map { "{alert: A\($0), expr: temperature > \(20 + $0 % 12).5 && humidity > 90}" }.joined(separator: ", ")
        let yaml = "groups: [{name: g, on: \"t/{device}\", rules: [\(rules)]}]\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard)
            .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        guard let catalog = loaded.catalog, let plan = EvaluationPlan.compile(catalog).plan else {
            throw BenchmarkFailure("the rules are wrong")
        }
        return Engine(plan: plan)
    }

    /// The 99th percentile of the time of one reading, in microseconds.
    private static func evaluate(_ engine: Engine) -> Double {
        let topics = (0..<100).map { Array("t/d\($0)".utf8) }
        let payloads = (0..<13).map { Array(#"{"temperature":\#(20 + $0),"humidity":55.25,"battery":98}"#.utf8) }
        var took: [Double] = []
        took.reserveCapacity(readings)
        for number in 0..<readings {
            let start = monotonicSeconds()
            topics[number % 100].withUnsafeBytes { topic in
                payloads[number % 13].withUnsafeBytes { payload in
                    engine.ingest(topic: topic, payload: payload, at: Instant(nanoseconds: Int64(number) * 1_000_000))
                }
            }
            took.append((monotonicSeconds() - start) * 1e6)
        }
        // There are readings.
        return Samples(took)!.percentile(0.99)
    }
}
