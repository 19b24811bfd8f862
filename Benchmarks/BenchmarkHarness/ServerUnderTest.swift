import Foundation
import Glibc

/// A `nodesphere serve` with data, rules and a session of its own.
public final class ServerUnderTest {
    private let process: ChildProcess
    private let port: UInt16
    private let folder: String
    private let broker: Broker
    private let clientID: String

    /// - Parameters:
    ///   - rules: the text of a rule file.
    ///   - notifications: of `notifications.yaml`; nil: everything goes to the log.
    ///   - environment: what is set beside the defaults: `NODESPHERE_…`.
    public init(broker: Broker, rules: String, notifications: String? = nil, environment: [String: String] = [:]) throws {
        self.broker = broker
        folder = NSTemporaryDirectory() + "nodesphere-benchmark-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        clientID = "benchmark-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder + "/rules", withIntermediateDirectories: true)
        try rules.write(toFile: folder + "/rules/benchmark.yaml", atomically: true, encoding: .utf8)
        var settings = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("NODESPHERE_") }
        settings["NODESPHERE_MQTT_CLIENT_ID"] = clientID
        if let notifications {
            try notifications.write(toFile: folder + "/notifications.yaml", atomically: true, encoding: .utf8)
            settings["NODESPHERE_NOTIFICATIONS_FILE"] = folder + "/notifications.yaml"
        }
        settings.merge(environment) { $1 }
        let probe = try listenOnLoopback()
        port = probe.port
        close(probe.descriptor)
        process = try ChildProcess(
            programBesideThisOne("nodesphere"),
            [
                "serve", "--rules", folder + "/rules", "--data", folder + "/data", "--http", "127.0.0.1:\(port)", "--mqtt",
                "mqtt://127.0.0.1:\(broker.port)",
            ], environment: settings, errorFile: folder + "/log")
        try waitUntilReady()
    }

    private func waitUntilReady() throws {
        let deadline = monotonicSeconds() + 60
        while httpBody(port: port, path: "/readyz") == nil {
            guard process.isRunning, monotonicSeconds() < deadline else {
                let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
                throw BenchmarkFailure("the server did not become ready:\n\(log.suffix(2000))")
            }
            sleepSeconds(0.02)
        }
    }

    public var processID: Int32 { process.id }
    public var processorSeconds: Double { BenchmarkHarness.processorSeconds(of: process.id) ?? 0 }

    /// The sum of a metric's samples, or of those that have a label: `queue="recorder"`.
    public func metric(_ name: String, where label: String = "") throws -> Double {
        guard let text = httpBody(port: port, path: "/metrics") else { throw BenchmarkFailure("the server does not answer /metrics") }
        var sum = 0.0
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            guard label.isEmpty || line.contains(label) else { continue }
            guard let next = line.dropFirst(name.count).first, next == " " || next == "{", let value = line.split(separator: " ").last
            else { continue }
            sum += Double(value) ?? 0
        }
        return sum
    }

    /// Waits until this many readings were counted since the start; the instant at which they were. Asks seldom while much is missing, for each question costs the server processor time.
    public func waitForReadings(_ wanted: Double) throws -> Double {
        var last: (at: Double, count: Double)?
        var progressAt = monotonicSeconds()
        while true {
            let count = try metric("nodesphere_readings_total")
            let now = monotonicSeconds()
            if count >= wanted { return now }
            if count > last?.count ?? 0 { progressAt = now }
            guard now - progressAt < 15 else { throw BenchmarkFailure("\(Int(wanted - count)) of \(Int(wanted)) readings did not arrive") }
            let rate = last.map { (count - $0.count) / max(now - $0.at, 1e-6) } ?? 0
            last = (now, count)
            sleepSeconds(rate > 0 ? min(max((wanted - count) / rate * 0.9, 0.002), 0.5) : 0.01)
        }
    }

    /// Ends it and takes its data and its session at the broker away.
    public func stop() {
        process.stop()
        broker.forgetSession(clientID)
        if ProcessInfo.processInfo.environment["BENCHMARK_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: folder)
        } else {
            say("kept: \(folder)")
        }
    }
}

/// Built with the benchmark, so it lies in the same folder.
func programBesideThisOne(_ name: String) -> String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
}

/// The programs of Benchmarks/Reference, built by `Benchmarks/Reference/build`.
public func referenceProgram(_ name: String) throws -> String {
    let path = ".build/reference/\(name)"
    guard FileManager.default.isExecutableFile(atPath: path) else {
        throw BenchmarkFailure("'\(path)' is not there: run Benchmarks/Reference/build in the folder of the checkout, or scripts/bench")
    }
    return path
}
