/// Where an alert instance stands, for people, stores and the API.
public enum AlertState: String, Sendable, CaseIterable {
    case inactive, pending, firing, recovering, resolved, nodata

    /// What receivers and routes see: recovering is firing.
    public var isFiring: Bool { self == .firing || self == .recovering || self == .nodata }
}

/// Why an alert changed.
public enum TransitionReason: String, Sendable {
    case condition, duration = "for", kept = "keep_firing_for", level, occurrence, missing, limit
    case script, scriptRemoved = "script removed"
    case ruleChanged = "rule changed", ruleRemoved = "rule removed", deviceRemoved = "device removed"
}

/// One episode of an alert instance, as it is stored: `alerts` in the state store, the item of `GET /api/v1/alerts`.
public struct AlertRecord: Sendable, Equatable {
    /// Stable for the instance; `activeAt` tells episodes apart.
    public var id: String
    public var rule: RuleIdentity
    /// Values of the rule's `by`, in its order.
    public var key: [String]
    /// Identity of the episode: engine instant of the input that made it leave inactive and the ordinal of that input among those of its instant.
    public var activeAt: Instant
    public var ordinal: Int64
    /// Counts the transitions of the episode from 1.
    public var transition: Int64
    public var labels: [String: String]
    public var annotations: [String: String]
    public var state: AlertState
    /// Name of the level; nil without `levels`.
    public var level: String?
    /// The level's place among the rule's levels, mildest first; nil without `levels`.
    public var levelPlace: Int?
    /// Pending-since of every level that is pending, by the level's place in the rule, and of the recovering run.
    public var pendingSince: [Int: Instant]
    public var recoveringSince: Instant?
    public var value: Document
    public var firedAt: Instant?
    public var resolvedAt: Instant?
    /// When the last transition happened, and why.
    public var changedAt: Instant
    public var reason: TransitionReason
    public var isShadow: Bool
    /// The device, when the rule's source names one.
    public var device: String?
    /// The fields that the rule reads, as they were at the transition, by their paths.
    public var fields: Document
    /// Of an instance with a time of its own: what it was at the last transition. Instants in which `for` and `keep_firing_for` count are of that time, and so are `firedAt` and
    /// `resolvedAt`.
    public var instanceTime: Instant?
    /// Of a rule with `event: true`: sent once, never resolved.
    public var isOccurrence: Bool
    /// Actions of the last transition that are not known to have been carried out.
    public var pendingActions: [ActionRequest] = []

    public init(
        id: String, rule: RuleIdentity, key: [String], activeAt: Instant, ordinal: Int64, transition: Int64, labels: [String: String],
        annotations: [String: String] = [:], state: AlertState, level: String? = nil, pendingSince: [Int: Instant] = [:],
        recoveringSince: Instant? = nil, value: Document = .null, firedAt: Instant? = nil, resolvedAt: Instant? = nil, changedAt: Instant,
        reason: TransitionReason, isShadow: Bool = false, device: String? = nil, fields: Document = .emptyObject, isOccurrence: Bool = false
    ) {
        self.id = id
        self.rule = rule
        self.key = key
        self.activeAt = activeAt
        self.ordinal = ordinal
        self.transition = transition
        self.labels = labels
        self.annotations = annotations
        self.state = state
        self.level = level
        self.pendingSince = pendingSince
        self.recoveringSince = recoveringSince
        self.value = value
        self.firedAt = firedAt
        self.resolvedAt = resolvedAt
        self.changedAt = changedAt
        self.reason = reason
        self.isShadow = isShadow
        self.device = device
        self.fields = fields
        self.isOccurrence = isOccurrence
    }

    /// Identity of the episode, as groups and intents refer to it.
    public var episode: String { "\(id)-\(activeAt.nanoseconds)-\(ordinal)" }

    /// What it is stored under: an instance has one document, an occurrence one of its own.
    public var storageID: String { isOccurrence ? episode : id }
}

/// A change of an alert that was decided: the record as it is after it.
public struct AlertTransition: Sendable, Equatable {
    public var from: AlertState
    public var alert: AlertRecord
    public init(from: AlertState, alert: AlertRecord) {
        self.from = from
        self.alert = alert
    }
    public var isOccurrence: Bool { alert.isOccurrence }
    /// Never used twice.
    public var id: String { "\(alert.episode)-\(alert.transition)" }
}
