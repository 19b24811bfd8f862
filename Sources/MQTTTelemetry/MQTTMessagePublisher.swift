import CMosquitto
public import Logging
public import RuleEngine
import Synchronization

/// Publishes over a connection of its own: that of the telemetry withholds its writes while a batch is being stored.
///
/// The session is a clean one. Nothing is sent again by itself: a message whose answer did not come is reported as `unavailable`, and the caller decides.
public final class MQTTMessagePublisher: MessagePublisher {
    /// Messages that may wait for a connection or an answer; more are refused as `unavailable`.
    static let waitingLimit = 10_000
    static let timeLimit = Duration.seconds(10)

    private let configuration: MQTTConfiguration
    private let clientID: String
    private let logger: Logger
    private let shared = PublisherShared()

    /// The client id is that of `configuration` with `clientIDSuffix` behind it.
    public init(_ configuration: MQTTConfiguration, clientIDSuffix: String = "-publisher", logger: Logger) {
        self.configuration = configuration
        clientID = configuration.clientID + clientIDSuffix
        self.logger = logger
    }

    /// Keeps the connection until cancelled; what waits then gets a second to be acknowledged. One call at a time.
    public func run() async {
        let thread = ConnectionThread()
        shared.state.withLock { state in
            state.isRunning = true
            state.unreadyReason = "not connected yet"
        }
        await thread.run(name: "mqtt-publisher", wakeUp: shared.wakeUp) { [configuration, clientID, logger, shared] in
            PublisherLoop(configuration, clientID: clientID, shared: shared, thread: thread, logger: logger).run()
        }
        shared.state.withLock { $0.unreadyReason = "not running" }
    }

    public func unreadyReason() async -> String? { shared.state.withLock { $0.unreadyReason } }

    public func publish(
        topic: String, payload: [UInt8], qos: UInt8, retain: Bool, properties: [(String, String)]
    ) async throws(PublishFailure) {
        if let mistake = Self.mistake(topic: topic, payload: payload, qos: qos, properties: properties) { throw .refused(mistake) }
        let outcome = await withCheckedContinuation { continuation in
            let request = PublishRequest(
                topic: topic, payload: payload, qos: qos, retain: retain, properties: properties, deadline: .now + Self.timeLimit,
                continuation: continuation)
            let objection = shared.state.withLock { state -> String? in
                guard state.isRunning else { return "the publisher is not running" }
                guard state.requests.count < Self.waitingLimit else { return "\(Self.waitingLimit) messages wait for the broker already" }
                state.requests.append(request)
                return nil
            }
            if let objection { continuation.resume(returning: .failure(.unavailable(objection))) } else { shared.wakeUp.signal() }
        }
        try outcome.get()
    }

    private static func mistake(topic: String, payload: [UInt8], qos: UInt8, properties: [(String, String)]) -> String? {
        guard !topic.isEmpty, topic.utf8.count <= 65_535, !topic.utf8.contains(0),
            mosquitto_pub_topic_check(topic) == MOSQ_ERR_SUCCESS.rawValue
        else { return "'\(topic)' is no topic to publish to: 1 to 65535 bytes without '+', '#' and U+0000" }
        guard qos <= 2 else { return "QoS is 0, 1 or 2, not \(qos)" }
        // MQTT 5 §2.1.4: the remaining length of a packet is at most 268,435,455 bytes.
        guard payload.count <= 268_000_000 else { return "a payload of \(payload.count) bytes is too large for MQTT" }
        guard properties.allSatisfy({ pair in [pair.0, pair.1].allSatisfy { $0.utf8.count <= 65_535 && !$0.utf8.contains(0) } }) else {
            return "a user property cannot hold U+0000 or be longer than 65535 bytes"
        }
        return nil
    }
}

/// A message on its way to the broker, and who waits for it.
struct PublishRequest: Sendable {
    var topic: String
    var payload: [UInt8]
    var qos: UInt8
    var retain: Bool
    var properties: [(String, String)]
    var deadline: ContinuousClock.Instant
    /// Resumed exactly once, by whoever takes the request out of the last collection that holds it.
    var continuation: CheckedContinuation<Result<Void, PublishFailure>, Never>
}

/// What a publisher and its thread have in common.
final class PublisherShared: Sendable {
    struct State {
        /// Not seen by the thread yet.
        var requests: [PublishRequest] = []
        var isRunning = false
        var unreadyReason: String? = "not running"
    }
    let state = Mutex(State())
    let wakeUp = WakeUp()
}
