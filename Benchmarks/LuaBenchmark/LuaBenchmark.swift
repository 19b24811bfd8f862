import BenchmarkHarness
import CBareLua
import Glibc

/// What automations cost: calls of handlers and of decoders, handlers that wait, and what a script that loops costs the rules.
///
/// `LuaBenchmark [--json] [--quick] [rate|waiting|loop]`. In process, without a broker. Run it in a checkout: it loads `plugins/`.
@main
struct LuaBenchmark {
    static func main() throws {
        let arguments = CommandLine.arguments
        let isQuick = arguments.contains("--quick")
        let report = Report("lua", isJSON: arguments.contains("--json"))
        let parts = arguments.dropFirst().filter { !$0.hasPrefix("--") }
        func wants(_ part: String) -> Bool { parts.isEmpty || parts.contains(part) }
        if wants("rate") { try CallRate(rounds: isQuick ? 5 : 15).run(report) }
        if wants("waiting") { try WaitingHandlers(rounds: isQuick ? 2 : 5).run(report) }
        if wants("loop") { try LoopingScript(rounds: isQuick ? 2 : 5).run(report) }
    }
}

/// Processor time of this thread.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
