import BenchmarkHarness
import Foundation
import Glibc

/// How many readings a second the server takes from a real broker, and what one costs in processor time, beside a bare subscriber in C.
///
/// Runs alternate between the subscriber and the server, so that whatever else the machine does meets both. Each rule set is loaded by one server, which stays
/// connected during the subscriber's runs: the broker has the same subscriptions to look through.
@main
struct IngestBenchmark {
    static func main() {
        do {
            try IngestBenchmark(arguments: CommandLine.arguments).run()
        } catch {
            say("ingest-benchmark: \(error)")
            exit(1)
        }
    }

    private let report: Report
    private let broker: Broker
    private let isQuick: Bool
    private let pairs: Int

    private init(arguments: [String]) throws {
        broker = try .ofEnvironment()
        isQuick = arguments.contains("--quick")
        pairs = isQuick ? 3 : 5
        report = Report("ingest", isJSON: arguments.contains("--json"))
    }

    private func run() throws {
        for rules in isQuick ? [1000] : [1, 100, 1000, 10_000] {
            let server = try ServerUnderTest(broker: broker, rules: Self.rules(rules), environment: ["NODESPHERE_LOG_LEVEL": "warning"])
            defer { server.stop() }
            let traffic = Traffic(broker: broker, server: server)
            for qos in [0, 1] {
                let name = "rules=\(rules) qos=\(qos)"
                let bareRate = try compare(name, traffic, qos: qos, messages: messages(qos: qos))
                if rules == 1000 { try keepsUp(name, traffic, qos: qos, rate: bareRate * 0.8) }
            }
        }
        try recorded()
    }

    /// The same with every reading recorded in an InfluxDB on the same machine.
    private func recorded() throws {
        var settings = ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("NODESPHERE_INFLUXDB_") }
        guard settings["NODESPHERE_INFLUXDB_URL"] != nil else {
            throw BenchmarkFailure("NODESPHERE_INFLUXDB_URL is not set: run scripts/bench ingest")
        }
        settings["NODESPHERE_INFLUXDB_DATABASE"] = "ingest_\(getpid())"
        settings["NODESPHERE_RECORDER_ENABLED"] = "true"
        settings["NODESPHERE_RECORDER_MEASUREMENTS_UP_TOPIC"] = "dev/{device}/up"
        settings["NODESPHERE_LOG_LEVEL"] = "warning"
        let server = try ServerUnderTest(broker: broker, rules: Self.rules(1000), environment: settings)
        defer { server.stop() }
        let traffic = Traffic(broker: broker, server: server)
        for qos in [0, 1] {
            let (name, messages) = ("rules=1000 qos=\(qos) recorded", messages(qos: qos))
            _ = try compare(name, traffic, qos: qos, messages: messages)
            let began = monotonicSeconds()
            while try server.metric("nodesphere_recorder_queue_bytes") + server.metric("nodesphere_recorder_points_waiting") > 0 {
                guard monotonicSeconds() - began < 120 else {
                    let points = try Int(server.metric("nodesphere_recorder_points_waiting"))
                    throw BenchmarkFailure("\(points) points still wait for InfluxDB after two minutes")
                }
                sleepSeconds(0.05)
            }
            let seconds = monotonicSeconds() - began
            let recorded = try server.metric("nodesphere_recorder_points_total", where: #"outcome="written""#)
            let missing = try server.metric("nodesphere_readings_total") - recorded
            if let seconds = Samples([seconds]) { report.write(name, "seconds_until_all_is_in_influxdb", seconds) }
            if let missing = Samples([missing]) { report.write(name, "readings_not_recorded", missing) }
        }
    }

    private func messages(qos: Int) -> Int {
        switch (isQuick, qos) {
        case (true, 0): 150_000
        case (true, _): 50_000
        case (false, 0): 400_000
        case (false, _): 150_000
        }
    }

    /// The bare subscriber's median rate.
    private func compare(_ name: String, _ traffic: Traffic, qos: Int, messages: Int) throws -> Double {
        // Connections, caches and the server's memory of 1,000 devices are made before anything is counted.
        _ = try traffic.toSubscriber(qos: qos, messages: 5000)
        _ = try traffic.toServer(qos: qos, messages: 5000)
        var bare: [Measurement] = []
        var server: [Measurement] = []
        for pair in 0..<pairs {
            // Whoever comes second finds the machine as the first one left it: they take turns.
            if pair.isMultiple(of: 2) { bare.append(try traffic.toSubscriber(qos: qos, messages: messages)) }
            server.append(try traffic.toServer(qos: qos, messages: messages))
            if !pair.isMultiple(of: 2) { bare.append(try traffic.toSubscriber(qos: qos, messages: messages)) }
        }
        write(name, "readings_per_second", server, bare, \.rate)
        write(name, "processor_microseconds_per_reading", server, bare, \.microseconds)
        return Samples(bare.map(\.rate))?.median ?? 0
    }

    private func write(
        _ name: String, _ metric: String, _ server: [Measurement], _ bare: [Measurement], _ figure: KeyPath<Measurement, Double>
    ) {
        guard let measured = Samples(server.map { $0[keyPath: figure] }) else { return }
        report.write(
            name, metric, measured, reference: Samples(bare.map { $0[keyPath: figure] }),
            pairRatios: Samples(zip(server, bare).map { $0[keyPath: figure] / $1[keyPath: figure] }))
    }

    /// At this rate nothing may be lost; how far the server is behind when the last message was sent shows whether it keeps up.
    private func keepsUp(_ name: String, _ traffic: Traffic, qos: Int, rate: Double) throws {
        var lost: [Double] = []
        var behind: [Double] = []
        for _ in 0..<(isQuick ? 1 : 3) {
            let outcome = try traffic.paced(qos: qos, messages: Int(rate * (isQuick ? 2 : 5)), rate: rate)
            lost.append(outcome.lost)
            behind.append(outcome.behind * 1000)
        }
        if let lost = Samples(lost) { report.write(name + " at 80 %", "messages_lost", lost) }
        if let behind = Samples(behind) { report.write(name + " at 80 %", "milliseconds_behind", behind) }
    }

    /// Three rules match the traffic, each over another field or bound, and none of them fires; the others wait for topics of their own.
    private static func rules(_ count: Int) -> String {
        let matching = ["temperature > 1000", "humidity > 1000", "temperature < -1000 && humidity < 5"]
        var text = "groups:\n  - name: benchmark\n    rules:\n"
        for number in 0..<count {
            if number < matching.count {
                text += "      - {alert: Matching\(number), on: 'dev/{device}/up', expr: '\(matching[number])'}\n"
            } else {
                text += "      - {alert: Other\(number), on: 'site/\(number)/{device}/state', expr: 'level > \(number)', for: 1m}\n"
            }
        }
        return text
    }
}
