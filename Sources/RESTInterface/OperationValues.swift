public import RuleEngine

/// A rule as it runs: the item of `/api/v1/rules`.
public struct RuleStatus: Sendable, Equatable {
    public enum Health: String, Sendable {
        case ok, error
        /// Not evaluated since it was loaded.
        case unknown
    }

    public var group: String
    public var name: String
    /// Nil for a rule of a group made through the API.
    public var file: String?
    /// Counts from 1, in the file or in the group's own text.
    public var line: Int
    public var isEnabled: Bool
    /// `live` or `shadow`.
    public var mode: String
    public var health: Health
    public var lastError: String?
    public var lastEvaluationAt: Instant?
    public var evaluations: Int64
    /// Instances by state; states without one may be absent.
    public var instances: [AlertState: Int]
    /// The rule as YAML.
    public var source: String

    public init(
        group: String, name: String, file: String?, line: Int, isEnabled: Bool, mode: String, health: Health, lastError: String? = nil,
        lastEvaluationAt: Instant? = nil, evaluations: Int64 = 0, instances: [AlertState: Int] = [:], source: String
    ) {
        self.group = group
        self.name = name
        self.file = file
        self.line = line
        self.isEnabled = isEnabled
        self.mode = mode
        self.health = health
        self.lastError = lastError
        self.lastEvaluationAt = lastEvaluationAt
        self.evaluations = evaluations
        self.instances = instances
        self.source = source
    }
}

/// A rule group and its text.
public struct GroupText: Sendable, Equatable {
    public var name: String
    /// The form of one entry of `groups:`.
    public var yaml: String
    /// The file it comes from, which makes it read-only here; nil for one made through the API.
    public var file: String?

    public init(name: String, yaml: String, file: String?) {
        self.name = name
        self.yaml = yaml
        self.file = file
    }
}

/// What became of a group that was put. Warnings are diagnostics that do not stand in the way.
public enum GroupPutOutcome: Sendable, Equatable {
    case created(warnings: [Diagnostic])
    case replaced(warnings: [Diagnostic])
    /// A dry run: it could be put.
    case checked(warnings: [Diagnostic])
    /// A group of that name comes from a file.
    case readOnly(file: String)
    /// At least one of them is an error; nothing changed.
    case invalid([Diagnostic])
}

/// What became of a group that was to be removed.
public enum GroupRemovalOutcome: Sendable, Equatable {
    case removed
    case absent
    case readOnly(file: String)
    /// What stays would not hold without it; nothing changed.
    case invalid([Diagnostic])
}

public enum ReloadOutcome: Sendable, Equatable {
    /// Names of the groups that are new, different or gone.
    case reloaded(changed: [String])
    /// At least one is an error; the running rules go on.
    case invalid([Diagnostic])
}

public enum WriteOutcome: Sendable, Equatable {
    case created, replaced
}

/// A value that rules read as `vars.<name>`.
public struct RuleVariable: Sendable, Equatable {
    public var name: String
    public var value: Document
    public init(name: String, value: Document) {
        self.name = name
        self.value = value
    }
}

/// Which alerts are asked for: those in one of the states (any, when there is none) that carry every label.
public struct AlertFilter: Sendable, Equatable {
    public struct Label: Sendable, Equatable {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var states: Set<AlertState>
    public var labels: [Label]
    /// The alert's id, when only one is asked for.
    public var id: String?

    public init(states: Set<AlertState> = [], labels: [Label] = [], id: String? = nil) {
        self.states = states
        self.labels = labels
        self.id = id
    }

    public func matches(_ alert: AlertRecord) -> Bool {
        guard alert.state != .inactive, states.isEmpty || states.contains(alert.state) else { return false }
        if let id, !id.utf8.elementsEqual(alert.id.utf8) { return false }
        // Bytes decide, as everywhere with labels; String's == would take canonically equivalent texts for the same.
        return labels.allSatisfy { label in alert.labels[label.name].map { $0.utf8.elementsEqual(label.value.utf8) } ?? false }
    }
}

/// Whether a part of the server can do its work now.
public struct PartReadiness: Sendable, Equatable {
    /// `mqtt`, `store`, `scheduler`, `influxdb`, `rules`.
    public var name: String
    /// Nil when it is ready, else why not, without secrets.
    public var unreadyReason: String?
    /// Whether the server as a whole counts as not ready while this part is away.
    public var isRequired: Bool

    public init(_ name: String, unreadyReason: String? = nil, isRequired: Bool = true) {
        self.name = name
        self.unreadyReason = unreadyReason
        self.isRequired = isRequired
    }
}
