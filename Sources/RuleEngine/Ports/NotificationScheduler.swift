/// A message of the notification pipeline, due at an instant.
public struct ScheduledMessage: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// "Look at this group again": group_wait, group_interval, repeat_interval have run out. Carries no content.
        case wake(groupKey: String)
        /// An intent for a receiver's channel. `severity` and `status` are parts of its routing key.
        case delivery(receiver: String, severity: String?, status: String)
    }
    /// Of a delivery: the intent's id, the same at every attempt. Of a wake: free.
    public var id: String
    public var kind: Kind
    public var dueAt: Instant
    /// 0 at first, one more at each retry.
    public var attempt: Int
    /// Of a delivery: the CloudEvents JSON document. Of a wake: empty.
    public var body: [UInt8]

    public init(id: String, kind: Kind, dueAt: Instant, attempt: Int = 0, body: [UInt8] = []) {
        self.id = id
        self.kind = kind
        self.dueAt = dueAt
        self.attempt = attempt
        self.body = body
    }
}

/// What to do with a message that came due, decided against the present state.
public enum DueDecision: Sendable, Equatable {
    /// A delivery that still applies: on to its receiver's channel.
    case deliver
    /// Dealt with (a wake), or no longer wanted (a delivery): acknowledge it.
    case done
    /// Cannot be decided now (the store is away): offer it again after so long.
    case later(Duration)
}

/// What became of an attempt.
public enum DeliveryOutcome: Sendable, Equatable {
    /// Delivered and recorded, or already recorded earlier: acknowledge it.
    case done
    /// Try again after so long, with one attempt more.
    case retry(after: Duration)
    /// Failed for good: to the dead letters with this reason.
    case dead(reason: String)
    /// Nothing was tried (the store is away): offer the same attempt again after so long.
    case later(Duration)
}

/// The server's side of the scheduler: called from the scheduler's consumers, several calls may be under way at once, but one at a time for one message id.
public protocol ScheduledMessageConsumer: Sendable {
    func due(_ message: ScheduledMessage) async -> DueDecision
    func deliver(_ message: ScheduledMessage) async -> DeliveryOutcome
}

public enum SchedulerFailure: Error, Sendable, CustomStringConvertible {
    /// Out of reach or not confirmed: schedule again later; the id is the same.
    case unavailable(String)
    case refused(String)
    public var description: String {
        switch self {
        case .unavailable(let reason), .refused(let reason): reason
        }
    }
}

/// Carries messages to the instant they are due, durably: what `schedule` has taken outlives the server.
///
/// Contract
/// * **Durability**: when `schedule` returns, every message outlives a crash (publisher confirms; a committed row).
/// * **Time**: a message never comes early; late by the store's own delays (about a second is allowed on delays above 1 s, the broker counts whole seconds rounded up).
///   One whose `dueAt` has passed comes at once. A delivery that is due when scheduled goes straight to its channel; one that comes due
///   later is first given to `due`.
/// * **Duplicates**: at least once; the consumer recognises a repeated id.
/// * **Order**: none between messages.
/// * **Acknowledgement**: a message is given up only after the consumer's answer was carried out (for a retry: after the next attempt is stored).
/// * **Failure**: while the broker is away `schedule` throws `unavailable`; consumers reconnect by themselves with back-off.
/// * **Cancellation**: `run` returns after the calls under way have ended; what they were about is offered again at the next start.
public protocol NotificationScheduler: Sendable {
    func schedule(_ messages: [ScheduledMessage]) async throws(SchedulerFailure)
    /// Names of the receivers that have a channel here; declares what they need. Called before `run` and again when they change.
    func setReceivers(_ names: [String]) async throws(SchedulerFailure)
    /// Consumes until cancelled.
    func run(_ consumer: any ScheduledMessageConsumer) async
    /// What failed for good, newest last: id, receiver, reason, body.
    func deadLetters(limit: Int) async throws(SchedulerFailure) -> [DeadLetter]
    func unreadyReason() async -> String?
}

public struct DeadLetter: Sendable, Equatable {
    public var message: ScheduledMessage
    public var reason: String
    public init(message: ScheduledMessage, reason: String) {
        self.message = message
        self.reason = reason
    }
}
