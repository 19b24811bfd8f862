/// What the configuration says of how many readings and instances are taken. It decides what becomes of them, so it is an input as they are.
public struct EngineBounds: Equatable, Sendable {
    /// Subjects (distinct keys of distinct sources) at most, whoever chooses the topics.
    public var maximumInstances = 1_000_000
    /// A subject without a reading for so long, and without an active alert, is forgotten.
    public var forgetAfter: Duration = .seconds(7 * 86_400)
    /// A reading that was measured so long before the newest one of its instance, at most, is still taken.
    public var allowedLateness: Duration = .seconds(60)

    public init() {}
}

public struct EngineSettings: Sendable {
    public var bounds = EngineBounds()
    /// Parts of the state; the result is the same for any number.
    public var shards = 1

    public init() {}
}

/// What an input caused. The shell stores transitions before it acts on anything else.
public struct EngineEffects: Sendable {
    public var transitions: [AlertTransition] = []
    /// By the query's number: of one that became due twice, the later is asked.
    var queries: [Int: DueQuery] = [:]
    /// What is to be asked.
    public var dueQueries: [DueQuery] { queries.sorted { $0.key < $1.key }.map(\.value) }
    public var isEmpty: Bool { transitions.isEmpty && queries.isEmpty }
    public init() {}
}

/// What the engine counted since it was made.
public struct EngineCounters: Sendable, Equatable {
    public var readings: UInt64 = 0
    public var evaluations: UInt64 = 0
    public var undecodable: [String: UInt64] = [:]
    /// Of decoders of plugins: their last refusals, by name; how many there were stands in `undecodable` under `decoder NAME`.
    public var refusals: [String: DecoderRefusal] = [:]
    public var refusedInstances: [String: UInt64] = [:]
    /// Readings of devices that could be no members any more, by rule.
    public var refusedMembers: [String: UInt64] = [:]
    public var evaluationErrors: [String: UInt64] = [:]
    /// Instants of rules with `influx` that passed without a good answer.
    public var missedEvaluations: [String: UInt64] = [:]
    public var templateFailures: UInt64 = 0
    public var numbersOutOfRange: UInt64 = 0
    public var subjects = 0
    /// Readings measured before the newest one of their instance, those among them that were refused, and stamps that were replaced by the instant of
    /// receipt: more than five minutes ahead; none, or none that can be read.
    public var lateReadings: UInt64 = 0
    public var lateReadingsRefused: UInt64 = 0
    public var stampsAhead: UInt64 = 0
    public var stampsUnreadable: UInt64 = 0
}

/// The last message that a plugin's decoder could not read.
public struct DecoderRefusal: Sendable, Equatable {
    public var topic: String
    public var reason: String
}

extension EngineCounters {
    mutating func refused(by decoder: String, _ failure: TelemetryDecoderFailure, _ topic: UnsafeRawBufferPointer) {
        undecodable["decoder \(decoder)", default: 0] += 1
        refusals[decoder] = DecoderRefusal(topic: String(decoding: topic, as: UTF8.self), reason: failure.reason)
    }
}

/// How a rule is doing, for the API.
public struct RuleActivity: Sendable, Equatable {
    public enum Health: String, Sendable, BitwiseCopyable { case ok, error, unknown }
    public var health: Health = .unknown
    public var lastError: String?
    public var lastEvaluationAt: Instant?
    public var evaluations: UInt64 = 0
    public var instances: [AlertState: Int] = [:]

    public static let unknown = RuleActivity()
}
