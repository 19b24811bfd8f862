import CEL
import Glibc

/// How fast expressions are compiled and evaluated, beside the same condition as a hand-written Swift closure.
///
/// `CELBenchmark [--json] [--quick] [CASE…]`: one line a case; with `--json` one object a line with `median`, `min`, `max`, `reference` and `ratio`.
@main
struct CELBenchmark {
    static func main() {
        let arguments = CommandLine.arguments
        let report = Report(isJSON: arguments.contains("--json"))
        let effort = arguments.contains("--quick") ? 1 : 5
        let cases: [(name: String, run: (Report, Int) -> Void)] = [
            ("thresholds", thresholds), ("interned", interned), ("arithmetic", arithmetic), ("comprehension", comprehension),
            ("compilation", compilation),
        ]
        let wanted = cases.filter { arguments.contains($0.name) }
        for chosen in wanted.isEmpty ? cases : wanted { chosen.run(report, effort) }
    }

    // MARK: cases

    static let rows = 1024

    static func thresholds(_ report: Report, _ effort: Int) {
        let source = "temperature > 30.0 && humidity < 40.0"
        let table = SlotTable(rows: rows, columns: 2) { _, column in Slot(Double.random(in: 0...(column == 0 ? 60 : 80))) }
        let program = compile(source, ["temperature", "humidity"], InternedStrings())
        let byHand = hidden { slots in slots[0].double > 30 && slots[1].double < 40 }
        report.write("thresholds", "ns_per_evaluation", table.measure(program, effort), reference: table.measure(byHand, effort))
    }

    static func interned(_ report: Report, _ effort: Int) {
        let source = #"(origin == "MOW" || country == "RU") && (value >= 100 || adults == 1)"#
        let strings = InternedStrings()
        let program = compile(source, ["origin", "country", "value", "adults"], strings)
        let texts = ["MOW", "RU", "LED", "DE"].map { strings.intern($0) }
        let table = SlotTable(rows: rows, columns: 4) { _, column in
            switch column {
            case 0, 1: Slot(interned: texts.randomElement() ?? 0)
            case 2: Slot(Double.random(in: 0...200))
            default: Slot(Double(Int.random(in: 1...4)))
            }
        }
        let (mow, ru) = (UInt64(texts[0]), UInt64(texts[1]))
        let byHand = hidden { slots in
            (slots[0].bits == mow || slots[1].bits == ru) && (slots[2].double >= 100 || slots[3].double == 1)
        }
        report.write("interned strings", "ns_per_evaluation", table.measure(program, effort), reference: table.measure(byHand, effort))
    }

    static func arithmetic(_ report: Report, _ effort: Int) {
        let table = SlotTable(rows: rows, columns: 2) { _, _ in Slot(Double.random(in: 0...60)) }
        let program = compile("temperature * 9.0 / 5.0 + 32.0 > 86.0", ["temperature", "humidity"], InternedStrings())
        let byHand = hidden { slots in slots[0].double * 9 / 5 + 32 > 86 }
        report.write("arithmetic", "ns_per_evaluation", table.measure(program, effort), reference: table.measure(byHand, effort))
    }

    static func comprehension(_ report: Report, _ effort: Int) {
        struct Item {
            var price: Double
            var name: String
        }
        // No item satisfies the condition, so that every evaluation goes over all hundred; every other one passes its first half.
        let items = (0..<100).map { Item(price: $0 % 2 == 0 ? 12.5 : 7.5, name: "b\($0)") }
        let values = items.map { item in
            Value.map(CELMap([(.string("price"), .double(item.price)), (.string("name"), .string(item.name))]) ?? CELMap())
        }
        let strings = InternedStrings()
        let program = compile(#"items.exists(i, i.price > 10.0 && i.name.startsWith("a"))"#, ["items"], strings)
        let table = SlotTable(rows: 1, columns: 1) { _, _ in Slot(retaining: .list(values), strings: strings) }
        let byHand = hidden { _ in items.contains { $0.price > 10 && $0.name.utf8.starts(with: "a".utf8) } }
        let times = 200 * effort
        report.write(
            "exists over 100 items", "ns_per_evaluation", table.measure(program, times), reference: table.measure(byHand, times))
    }

    static func compilation(_ report: Report, _ effort: Int) {
        let source = #"(origin == "MOW" || country == "RU") && (value >= 100 || adults == 1)"#
        let environment = Environment(arithmetic: .promoting)
        let samples = sample(21) {
            let start = processorNanoseconds()
            for _ in 0..<(100 * effort) {
                let strings = InternedStrings()
                var names = Columns(names: ["origin", "country", "value", "adults"])
                guard let expression = environment.parse(source).expression else { return 0 }
                let result = environment.compile(expression, names: &names, strings: strings, expecting: .bool)
                blackHole(result.program == nil ? 0 : 1)
            }
            return (processorNanoseconds() - start) / Double(100 * effort)
        }
        report.write("compile", "ns_per_expression", samples, reference: nil)
    }

    static func compile(_ source: String, _ names: [String], _ strings: InternedStrings) -> Program {
        let environment = Environment(arithmetic: .promoting)
        var columns = Columns(names: names)
        guard let expression = environment.parse(source).expression,
            let program = environment.compile(expression, names: &columns, strings: strings, expecting: .bool).program
        else { fatalError("the benchmark's own expression does not compile: \(source)") }
        return program
    }
}

/// Each name is the slot of its position.
struct Columns: NameResolver {
    let names: [String]

    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
        guard case .name(let name) = path[0], let slot = names.firstIndex(of: name) else { return .unknown(nearest: nil, known: names) }
        return .slot(slot, consumed: 1)
    }
}

typealias Condition = (UnsafePointer<Slot>) -> Bool

/// Keeps a closure from being specialised into the loop that calls it: it would look several times faster than it is.
@inline(never)
func hidden(_ condition: @escaping Condition) -> Condition {
    let all = [condition, condition]
    return all[Int.random(in: 0...1)]
}

@inline(never)
func blackHole(_ value: Int) {
    if value == .min { print(value) }
}

/// Time this thread has had a processor for: what other processes take in between does not count.
func processorNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func sample(_ count: Int, _ measure: () -> Double) -> [Double] {
    _ = measure()
    return (0..<count).map { _ in measure() }.sorted()
}

extension Slot {
    fileprivate var double: Double { Double(bitPattern: bits) }
}

/// Rows of slots, evaluated one after the other.
final class SlotTable {
    private let slots: UnsafeMutablePointer<Slot>
    private let rows: Int, columns: Int

    init(rows: Int, columns: Int, _ make: (Int, Int) -> Slot) {
        self.rows = rows
        self.columns = columns
        slots = .allocate(capacity: rows * columns)
        for row in 0..<rows {
            for column in 0..<columns { (slots + row * columns + column).initialize(to: make(row, column)) }
        }
    }

    deinit {
        for index in 0..<(rows * columns) { slots[index].release() }
        slots.deallocate()
    }

    /// Sorted samples of nanoseconds an evaluation.
    func measure(_ program: Program, _ effort: Int) -> [Double] {
        measure(effort) { row in program.truth(row) == .yes ? 1 : 0 }
    }

    func measure(_ condition: Condition, _ effort: Int) -> [Double] {
        measure(effort) { row in condition(row) ? 1 : 0 }
    }

    @inline(__always)
    private func measure(_ effort: Int, _ evaluate: (UnsafePointer<Slot>) -> Int) -> [Double] {
        let turns = rows == 1 ? effort : effort * 200
        return sample(21) {
            var hits = 0
            let start = processorNanoseconds()
            for _ in 0..<turns {
                for row in 0..<rows { hits &+= evaluate(UnsafePointer(slots + row * columns)) }
            }
            let time = (processorNanoseconds() - start)
            blackHole(hits)
            return time / Double(turns * rows)
        }
    }
}

/// Writes one line a case.
struct Report {
    let isJSON: Bool

    func write(_ name: String, _ metric: String, _ samples: [Double], reference: [Double]?) {
        let (median, least, most) = (samples[samples.count / 2], samples[0], samples[samples.count - 1])
        let referenceMedian = reference.map { $0[$0.count / 2] }
        let ratio = referenceMedian.map { median / $0 }
        if isJSON {
            print(
                #"{"benchmark":"cel","case":"\#(name)","metric":"\#(metric)","median":\#(rounded(median)),"min":\#(rounded(least)),"#
                    + #""max":\#(rounded(most)),"reference":\#(rounded(referenceMedian)),"ratio":\#(rounded(ratio))}"#)
        } else {
            let beside = referenceMedian.map { ", by hand \(rounded($0)), ratio \(rounded(ratio))" } ?? ""
            print("\(name): median \(rounded(median)) \(metric), min \(rounded(least)), max \(rounded(most))\(beside)")
        }
    }

    private func rounded(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "null" }
        return ((value * 100).rounded() / 100).description
    }
}
