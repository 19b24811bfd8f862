public import Logging
public import RuleEngine
import Synchronization

/// Telemetry from an MQTT broker.
///
/// Subscriptions are made at QoS 1 at most. libmosquitto hands a QoS 2 message over only after PUBREC has told the broker that it is ours, so a crash in between
/// would lose it; at QoS 1 nothing is acknowledged before it is stored, and repetitions are recognised. What is published at QoS 2 is sent to us at QoS 1.
///
/// With a share group, filters that overlap can bring a message to two members of the group, which no single member can see.
public final class MQTTTelemetrySource: TelemetrySource {
    private let configuration: MQTTConfiguration
    private let logger: Logger
    private let shared: TelemetryShared

    public init(_ configuration: MQTTConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        shared = TelemetryShared()
    }

    public var counters: MQTTCounters { shared.tally.counters }

    public func subscribe(to wanted: [Subscription], leftovers: [String]) async {
        // A leftover may stem from a run without the share group.
        let candidates = leftovers + leftovers.map(configuration.effectiveFilter)
        let subscriptions = wanted.map { (filter: configuration.effectiveFilter($0.filter), qos: min($0.qos, 1)) }
        shared.state.withLock { $0.order = .init(wanted: subscriptions, leftovers: ($0.order?.leftovers ?? []) + candidates) }
        shared.wakeUp.signal()
    }

    /// A QoS 1 message that an earlier run of this client id took.
    public struct TakenMessage: Sendable {
        public var packetID: UInt16
        public var topic: [UInt8]
        public var payload: [UInt8]

        public init(packetID: UInt16, topic: [UInt8], payload: [UInt8]) {
            self.packetID = packetID
            self.topic = topic
            self.payload = payload
        }
    }

    /// Messages that were taken before a crash and whose acknowledgements may not have gone out: sent again, they are dropped. To be called before `run`.
    public func expectRepetitions(of messages: [TakenMessage]) { shared.state.withLock { $0.earlier = messages } }

    /// One call at a time.
    public func run(_ sink: any TelemetrySink) async {
        let thread = ConnectionThread()
        await thread.run(name: "mqtt-telemetry", wakeUp: shared.wakeUp) { [configuration, logger, shared] in
            guard let loop = TelemetryLoop(configuration, sink: sink, shared: shared, thread: thread, logger: logger) else {
                logger.error("libmosquitto cannot be used: no memory for a client")
                return
            }
            loop.run()
        }
        shared.state.withLock { $0.unreadyReason = "not running" }
    }

    public func unreadyReason() async -> String? { shared.state.withLock { $0.unreadyReason } }
}

/// What a source and its thread have in common.
final class TelemetryShared: Sendable {
    /// The newest call of `subscribe` that the thread has not seen.
    struct Order {
        var wanted: [(filter: String, qos: UInt8)]
        var leftovers: [String]
    }
    struct State {
        var order: Order?
        var unreadyReason: String? = "not connected yet"
        var earlier: [MQTTTelemetrySource.TakenMessage] = []
    }
    let state = Mutex(State())
    let tally = MQTTTally()
    let wakeUp = WakeUp()
}
