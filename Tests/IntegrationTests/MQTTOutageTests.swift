import Foundation
import Glibc
import Logging
import MQTTTelemetry
import RuleEngine
import Synchronization
import Testing

/// A Mosquitto of the test's own, which it may stop and start. Ends with the test.
final class PrivateBroker {
    let port: UInt16
    private let folder: URL
    private var process: Child?

    init() throws {
        port = try freePort()
        folder = FileManager.default.temporaryDirectory.appending(path: uniqueName("mosquitto"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var lines = [
            "listener \(port) 127.0.0.1", "allow_anonymous true", "persistence true", "persistence_location \(folder.path)/",
            "max_queued_messages 0", "log_dest none",
        ]
        if geteuid() == 0 { lines.append("user root") }
        try lines.joined(separator: "\n").write(to: folder.appending(path: "conf"), atomically: true, encoding: .utf8)
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: folder)
    }

    func start() throws {
        let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"]
        guard let program = folders.map({ "\($0)/mosquitto" }).first(where: FileManager.default.isExecutableFile) else {
            throw WireFailure(description: "mosquitto is not installed")
        }
        process = try Child(
            program, ["-c", folder.appending(path: "conf").path], folder: folder.path, environment: ProcessInfo.processInfo.environment)
    }

    /// Cleanly: sessions are kept on disk.
    func stop() {
        guard let child = process else { return }
        process = nil
        kill(child.id, SIGTERM)
        var status: Int32 = 0
        while waitpid(child.id, &status, 0) < 0, errno == EINTR {}
    }
}

/// Keeps log lines.
struct RecordingLog: LogHandler {
    let lines: Watched<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { lines.change { $0.append("\(event.level): \(event.message)") } }
}

@Suite struct MQTTOutageTests {
    @Test(arguments: MQTTConfiguration.Version.allCases)
    func `a broker that goes and comes back is told once each, and its session goes on`(version: MQTTConfiguration.Version) async throws {
        let broker = try PrivateBroker()
        try broker.start()
        let lines = Watched<[String]>([])
        let configuration = try configuration(version, url: "mqtt://127.0.0.1:\(broker.port)")
        let source = MQTTTelemetrySource(configuration, logger: Logger(label: "test") { _ in RecordingLog(lines: lines) })
        let sink = RecordingSink()
        var before = 0
        await source.subscribe(to: [.init(filter: "t/+", qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            try await withPublisher(configuration) { publisher in
                try await sink.live()
                try await publisher.send("t/a", "before")
                _ = try await sink.taken(1)
                // The broker may have been slow to start: what was said of that does not count.
                before = lines.value.count
                broker.stop()
                try await sink.events.first("the end of the connection") { $0.last == .disconnected ? true : nil }
                _ = try await unreadyReason(source) { $0.contains("Connection refused") }
                try broker.start()
                // Another connection than the source's: either may be back first; the session holds what comes before the source.
                try await publisher.send("t/a", "after")
                #expect(try await sink.taken(2).map(\.payload) == ["before", "after"])
                try await sink.live(2)
                #expect(await source.unreadyReason() == nil)
            }
        }
        #expect(lines.value.dropFirst(before).map { $0.prefix { $0 != ":" } } == ["warning", "info"])
        #expect(source.counters.reconnects == 1)
    }
}

@Suite struct MQTTSecurityTests {
    private func source(_ url: String, ca: String, withCertificate: Bool) throws -> MQTTTelemetrySource {
        let folder = try environment("NODESPHERE_TEST_TLS_DIR")
        let configuration = try MQTTConfiguration(
            url: environment(url), clientID: uniqueName("test"), caFile: "\(folder)/\(ca).pem",
            certFile: withCertificate ? "\(folder)/client.pem" : nil, keyFile: withCertificate ? "\(folder)/client-key.pem" : nil)
        return MQTTTelemetrySource(configuration, logger: quiet)
    }

    @Test(arguments: [
        ("NODESPHERE_TEST_MQTTS_URL", false), ("NODESPHERE_TEST_MQTTS_CLIENT_CERTIFICATE_URL", true),
    ])
    func `messages come over TLS, with a client certificate where one is asked for`(url: String, withCertificate: Bool) async throws {
        let root = uniqueName("t")
        let source = try source(url, ca: "ca", withCertificate: withCertificate)
        let sink = RecordingSink()
        await source.subscribe(to: [.init(filter: root, qos: 1)], leftovers: [])
        try await withSource(source, sink) {
            try await sink.live()
            try await withPublisher(try configuration()) { publisher in
                for number in 0..<300 { try await publisher.send(root, "\(number)" + String(repeating: ".", count: number * 20)) }
            }
            #expect(try await sink.taken(300).map { $0.payload.prefix { $0 != "." } } == (0..<300).map { Substring("\($0)") })
        }
    }

    @Test(arguments: [
        ("NODESPHERE_TEST_MQTTS_URL", "other-ca", false, "certificate verify failed"),
        ("NODESPHERE_TEST_MQTTS_CLIENT_CERTIFICATE_URL", "ca", false, "certificate required"),
    ])
    func `a connection that cannot be trusted does not come about, and the reason is told`(
        url: String, ca: String, withCertificate: Bool, reason: String
    ) async throws {
        let source = try source(url, ca: ca, withCertificate: withCertificate)
        let sink = RecordingSink()
        await source.subscribe(to: [], leftovers: [])
        try await withSource(source, sink) { _ = try await unreadyReason(source) { $0.contains(reason) } }
        #expect(sink.events.value.isEmpty)
    }
}
