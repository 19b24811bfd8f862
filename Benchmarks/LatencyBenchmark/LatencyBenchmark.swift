import BenchmarkHarness
import Foundation
import Glibc

/// The time from publishing a reading to the webhook's receipt of the notification it causes: `for: 0`, every alert a group of its own, no `group_wait`. One in ten messages
/// fires, each on a device that has not been heard before; the others come from a thousand devices that are well.
@main
struct LatencyBenchmark {
    static func main() {
        do {
            try LatencyBenchmark(arguments: CommandLine.arguments).run()
        } catch {
            say("latency-benchmark: \(error)")
            exit(1)
        }
    }

    private let report: Report
    private let broker: Broker
    private let isQuick: Bool

    private init(arguments: [String]) throws {
        broker = try .ofEnvironment()
        isQuick = arguments.contains("--quick")
        report = Report("latency", isJSON: arguments.contains("--json"))
    }

    private static let rules = """
        groups:
          - name: benchmark
            rules:
              - alert: TooWarm
                on: dev/{device}/up
                expr: temperature > 50
                labels: {severity: critical}
                annotations: {sequence: "{{ seq }}"}
        """

    private func run() throws {
        for (name, environment) in try settings() {
            for rate in [1000, 10_000] { try measure(name, environment, rate: rate) }
        }
    }

    /// Without the two servers only the embedded default is measured.
    private func settings() throws -> [(String, [String: String])] {
        var all: [(String, [String: String])] = [("embedded", [:])]
        let outer = ProcessInfo.processInfo.environment
        guard let amqp = outer["NODESPHERE_AMQP_URL"], let mongodb = outer["NODESPHERE_MONGODB_URI"],
            let url = URLComponents(string: mongodb)
        else {
            say("latency-benchmark: NODESPHERE_AMQP_URL and NODESPHERE_MONGODB_URI are not set: only the embedded default is measured")
            return all
        }
        all.append(
            ("rabbitmq+mongodb", ["NODESPHERE_AMQP_URL": amqp, "NODESPHERE_MONGODB_URI": url.string ?? mongodb]))
        return all
    }

    private func measure(_ name: String, _ environment: [String: String], rate: Int) throws {
        let receiver = try WebhookReceiver()
        defer { receiver.stop() }
        var environment = environment
        // Every server has a database and queues of its own: what another one left must not be taken up.
        let own = "benchmark-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        environment["NODESPHERE_AMQP_PREFIX"] = own
        if let uri = environment["NODESPHERE_MONGODB_URI"], var url = URLComponents(string: uri) {
            url.path = "/" + own
            environment["NODESPHERE_MONGODB_URI"] = url.string
        }
        let server = try ServerUnderTest(
            broker: broker, rules: Self.rules,
            notifications: """
                route: {receiver: hook, group_by: ['...'], group_wait: 0s}
                receivers:
                  - name: hook
                    webhook_configs: [{url: "http://127.0.0.1:\(receiver.port)/"}]
                """, environment: environment)
        defer { server.stop() }
        let fleet = try Fleet(broker: broker)
        // Connections are made and memory is warm before anything is counted.
        try expectAll(of: fleet.publish(rate: rate, seconds: isQuick ? 1 : 3), at: receiver)
        var middle: [Double] = []
        var high: [Double] = []
        for _ in 0..<(isQuick ? 1 : 3) {
            let latencies = try expectAll(of: fleet.publish(rate: rate, seconds: isQuick ? 3 : 10), at: receiver)
            middle.append(latencies.percentile(0.5) * 1000)
            high.append(latencies.percentile(0.99) * 1000)
        }
        let title = "\(name) rate=\(rate)"
        if let middle = Samples(middle) { report.write(title, "milliseconds_p50", middle) }
        if let high = Samples(high) { report.write(title, "milliseconds_p99", high) }
    }

    /// Waits until the notifications of all these messages are there; their latencies in seconds.
    @discardableResult
    private func expectAll(of sent: [Int: Double], at receiver: WebhookReceiver) throws -> Samples {
        var missing = sent.count
        var progressAt = monotonicSeconds()
        while missing > 0 {
            sleepSeconds(0.05)
            let arrived = receiver.arrivals
            let left = sent.keys.count { arrived[$0] == nil }
            if left < missing { progressAt = monotonicSeconds() }
            missing = left
            guard monotonicSeconds() - progressAt < 30 else {
                throw BenchmarkFailure("\(missing) of \(sent.count) notifications did not arrive")
            }
        }
        let arrived = receiver.arrivals
        guard let samples = Samples(sent.compactMap { number, at in arrived[number].map { $0 - at } }) else {
            throw BenchmarkFailure("no message fired")
        }
        return samples
    }
}
