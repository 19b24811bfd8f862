/// Messages as they came from the broker, in order, packed into one buffer that is used again.
public struct MessageBatch: Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let retained = Flags(rawValue: 1)
        /// DUP: the broker may have sent it before.
        public static let duplicate = Flags(rawValue: 2)
    }
    public struct Entry: Sendable {
        /// Offset and lengths in `bytes`: topic first, payload right behind it.
        public var start: Int
        public var topicLength: Int
        public var payloadLength: Int
        public var packetID: UInt16
        public var qos: UInt8
        public var flags: Flags
    }

    public private(set) var bytes: [UInt8] = []
    public private(set) var entries: [Entry] = []

    public init() {}

    public var isEmpty: Bool { entries.isEmpty }
    public var count: Int { entries.count }

    public mutating func append(
        topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, packetID: UInt16 = 0, qos: UInt8 = 0, flags: Flags = []
    ) {
        entries.append(
            Entry(start: bytes.count, topicLength: topic.count, payloadLength: payload.count, packetID: packetID, qos: qos, flags: flags))
        bytes.append(contentsOf: topic)
        bytes.append(contentsOf: payload)
    }

    public mutating func append(topic: String, payload: [UInt8], packetID: UInt16 = 0, qos: UInt8 = 0, flags: Flags = []) {
        var topic = topic
        topic.withUTF8 { topic in
            payload.withUnsafeBytes {
                append(topic: UnsafeRawBufferPointer(topic), payload: $0, packetID: packetID, qos: qos, flags: flags)
            }
        }
    }

    /// Keeps the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
    }
}

/// One subscription at the broker.
public struct Subscription: Hashable, Sendable {
    /// With `$share/…` where given, captures as wildcards.
    public var filter: String
    public var qos: UInt8
    public init(filter: String, qos: UInt8) {
        self.filter = filter
        self.qos = qos
    }
}

/// What became of a batch.
public enum BatchOutcome: Sendable {
    /// It is stored, and its messages may be acknowledged.
    case stored
    /// It was not taken: the messages have to be given again.
    case refused
    /// It was taken, but could not be stored in time: the messages may not be acknowledged, and count as taken when they come again.
    case waiting
}

/// Takes what a telemetry source reads; called on the source's own thread, one call at a time.
public protocol TelemetrySink: Sendable {
    /// Returns when what the batch caused is stored, or could not be in time: then the source acknowledges nothing, disconnects and lets the broker's session hold
    /// the messages (they come again).
    func take(_ batch: MessageBatch) -> BatchOutcome
    /// The connection is there and the subscriptions are acknowledged; what the broker held follows.
    func connected()
    /// The socket was idle for the first time after `connected` (or 2 s have passed): what was held is read.
    func backlogEnded()
    func disconnected(reason: String)
}

/// Where telemetry comes from.
///
/// Contract
/// * Messages of one device come in the order the broker sent them.
/// * A QoS 1 or 2 message is acknowledged only after `take` returned true for its batch; if the process ends before, it comes again.
/// * `subscribe` gives the whole wanted set; the source works out what to add and to remove, now and at every reconnect. `leftovers` are filters that an earlier run of this
///   client id had subscribed: those not wanted any more are unsubscribed.
/// * Reconnects for ever, with back-off between 0.1 s and 30 s and jitter; `unreadyReason` says what is wrong meanwhile.
public protocol TelemetrySource: Sendable {
    func subscribe(to wanted: [Subscription], leftovers: [String]) async
    /// Reads until cancelled; then disconnects after the last acknowledgements have gone out.
    func run(_ sink: any TelemetrySink) async
    func unreadyReason() async -> String?
}
