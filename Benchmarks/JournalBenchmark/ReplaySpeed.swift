import BenchmarkHarness
import EmbeddedState
import Foundation
import Logging
import RuleEngine

/// Readings a second from a journal on the disk into an engine with 1,000 rules of which three read the topic; and into the journal.
struct ReplaySpeed {
    let isQuick: Bool

    func measure(_ report: Report) throws {
        let readings = isQuick ? 500_000 : 3_000_000
        let plan = try plan(rules)
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let size = 200
        let batches = (0..<50).map { EngineInput.readings(batch($0 * size, count: size, devices: 1000)) }
        let journal = try InputJournal(path: folder, after: 0, logger: Logger(label: "benchmark"))
        let start = monotonicSeconds()
        var position: UInt64 = 0
        for number in 0..<readings / size {
            while !journal.hasRoom { sleepSeconds(0.001) }
            position = journal.append(batches[number % batches.count], at: Instant(nanoseconds: Int64(number) * 1_000_000))
        }
        _ = journal.wait(for: position, atMost: .seconds(60))
        if let samples = Samples([Double(readings) / (monotonicSeconds() - start)]) {
            report.write("append", "readings_per_second", samples)
        }
        journal.close()
        var rates: [Double] = []
        for _ in 0..<(isQuick ? 3 : 5) {
            let engine = Engine(plan: plan)
            engine.connected(at: Instant(nanoseconds: 0))
            engine.backlogEnded(at: Instant(nanoseconds: 0))
            let begin = monotonicSeconds()
            let reading = try JournalReading(path: folder, from: 0, repairing: false)
            try reading.forEach(after: 0) { record in
                if case .input(let input)? = EngineInput.decode(record.content) { engine.apply(input, at: record.instant) }
                return true
            }
            rates.append(Double(readings) / (monotonicSeconds() - begin))
            guard engine.counters.readings == UInt64(readings) else {
                throw BenchmarkFailure("\(engine.counters.readings) readings came back")
            }
        }
        if let samples = Samples(rates) { report.write("replay", "readings_per_second", samples) }
    }

    private var rules: String {
        var text = "groups:\n  - name: g\n    rules:\n"
        for (number, expression) in ["temperature > 1000", "humidity > 1000", "temperature < -1000 && humidity < 5"].enumerated() {
            text += "      - {alert: M\(number), on: 'dev/{device}/up', expr: '\(expression)'}\n"
        }
        for number in 3..<1000 {
            text += "      - {alert: O\(number), on: 'site/\(number)/{device}/state', expr: 'level > \(number)', for: 1m}\n"
        }
        return text
    }
}
