import BenchmarkHarness
import CBareLua
import LuaScripting
import RuleEngine

/// 10,000 handlers that wait in `sleep`: what they hold, and how long a reading waits when all of them wake at once.
struct WaitingHandlers {
    let rounds: Int

    private static let count = 10_000
    private static let text = """
        local a = automation {}
        a:on_reading("begin/{n}", function(r) sleep "1h" woken = (woken or 0) + 1 end, { mode = "parallel", max = 10000, key = "n" })
        a:on_reading("ping", function(r) pinged = (pinged or 0) + 1 end)
        """

    func run(_ report: Report) throws {
        var megabytes: [Double] = [], waits: [Double] = []
        for _ in 0..<rounds {
            let runtime = AutomationRuntime()
            runtime.load(file: "bench.lua", text: Self.text, at: Instant(nanoseconds: 0))
            let before = Self.allocated()
            for number in 0..<Self.count {
                Self.send("begin/\(number)", to: runtime, at: Instant(nanoseconds: Int64(number)))
            }
            guard runtime.statuses[0].waiting == Self.count else {
                throw BenchmarkFailure("\(runtime.statuses[0].waiting) wait, not \(Self.count)")
            }
            megabytes.append((Self.allocated() - before) / 1e6)
            waits.append(try wake(runtime) * 1e3)
        }
        // There is at least one round.
        report.write("waiting/10000", "megabytes", Samples(megabytes)!)
        report.write("waiting/10000 wake", "longest_wait_of_a_reading_ms", Samples(waits)!)
    }

    /// As the scripts' thread does it: at most so many timers between two readings, of which one always waits.
    private func wake(_ runtime: AutomationRuntime) throws -> Double {
        let due = Instant(nanoseconds: 3_700_000_000_000)
        var longest = 0.0
        var isMore = true
        while isMore {
            let start = monotonicSeconds()
            isMore = runtime.advance(to: due, most: AutomationRuntime.timersAtOnce)
            _ = runtime.takeEffects()
            Self.send("ping", to: runtime, at: due)
            longest = max(longest, monotonicSeconds() - start)
        }
        guard runtime.statuses[0].waiting == 0 else { throw BenchmarkFailure("some did not wake") }
        return longest
    }

    private static func send(_ topic: String, to runtime: AutomationRuntime, at instant: Instant) {
        Array(topic.utf8).withUnsafeBytes { topic in
            Array("1".utf8).withUnsafeBytes { payload in
                runtime.read(topic: topic, payload: payload, isRetained: false, at: instant)
            }
        }
    }

    /// Bytes that are handed out by malloc.
    private static func allocated() -> Double { Double(heap_in_use()) }
}
