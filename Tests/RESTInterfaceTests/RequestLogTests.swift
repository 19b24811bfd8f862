import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import RuleEngine
import Synchronization
import Testing

@testable import RESTInterface

@Suite struct RequestLogTests {
    @Test func `Every request is logged at debug, with method, path, status and id`() async throws {
        let lines = try await log(of: .get, "/api/v1/devices/x?", on: await FakeOperations())
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        #expect(line.level == .debug)
        #expect(line.metadata["method"] == "GET")
        #expect(line.metadata["path"] == "/api/v1/devices/x")
        #expect(line.metadata["status"] == "404")
        #expect(line.metadata["request"].map { "\($0)".count > 4 } == true)
    }

    @Test func `A failure is logged at warning with its reason and the same id`() async throws {
        let lines = try await log(
            of: .get, "/api/v1/devices", on: await FakeOperations { $0.failure = .unavailable("mongodb: no primary") })
        #expect(lines.map(\.level) == [.warning, .debug])
        #expect(lines.first?.message.contains("mongodb: no primary") == true)
        #expect(lines.first?.metadata["request"] == lines.last?.metadata["request"])
        #expect(lines.last?.metadata["status"] == "503")
    }

    private func log(of method: HTTPRequest.Method, _ path: String, on operations: FakeOperations) async throws -> [LogLines.Line] {
        let lines = LogLines()
        var logger = Logger(label: "test") { _ in lines }
        logger.logLevel = .trace
        let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let application = Application(responder: RESTServer.responder(operations, logger), logger: silent)
        try await application.test(.router) { client in _ = try await client.execute(uri: path, method: method) }
        return lines.lines
    }
}

/// Keeps what is logged.
private struct LogLines: LogHandler {
    struct Line: Sendable {
        var level: Logger.Level
        var message: String
        var metadata: Logger.Metadata
    }

    private final class Kept: Sendable { let lines = Mutex<[Line]>([]) }

    private let kept = Kept()
    var lines: [Line] { kept.lines.withLock { $0 } }

    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        kept.lines.withLock { $0.append(Line(level: event.level, message: "\(event.message)", metadata: event.metadata ?? [:])) }
    }
}
