/// One notification on its way to the outside.
public struct Notification: Sendable, Equatable {
    /// The intent's id: goes along so that a receiver can tell a repetition.
    public var id: String
    public var receiver: String
    /// The Alertmanager webhook document (version "4") with `nodesphere`.
    public var document: Document
    public init(id: String, receiver: String, document: Document) {
        self.id = id
        self.receiver = receiver
        self.document = document
    }
}

/// What a channel says of one attempt.
public enum ChannelResult: Sendable, Equatable {
    case delivered
    /// May go through later: out of reach, 5xx, 429. `after` when the receiver said how long to wait.
    case failed(reason: String, retryAfter: Duration?)
    /// Will not go through however often it is tried (4xx, a template that cannot be filled in).
    case rejected(reason: String)
}

/// Brings a notification to the outside: a webhook, a topic, a log.
///
/// Contract: one call is one attempt, which ends within the channel's own time limit; no retries inside. Calls may be under way at once. A cancelled call
/// ends soon; its outcome is then unknown. Reasons hold no secrets.
public protocol NotificationChannel: Sendable {
    /// `webhook`, `log`, `mqtt`.
    var kind: String { get }
    func deliver(_ notification: Notification) async -> ChannelResult
}

/// A channel that also says whether a failed attempt may have reached the receiver all the same: the end of an alert is told to
/// whoever may have heard that it fires.
public protocol NotificationAttempting: NotificationChannel {
    func attempt(_ notification: Notification) async -> AttemptResult
}

extension NotificationAttempting {
    public func deliver(_ notification: Notification) async -> ChannelResult { await attempt(notification).result }
}
