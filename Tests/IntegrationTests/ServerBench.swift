import EmbeddedState
import Foundation
import Glibc
import MongoState
import RuleEngine
import Synchronization
import Testing

@testable import AMQPNotifications

/// What a server under test stands on.
enum Backing: String, Sendable, CaseIterable {
    case embedded
    /// RabbitMQ and MongoDB.
    case servers

    static let available = allCases.filter { $0 == .embedded || (AMQPBench.url != nil && MongoBench.uri != nil) }
}

/// A server with a folder, a port, a webhook receiver, topics and stores of its own.
final class ServerBench: Sendable {
    let folder: TestFolder
    let webhook: WebhookReceiver
    let publisher: DevicePublisher
    let port: UInt16
    /// The first level of this test's topics.
    let root: String
    let mongo: MongoBench?
    private let environment: [String: String]
    private let child = Mutex<Child?>(nil)

    static let route = "route: {receiver: team, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}"

    private init(_ backing: Backing, amqp: AMQPBench?, mqtt: String?, settings: [String: String]) throws {
        let url = try mqtt ?? IntegrationTests.environment("NODESPHERE_MQTT_URL")
        folder = try TestFolder()
        webhook = WebhookReceiver()
        publisher = try DevicePublisher(url: url)
        port = try freePort()
        root = uniqueName("t")
        mongo = backing == .servers ? try MongoBench() : nil
        var own = [
            "PATH": "/usr/bin:/bin", "NODESPHERE_MQTT_URL": url, "NODESPHERE_MQTT_CLIENT_ID": root,
            "NODESPHERE_HTTP_LISTEN": "127.0.0.1:\(port)",
        ]
        if let amqp {
            own["NODESPHERE_AMQP_URL"] = AMQPBench.url
            own["NODESPHERE_AMQP_PREFIX"] = amqp.configuration.prefix
        }
        own["NODESPHERE_MONGODB_URI"] = mongo?.uri
        environment = own.merging(settings.mapValues { [root] in $0.replacingOccurrences(of: "$ROOT", with: root) }) { $1 }
    }

    /// Runs `body` with a server that is ready (unless `starting` says otherwise), and cleans up behind it. `$ROOT` in the rules and settings and `$HOOK` in
    /// the notification file stand for this test's topics and receiver.
    static func with(
        _ backing: Backing = .embedded, rules: String, notifications: String? = nil, mqtt: String? = nil, settings: [String: String] = [:],
        starting: Bool = true, _ body: (ServerBench) async throws -> Void
    ) async throws {
        switch backing {
        case .embedded:
            try await run(ServerBench(backing, amqp: nil, mqtt: mqtt, settings: settings), rules, notifications, starting, body)
        case .servers:
            try await SharedServer.taking(["mongodb", "rabbitmq"]) {
                try await AMQPBench.with { amqp in
                    try await run(ServerBench(backing, amqp: amqp, mqtt: mqtt, settings: settings), rules, notifications, starting, body)
                }
            }
        }
    }

    private static func run(
        _ server: ServerBench, _ rules: String, _ notifications: String?, _ starting: Bool, _ body: (ServerBench) async throws -> Void
    ) async throws {
        defer { server.webhook.close() }
        server.write(rules: rules)
        server.write(
            notifications: notifications
                ?? "\(route)\nreceivers:\n  - name: team\n    webhook_configs: [{url: \"$HOOK\", send_resolved: true}]\n")
        do {
            if starting { try await server.start() }
            try await body(server)
            await server.kill()
        } catch {
            await server.kill()
            throw ServerFailure(cause: error, log: server.log)
        }
    }

    func write(rules: String) { folder.write("rules/rules.yaml", rules.replacingOccurrences(of: "$ROOT", with: root)) }
    func write(notifications: String) {
        folder.write(
            "notifications.yaml",
            notifications.replacingOccurrences(of: "$HOOK", with: webhook.url).replacingOccurrences(of: "$ROOT", with: root))
    }

    var log: String { folder.text("log.txt") }
    func logLines(_ part: String) -> [Substring] { log.split(separator: "\n").filter { $0.contains(part) } }

    // MARK: The process

    func launch(_ arguments: [String] = ["serve"]) throws {
        let new = try Child(
            Binary.path(), arguments, folder: folder.path, environment: environment, output: folder.path("log.txt"),
            errors: folder.path("log.txt"))
        child.withLock { $0 = new }
    }

    func start() async throws {
        try launch()
        try await ready()
    }

    func ready() async throws {
        let isReady = try await eventually {
            if let status = await ended(within: .zero) { throw TimedOut(description: "the server ended with status \(status)") }
            return await get("/readyz").status == 200
        }
        guard isReady else { throw TimedOut(description: "the server was not ready within \(patience)") }
    }

    /// SIGKILL.
    func kill() async {
        guard let process = child.withLock({ $0.take() }) else { return }
        Glibc.kill(process.id, SIGKILL)
        _ = await process.ended()
    }

    /// Changes what is stored while the server is down.
    func changeStore(_ body: (any StateStore) async throws -> Void) async throws {
        if let mongo { return try await body(MongoStateStore(mongo.connection)) }
        let database = try EmbeddedDatabase(folder: folder.path("data"))
        try await body(EmbeddedStateStore(database))
        // Not left to the end of its last reference, which a queue may still have when the server wants the folder.
        await database.close()
    }

    func signal(_ number: Int32) { if let process = child.withLock({ $0 }) { Glibc.kill(process.id, number) } }

    /// The exit status; nil when it has not ended by itself within the time.
    func ended(within limit: Duration = patience) async -> Int32? { await ended { await $0.ended(within: limit) } }

    /// SIGTERM and the exit status; nil when it took more than the promised five seconds.
    func stop() async -> Int32? {
        signal(SIGTERM)
        return await ended { await $0.ended(asPromisedWithin: .seconds(5)) }
    }

    private func ended(_ end: (Child) async -> Int32?) async -> Int32? {
        guard let process = child.withLock({ $0 }), let status = await end(process) else { return nil }
        child.withLock { $0 = nil }
        return status
    }

    // MARK: Its surface

    @discardableResult
    func request(_ method: String, _ path: String, _ body: String? = nil, type: String = "application/json") async -> HTTPAnswer {
        await http(method, port: port, path, body, type: type)
    }

    func get(_ path: String) async -> HTTPAnswer { await request("GET", path) }

    func alerts(_ query: String) async -> [Document] { await get("/api/v1/alerts?\(query)").json["items"]?.array ?? [] }

    /// Why a part is not ready; nil when it is.
    func unreadyReason(_ part: String) async -> String? {
        guard let found = await get("/readyz").json["parts"]?[part], found["ready"]?.bool == false else { return nil }
        return found["reason"]?.string ?? ""
    }

    /// The sum of a metric over its labels.
    func metric(_ name: String) async -> Double {
        await get("/metrics").text.split(separator: "\n").filter {
            $0.hasPrefix(name) && ["{", " "].contains($0.dropFirst(name.count).first)
        }
        .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
    }

    func topic(_ device: String) -> String { "\(root)/\(device)" }
    func reading(_ device: String, _ payload: String) -> DevicePublisher.Message { .init(topic(device), payload) }
    func send(_ device: String, _ payload: String, qos: UInt8 = 1, retain: Bool = false) async throws {
        try await publisher.send(topic(device), payload, qos: qos, retain: retain)
    }
}

/// What went wrong, with what the server said.
struct ServerFailure: Error, CustomStringConvertible {
    var cause: any Error
    var log: String
    var description: String { "\(cause)\nthe server's log ends with:\n\(log.suffix(3000))" }
}

/// Whole servers, one after the other: they are processes, and the machine may have two cores.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["NODESPHERE_MQTT_URL"] != nil, "needs scripts/services up mosquitto"))
struct ServerTests {}
