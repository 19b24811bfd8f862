import Glibc
import RuleEngine

/// What windows cost: nanoseconds a reading over windows of 10,000 samples, beside a computation anew at each reading, and the memory and the checkpoint of 100,000
/// instances.
///
/// `WindowsBenchmark [--json] [--quick] [CASE…]`: one line a case; with `--json` one object a line.
@main
struct WindowsBenchmark {
    static func main() {
        let arguments = CommandLine.arguments
        let report = Report(isJSON: arguments.contains("--json"))
        let rounds = arguments.contains("--quick") ? 3 : 9
        // First, so that memory freed by other cases does not hide what it takes.
        let wanted = arguments.dropFirst().filter { !$0.hasPrefix("--") }
        if wanted.isEmpty || wanted.contains("memory") { memory(report) }
        let functions: [(name: String, function: WindowFunction)] = [
            ("avg_over_time", .avg), ("max_over_time", .max), ("quantile_over_time", .quantile(0.95)), ("stddev_over_time", .stddev),
            ("changes", .changes), ("deriv", .deriv), ("share_over_time", .share), ("mad_over_time", .mad),
        ]
        for (name, function) in functions where wanted.isEmpty || wanted.contains(name) { window(name, function, report, rounds) }
    }

    // MARK: time

    static let length = 10_000
    static let step: Int64 = 1_000_000_000

    static func window(_ name: String, _ function: WindowFunction, _ report: Report, _ rounds: Int) {
        let plan = WindowPlan([.init(text: "x", windows: [.init(function, over: .time(Int64(length) * step))])])
        var windows = WindowSet(plan)
        var random = SystemRandomNumberGenerator()
        let values = (0..<65536).map { _ in Double.random(in: 0...100, using: &random) }
        var second: Int64 = 0
        var sink = 0.0
        func read(_ count: Int) {
            for _ in 0..<count {
                second += 1
                let at = Instant(nanoseconds: second * step)
                windows.add(Sample(at: at, value: values[Int(second) & 65535]), to: 0, at: at)
                sink += windows.value(of: 0, at: at)?.asNumber ?? 0
            }
        }
        read(length * 2)
        let readings = 200_000
        let samples = measured(rounds) { read(readings) }.map { $0 / Double(readings) }
        // The same without a window: the reading is made and handed on.
        let empty = measured(rounds) {
            for _ in 0..<readings {
                second += 1
                sink += passOn(Sample(at: Instant(nanoseconds: second * step), value: values[Int(second) & 65535]))
            }
        }.map { $0 / Double(readings) }
        let more = samples.map { $0 - empty[empty.count / 2] }
        report.write("\(name)/\(length)", "ns_per_reading", more, reference: naive(function, values))
        if sink == .infinity { print("") }
    }

    @inline(never) static func passOn(_ sample: Sample) -> Double { sample.value }

    /// Nanoseconds of a computation anew from an array of the window's values; nil for functions that are not compared.
    static func naive(_ function: WindowFunction, _ values: [Double]) -> Double? {
        let compute: (ArraySlice<Double>) -> Double
        switch function {
        case .avg: compute = { $0.reduce(0, +) / Double($0.count) }
        case .max: compute = { $0.max() ?? .nan }
        case .quantile(let q): compute = { $0.sorted()[Int(q * Double($0.count - 1))] }
        case .stddev:
            compute = { values in
                let mean = values.reduce(0, +) / Double(values.count)
                return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
            }
        default: return nil
        }
        var sink = 0.0
        let times = measured(3) { for start in 0..<20 { sink += compute(values[start..<start + length]) } }.map { $0 / 20 }
        return sink == .infinity ? nil : times[times.count / 2]
    }

    // MARK: memory

    /// 100,000 instances with a five-minute average and a reading in ten seconds; bytes are those resident, with all that the
    /// allocator has not given back.
    static func memory(_ report: Report) {
        let instances = 100_000
        let plan = WindowPlan([.init(text: "x", windows: [.init(.avg, over: .seconds(300))])])
        let before = residentBytes()
        var sets: ContiguousArray<WindowSet> = []
        sets.reserveCapacity(instances)
        for _ in 0..<instances { sets.append(WindowSet(plan)) }
        for round in 0..<Int64(40) {
            for index in sets.indices {
                let at = Instant(nanoseconds: round * 10_000_000_000 + Int64(index) * 1000)
                sets[index].add(Sample(at: at, value: Double(index)), to: 0, at: at)
            }
        }
        let bytes = residentBytes() - before
        let held = sets.reduce(0) { $0 + $1.sampleCount(of: 0) }
        report.write("memory of \(instances) instances", "bytes_per_sample", [bytes / Double(held)], reference: 16)
        var snapshots: [[UInt8]] = []
        let taken = measured(1) { snapshots = sets.map { $0.snapshot() } }
        report.write("snapshot of \(instances) instances", "ms", taken.map { $0 / 1e6 }, reference: nil)
        var restored = 0
        let back = measured(1) { restored = snapshots.reduce(0) { $0 + (WindowSet(plan, restoring: $1)?.sampleCount(of: 0) ?? 0) } }
        report.write("restore of \(instances) instances", "ms", back.map { $0 / 1e6 }, reference: nil)
        if restored != held { print("restored \(restored) of \(held) samples") }
    }

    static func residentBytes() -> Double {
        guard let file = fopen("/proc/self/statm", "r") else { return .nan }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 128)
        let length = fread(&line, 1, line.count, file)
        let fields = String(decoding: line[..<length], as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Double(fields[1]) ?? .nan) * Double(sysconf(Int32(_SC_PAGESIZE))) : .nan
    }

    static func measured(_ rounds: Int, _ body: () -> Void) -> [Double] {
        (0..<rounds).map { _ in
            let start = ContinuousClock.now
            body()
            let duration = start.duration(to: .now)
            return Double(duration.components.seconds) * 1e9 + Double(duration.components.attoseconds) / 1e9
        }.sorted()
    }
}

struct Report {
    let isJSON: Bool

    func write(_ name: String, _ metric: String, _ samples: [Double], reference: Double?) {
        guard let least = samples.first, let most = samples.last else { return }
        let median = samples[samples.count / 2]
        let ratio = reference.map { median / $0 }
        if isJSON {
            print(
                #"{"benchmark":"windows","case":"\#(name)","metric":"\#(metric)","median":\#(median),"min":\#(least),"max":\#(most),"#
                    + #""reference":\#(reference.map { "\($0)" } ?? "null"),"ratio":\#(ratio.map { "\($0)" } ?? "null")}"#)
        } else {
            let beside = reference.map { "  beside \(rounded($0))  (\(rounded(median / $0))×)" } ?? ""
            print("\(name.padded(to: 34)) \(rounded(median)) \(metric) (\(rounded(least))–\(rounded(most)))\(beside)")
        }
    }

    private func rounded(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
}
