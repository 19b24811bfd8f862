import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage
import Synchronization
import TestSupport
import Testing

/// A script that never ends costs other scripts its limit, and rules nothing. The bounds are wide, and hold on a busy machine. `scripts/bench lua` has the
/// figures.
@Suite(.serialized) struct LoopingScriptTests {
    private static let limit = Duration.milliseconds(100)

    private static func looping(_ body: String) -> AutomationRuntime {
        var settings = AutomationSettings()
        // The clock ends it, not the instructions.
        settings.limits.instructions = .max / 2
        settings.limits.wallTime = limit
        settings.faultsToDisable = .max
        let runtime = AutomationRuntime(settings: settings)
        runtime.load(file: "loop.lua", text: "automation {}:on_reading('x', function() \(body) end)", at: Instant(nanoseconds: 0))
        return runtime
    }

    private static func run(_ runtime: AutomationRuntime) -> Duration {
        ContinuousClock().measure {
            runtime.apply(.reading(topic: "x", payload: [49], isRetained: false), at: Instant(nanoseconds: 1))
        }
    }

    @Test(arguments: [
        "while true do end", "while true do pcall(error, 1) end", "local s = string.rep('a', 30000) while true do s:find('.-.-.-b') end",
        "local function f() return f() end f()", "while true do coroutine.wrap(function() end)() end",
        "local t = {} for i = 1, 20000 do t[i] = -i end while true do table.sort(t, function(a, b) return a < b end) end",
        "local t = {} for i = 1, 500000 do t[i] = i end for i = 1, 500000 do t[i] = nil end while true do next(t) end",
        "local t = {} for i = 1, 500000 do t[i] = i end for i = 1, 500000 do t[i] = nil end while true do pcall(json.encode, t) end",
        "local l = {} for i = 1, 300 do l[i] = i end while true do cel.eval('l.map(x, l.map(y, l.map(z, x)))', {l = l}) end",
        "local s = ('a'):rep(700000) while true do base64.decode(s) end",
    ])
    func `a script that loops is stopped soon after its limit`(_ body: String) throws {
        let runtime = Self.looping(body)
        var took = Duration.zero
        let worked = processorTime { took = Self.run(runtime) }
        #expect(runtime.statuses[0].lastFault?.limit == "wall time", "\(runtime.statuses[0].lastFault?.message ?? "it ended")")
        #expect(took >= Self.limit && worked < Self.limit + .seconds(2), "stopped after \(took), \(worked) of work")
    }

    @Test func `rules are evaluated at their pace while a script loops`() throws {
        let yaml = "groups: [{name: g, on: \"t/{device}\", rules: [{alert: A, expr: temperature > 50.0}]}]\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard)
            .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        let catalog = try #require(loaded.catalog)
        let engine = Engine(plan: try #require(EvaluationPlan.compile(catalog).plan))
        let quiet = Self.usual(of: engine)
        let isOver = Mutex(false), loops = Mutex(0), hasEnded = DispatchSemaphore(value: 0)
        let thread = Thread {
            let runtime = Self.looping("while true do end")
            while !isOver.withLock({ $0 }) {
                _ = Self.run(runtime)
                loops.withLock { $0 += 1 }
            }
            hasEnded.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
        let beside = Self.usual(of: engine)
        isOver.withLock { $0 = true }
        hasEnded.wait()
        #expect(loops.withLock { $0 } >= 1)
        #expect(beside < quiet * 10 + .milliseconds(5), "\(beside) beside \(quiet)")
    }

    /// What nine of ten evaluations do not exceed: a lock that the script holds would stop nearly all, other processes on the same processors one in a
    /// hundred.
    private static func usual(of engine: Engine) -> Duration {
        let topic = Array("t/a".utf8), payload = Array(#"{"temperature": 20}"#.utf8)
        let clock = ContinuousClock()
        let took = (0..<5_000).map { number in
            clock.measure {
                topic.withUnsafeBytes { topic in
                    payload.withUnsafeBytes { payload in
                        engine.ingest(topic: topic, payload: payload, at: Instant(nanoseconds: Int64(number) * 1_000_000))
                    }
                }
            }
        }
        return took.sorted()[took.count * 9 / 10]
    }
}
