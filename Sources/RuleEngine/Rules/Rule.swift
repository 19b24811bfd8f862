/// One filter of a rule's `on`, with its options.
public struct TopicSubscription: Hashable, Sendable {
    public enum Decoder: Hashable, Sendable {
        /// JSON object, else any JSON value or plain text as `value`.
        case automatic
        /// The payload as a string in `value`.
        case text
        /// The payload as bytes in `value`.
        case bytes
        /// A decoder that a plugin provides.
        case named(String)
    }
    public enum Retained: String, Hashable, Sendable { case use, skip }

    public var filter: TopicFilter
    public var decoder: Decoder
    /// The field that holds the event time, as a path of names.
    public var timeField: [String]?
    /// Whether the event time is the one that the decoder finds; then there is no `timeField`.
    public var takesDecodersTime: Bool
    /// The capture that names the field of a bare scalar payload.
    public var valueAs: String?
    /// How the device's id is made from captures: literal pieces and captures in turn; nil: the capture `device`.
    public var device: [DevicePart]?
    public var qos: UInt8
    public var retained: Retained

    public enum DevicePart: Hashable, Sendable {
        case literal(String)
        case capture(String)
    }

    public init(
        filter: TopicFilter, decoder: Decoder = .automatic, timeField: [String]? = nil, takesDecodersTime: Bool = false,
        valueAs: String? = nil, device: [DevicePart]? = nil, qos: UInt8 = 1, retained: Retained = .use
    ) {
        self.filter = filter
        self.decoder = decoder
        self.timeField = timeField
        self.takesDecodersTime = takesDecodersTime
        self.valueAs = valueAs
        self.device = device
        self.qos = qos
        self.retained = retained
    }
}

/// One severity of a rule. A rule without `levels` has one, without a name.
public struct Level: Sendable {
    /// The label `severity`; nil for the only level of a rule without `levels`.
    public var name: String?
    public var condition: RuleExpression
    public var resolveCondition: RuleExpression?
    /// `for`; zero: fires at once.
    public var pendingDuration: Duration

    public init(name: String? = nil, condition: RuleExpression, resolveCondition: RuleExpression? = nil, pendingDuration: Duration = .zero)
    {
        self.name = name
        self.condition = condition
        self.resolveCondition = resolveCondition
        self.pendingDuration = pendingDuration
    }
}

/// `missing`: what the silence of an instance means.
public struct MissingPolicy: Hashable, Sendable {
    public enum Deadline: Hashable, Sendable {
        case after(Duration)
        /// So many missed beats of the learned median interval; `auto` is 3.
        case beats(Int)
    }
    public enum Outcome: String, Hashable, Sendable { case hold, ok, alert, nodata }
    public var deadline: Deadline
    public var outcome: Outcome
    public init(deadline: Deadline, outcome: Outcome) {
        self.deadline = deadline
        self.outcome = outcome
    }
}

/// A named text of a rule: a label or an annotation.
public struct NamedTemplate: Sendable {
    public var name: String
    public var template: Template
    public init(_ name: String, _ template: Template) {
        self.name = name
        self.template = template
    }
}

/// A named sub-expression.
public struct LetBinding: Sendable {
    public var name: String
    public var expression: RuleExpression
    public init(_ name: String, _ expression: RuleExpression) {
        self.name = name
        self.expression = expression
    }
}

/// An alert rule as an operator wrote it, group defaults applied, everything that can be checked without compiling expressions checked.
public struct Rule: Sendable {
    public enum Mode: String, Sendable { case live, shadow }

    public var identity: RuleIdentity
    /// Where `alert:` stands.
    public var location: SourceLocation
    /// Empty for a rule on the clock (`every` without `on`) and for one with `influx`.
    public var subscriptions: [TopicSubscription]
    /// `influx`: the query whose series are the instances, instead of topics.
    public var query: HistoryQuery?
    /// Of a query: the device that an instance is of, by its tags; nil: the one that the tag `device` names.
    public var device: [TopicSubscription.DevicePart]?
    /// `with`.
    public var sides: [SideInput]
    /// The captures that identify an instance, in the order of the key; worked out when `by` is not given.
    public var by: [String]
    /// Mildest first; empty where there is a `sequence`, and never else.
    public var levels: [Level]
    /// The steps of an event that is made of several readings; empty for none, else at least two.
    public var sequence: [SequenceStep]
    /// Group's first, then the rule's own; an own name hides a group's.
    public var lets: [LetBinding]
    public var value: RuleExpression?
    public var keepFiringFor: Duration
    public var missing: MissingPolicy?
    public var every: Duration?
    public var labels: [NamedTemplate]
    public var annotations: [NamedTemplate]
    public var isEvent: Bool
    public var limit: Int?
    public var firingActions: [RuleAction]
    public var resolvedActions: [RuleAction]
    public var mode: Mode
    public var isEnabled: Bool
    /// The YAML text of the rule, as it stands in its file.
    public var yaml: String

    public init(identity: RuleIdentity, location: SourceLocation, subscriptions: [TopicSubscription], by: [String], levels: [Level]) {
        self.identity = identity
        self.location = location
        self.subscriptions = subscriptions
        self.by = by
        self.levels = levels
        sequence = []
        lets = []
        sides = []
        value = nil
        keepFiringFor = .zero
        missing = nil
        every = nil
        labels = []
        annotations = []
        isEvent = false
        limit = nil
        firingActions = []
        resolvedActions = []
        mode = .live
        isEnabled = true
        yaml = ""
    }

    public var hasLevels: Bool { levels.first?.name != nil }

    /// A rule has at most so many filters where it has a `sequence`: what of a reading's topic steps ask is a bit for each.
    public static let maximumSequenceFilters = UInt64.bitWidth
}
