import CAllocations
import CEL
import Glibc
import RuleEngine
import RuleLanguage

/// What the engine costs: time and allocations a reading, memory a rule and a live instance, time to load rules.
///
/// `engine-benchmark [--json] [--quick] [readings|thresholds|loading|instances] [NUMBER OF RULES]`
@main
struct EngineBenchmark {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let report = Report(isJSON: arguments.contains("--json"))
        let isQuick = arguments.contains("--quick")
        let wanted = arguments.filter { !$0.hasPrefix("--") && Int($0) == nil }
        func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains(name) }
        let chosen = arguments.compactMap { Int($0) }
        let counts = chosen.isEmpty ? [1, 100, 1000, 10_000, 100_000] : chosen
        if isWanted("readings") { for count in counts { Readings(rules: count, isQuick: isQuick).measure(report) } }
        if isWanted("thresholds") { Thresholds(isQuick: isQuick).measure(report) }
        if isWanted("loading") { Loading(isQuick: isQuick).measure(report) }
        if isWanted("instances") { Instances(count: isQuick ? 200_000 : 1_000_000).measure(report) }
    }
}

/// Runs of one measurement: median, least and greatest.
struct Figures {
    var median: Double
    var least: Double
    var greatest: Double

    init(_ runs: [Double]) {
        let sorted = runs.sorted()
        median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
        least = sorted.first ?? 0
        greatest = sorted.last ?? 0
    }
}

struct Report {
    let isJSON: Bool

    func add(_ name: String, _ metric: String, _ figures: Figures) {
        if isJSON {
            print(
                "{\"benchmark\":\"engine\",\"case\":\"\(name)\",\"metric\":\"\(metric)\",\"median\":\(figures.median.shortest),\"min\":\(figures.least.shortest),\"max\":\(figures.greatest.shortest),\"reference\":null,\"ratio\":null}"
            )
        } else {
            let padding = String(repeating: " ", count: max(1, 34 - name.count))
            print("\(name)\(padding)\(rounded(figures.median)) \(metric) (\(rounded(figures.least)) to \(rounded(figures.greatest)))")
        }
        flush_output()
    }

    private func rounded(_ value: Double) -> String { (value < 100 ? (value * 100).rounded() / 100 : value.rounded()).shortest }
}

/// Nanoseconds of processor time that this thread has had: what others do on the machine does not count.
func nanoseconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return Double(now.tv_sec) * 1e9 + Double(now.tv_nsec)
}

/// Bytes that the process has in memory, after what is free has been given back.
func residentBytes() -> Double {
    give_free_memory_back()
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, 128, file) != nil else { return 0 }
    let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
    return (fields.count > 1 ? Double(fields[1]) ?? 0 : 0) * Double(sysconf(Int32(_SC_PAGESIZE)))
}

/// A plan of rules as an operator writes them; ends the program when they are refused.
func plan(_ yaml: String) -> EvaluationPlan {
    let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: [
        RuleLoader.Source(name: "bench.yaml", bytes: Array(yaml.utf8))
    ])
    let compiled = loaded.catalog.map { EvaluationPlan.compile($0) }
    guard let plan = compiled?.plan else {
        for diagnostic in (loaded.diagnostics + (compiled?.diagnostics ?? [])).prefix(5) {
            complain("\(diagnostic.code): \(diagnostic.message)")
        }
        exit(1)
    }
    return plan
}

func started(_ plan: EvaluationPlan) -> Engine {
    let engine = Engine(plan: plan)
    engine.connected(at: Instant(nanoseconds: 0))
    engine.backlogEnded(at: Instant(nanoseconds: 0))
    return engine
}
