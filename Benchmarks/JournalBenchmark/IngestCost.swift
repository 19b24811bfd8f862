import BenchmarkHarness
import Foundation

/// Readings a second from a real broker with the journal, beside a server without it in the same run.
struct IngestCost {
    let isQuick: Bool

    func measure(_ report: Report) throws {
        let broker = try Broker.ofEnvironment()
        let with = try server(broker, journal: true)
        defer { with.stop() }
        let without = try server(broker, journal: false)
        defer { without.stop() }
        for qos in [0, 1] {
            let messages = (isQuick ? 1 : 3) * (qos == 0 ? 100_000 : 40_000)
            _ = try rate(broker, with, "with", qos, 5000)
            _ = try rate(broker, without, "without", qos, 5000)
            var journaled: [Double] = [], plain: [Double] = []
            for pair in 0..<(isQuick ? 3 : 7) {
                if pair.isMultiple(of: 2) { plain.append(try rate(broker, without, "without", qos, messages)) }
                journaled.append(try rate(broker, with, "with", qos, messages))
                if !pair.isMultiple(of: 2) { plain.append(try rate(broker, without, "without", qos, messages)) }
            }
            guard let samples = Samples(journaled) else { return }
            report.write(
                "ingest qos=\(qos)", "readings_per_second", samples, reference: Samples(plain),
                pairRatios: Samples(zip(journaled, plain).map { $0 / $1 }))
        }
    }

    private func server(_ broker: Broker, journal: Bool) throws -> ServerUnderTest {
        let prefix = journal ? "with" : "without"
        var text = "groups:\n  - name: benchmark\n    rules:\n"
        for (number, expression) in ["temperature > 1000", "humidity > 1000", "temperature < -1000 && humidity < 5"].enumerated() {
            text += "      - {alert: M\(number), on: '\(prefix)/{device}/up', expr: '\(expression)'}\n"
        }
        return try ServerUnderTest(
            broker: broker, rules: text, environment: ["NODESPHERE_LOG_LEVEL": "warning", "NODESPHERE_JOURNAL_ENABLED": "\(journal)"])
    }

    private func rate(_ broker: Broker, _ server: ServerUnderTest, _ prefix: String, _ qos: Int, _ messages: Int) throws -> Double {
        let wanted = try server.metric("nodesphere_readings_total") + Double(messages)
        let sender = try ChildProcess(
            referenceProgram("publisher"), ["\(broker.port)", "\(messages)", "\(qos)", "1000", "0", "2000", prefix])
        let ended = try server.waitForReadings(wanted)
        return Double(messages) / (ended - (try sender.readFigures()["began"] ?? 0))
    }
}
