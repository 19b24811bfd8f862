import Foundation
import Logging
import MQTTTelemetry
import RuleEngine
import Synchronization

struct MissingEnvironment: Error, CustomStringConvertible {
    var name: String
    var description: String { "\(name) is not set: these tests need the servers of `scripts/services up`; its output goes to `eval`" }
}

struct TimedOut: Error, CustomStringConvertible {
    var description: String
}

/// After how long what has not come is missing. Long, since the machine may be slow or have other work; what does come is not waited for any longer.
let patience = Duration.seconds(60)

func environment(_ name: String) throws -> String {
    guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else { throw MissingEnvironment(name: name) }
    return value
}

/// A value that tests wait on.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextWatcher = 0
    }
    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    @discardableResult
    func change<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        let (result, watchers) = state.withLock { state in (body(&state.value), Array(state.watchers.values)) }
        for watcher in watchers { watcher.yield() }
        return result
    }

    /// The first value that `pick` makes something of; throws when none came within `limit`.
    @discardableResult
    func first<Result>(_ what: String, within limit: Duration = patience, _ pick: (Value) -> Result?) async throws -> Result {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = continuation
            return state.nextWatcher
        }
        defer { state.withLock { $0.watchers[number] = nil } }
        let deadline = Task {
            try await Task.sleep(for: limit)
            continuation.finish()
        }
        defer { deadline.cancel() }
        if let result = pick(value) { return result }
        for await _ in changes {
            if let result = pick(value) { return result }
        }
        throw TimedOut(description: "\(what) did not come within \(limit); last: \(value)")
    }
}

/// A message as a sink saw it.
struct Seen: Sendable, Equatable, CustomStringConvertible {
    var topic: String
    var payload: String
    var qos: UInt8
    var isRetained: Bool
    var description: String { "\(topic)=\(payload) (QoS \(qos)\(isRetained ? ", retained" : ""))" }
}

/// Keeps what a source gives; what `take` answers is up to the test.
final class RecordingSink: TelemetrySink {
    enum Event: Sendable, Equatable {
        case connected
        case took(Seen)
        case refused(Seen)
        case backlogEnded
        case disconnected
    }
    let events = Watched<[Event]>([])
    private let answer: @Sendable ([Seen]) -> Bool

    init(answer: @escaping @Sendable ([Seen]) -> Bool = { _ in true }) { self.answer = answer }

    func take(_ batch: MessageBatch) -> BatchOutcome {
        let messages = batch.entries.map { entry in
            let payload = entry.start + entry.topicLength
            return Seen(
                topic: String(decoding: batch.bytes[entry.start..<payload], as: UTF8.self),
                payload: String(decoding: batch.bytes[payload..<payload + entry.payloadLength], as: UTF8.self), qos: entry.qos,
                isRetained: entry.flags.contains(.retained))
        }
        let isTaken = answer(messages)
        events.change { $0 += messages.map { isTaken ? .took($0) : .refused($0) } }
        return isTaken ? .stored : .refused
    }
    func connected() { events.change { $0.append(.connected) } }
    func backlogEnded() { events.change { $0.append(.backlogEnded) } }
    func disconnected(reason: String) { events.change { $0.append(.disconnected) } }

    var taken: [Seen] { Self.taken(events.value) }

    static func taken(_ events: [Event]) -> [Seen] {
        events.compactMap { if case .took(let message) = $0 { message } else { nil } }
    }

    /// Waits until `count` messages were taken.
    func taken(_ count: Int) async throws -> [Seen] {
        try await events.first("\(count) messages") { events in
            let taken = Self.taken(events)
            return taken.count >= count ? taken : nil
        }
    }

    /// Waits for the `count`th connection whose backlog is read.
    func live(_ count: Int = 1) async throws {
        try await events.first("connection \(count)") { $0.count { $0 == .backlogEnded } >= count ? true : nil }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Unique for a test, so that tests share a broker.
func uniqueName(_ prefix: String) -> String { "\(prefix)-\(UUID().uuidString.prefix(8))" }

func configuration(
    _ version: MQTTConfiguration.Version = .v5, url: String? = nil, clientID: String = uniqueName("test"), shareGroup: String? = nil,
    keepAlive: Duration = .seconds(60)
) throws -> MQTTConfiguration {
    try MQTTConfiguration(
        url: url ?? environment("NODESPHERE_MQTT_URL"), clientID: clientID, version: version.rawValue, shareGroup: shareGroup,
        keepAlive: keepAlive, sessionExpiry: .seconds(120))
}

/// Runs a source while `body` runs.
func withSource<Result>(
    _ source: MQTTTelemetrySource, _ sink: RecordingSink, _ body: () async throws -> Result
) async throws -> Result {
    let running = Task { await source.run(sink) }
    defer { running.cancel() }
    let result = try await body()
    running.cancel()
    await running.value
    return result
}

func withPublisher<Result>(
    _ configuration: MQTTConfiguration, _ body: (MQTTMessagePublisher) async throws -> Result
) async throws -> Result {
    let publisher = MQTTMessagePublisher(configuration, logger: quiet)
    let running = Task { await publisher.run() }
    defer { running.cancel() }
    // The task may not have begun to run yet.
    while await publisher.unreadyReason() == "not running" { await Task.yield() }
    let result = try await body(publisher)
    running.cancel()
    await running.value
    return result
}

extension MQTTMessagePublisher {
    func send(_ topic: String, _ payload: String, qos: UInt8 = 1, retain: Bool = false, properties: [(String, String)] = []) async throws {
        try await publish(topic: topic, payload: Array(payload.utf8), qos: qos, retain: retain, properties: properties)
    }
}
