import CEL

/// Slots below this are fields of the subject; those from here on are computed for an evaluation.
let firstExtraSlot = 4096

/// Something an expression sees that is no field: its slot is `firstExtraSlot` plus its place.
struct Extra: Sendable {
    enum Kind: Sendable {
        /// A capture of the instance's key, by its place in `by`.
        case capture(Int)
        /// A path in the effective configuration, by its place in `SourcePlan.configPaths`.
        case config(Int)
        case deviceLabel(String)
        /// By its place in `SourcePlan.variablePaths`.
        case variable(Int)
        case now
        /// Over the values before this reading.
        case previous(Program)
        case changed(Program)
        case became(Program)
        /// Time since a field was set, by its place in `SourcePlan.ageFields`.
        case age(Int)
        /// A `let`.
        case binding(Program)
        /// A field of the last reading on another topic, by its place in `SourcePlan.latests` and in that source's fields.
        case latest(Int, Int)
        /// The members of the instance, by their place in `SourcePlan.memberLists`.
        case members(Int)
        /// A column of a side input, by its place in `SourcePlan.sides` and in the query's `sideColumns`.
        case side(Int, Int)
        /// A window over recorded readings, by the place of its query in `SourcePlan.sides` and its number among those of the query.
        case recorded(Int, Int)
        /// A window over the instance's history, by its number in `SourcePlan.windowPlan`.
        case window(Int)
        /// Of the clock on some wall, by its place in `SourcePlan.calendars`.
        case calendar(Int)
        /// Where the device, or else the server, stands.
        case sun(SunMember)
        case alertState, alertValue, alertActiveAt
        case label(String)
    }
    var kind: Kind
    /// Fields it depends on, directly or through others.
    var fields: [Int]
    /// Extras it depends on, each after those it needs itself; not itself.
    var needs: [Int32]
    /// Whether its value is that of one reading (`previous`, `changed`, `became`).
    var isEdge: Bool
    /// Whether it is about the alert whose texts are written, so that two rules never share its value.
    var isOfAlert: Bool
}

/// What expressions see of the sun.
enum SunMember: String, CaseIterable, Sendable {
    case elevation
    case isUp = "is_up"
    case nextRise = "next_rise"
    case nextSet = "next_set"
}

extension Extra.Kind {
    /// Whether it is about an alert, not about its instance.
    var isOfAlert: Bool {
        switch self {
        case .alertState, .alertValue, .alertActiveAt, .label: true
        default: false
        }
    }
}

extension Extra.Kind {
    var isWindow: Bool {
        switch self {
        case .window, .recorded: true
        default: false
        }
    }

    var isLatest: Bool { if case .latest = self { true } else { false } }
    var isMembers: Bool { if case .members = self { true } else { false } }

    /// Whether it is another one when the device's document changes.
    var isOfDevice: Bool {
        switch self {
        case .config, .deviceLabel, .sun: true
        default: false
        }
    }
}

/// A `slot op constant` of one field, somewhere in a rule's conditions.
struct Threshold: Sendable {
    var value: Double
    var rule: Int32
}

/// Rules with the same `on` and `by` share a source: its subjects keep their last known values once, however many rules read them.
struct SourcePlan: Sendable {
    var key: SourceKey
    var fields: [FieldPath] = []
    var extras: [Extra] = []
    var configPaths: [[FieldPath.Element]] = []
    var variablePaths: [[FieldPath.Element]] = []
    var calendars: [CalendarFunction] = []
    /// Fields whose time of setting is kept.
    var ageFields: [Int] = []
    /// Rules that are evaluated at readings, by what makes it necessary. Numbers of `EvaluationPlan.rules`.
    var onEveryReading: [Int32] = []
    /// By field: when the field is carried, whatever its value.
    var onPresence: [[Int32]] = []
    /// By field: when its value differs from the one before.
    var onChange: [[Int32]] = []
    /// By field, rising: when its value crosses or meets the constant.
    var thresholds: [[Threshold]] = []
    /// All rules, rising.
    var rules: [Int32] = []
    /// Rules with `missing`, rising.
    var missingRules: [Int32] = []
    var readsEdges = false
    /// Whether the device of a subject follows from its key.
    var hasFixedDevice = false

    /// Whether expressions see the device's configuration or labels.
    var usesDevices = false
    /// Expressions whose values windows keep, in the order of `windowPlan`'s: an inner window's before the outer's.
    var sampled: [SampledExpression] = []
    /// Nil when no rule asks for a window.
    var windowPlan: WindowPlan?

    /// Other topics whose last readings its rules see.
    var latests: [LatestPlan] = []
    /// Rules that see its last readings by `latest`, where it is a source for that.
    var dependents: [DependentRules] = []
    /// What its rules see of the members of their instances: one for each rule that does.
    var memberLists: [MemberListPlan] = []
    /// Where it is a source of members: what is seen of one, and by whom.
    var membership = MembershipPlan()
    /// Side inputs and recorded readings that its rules see.
    var sides: [SidePlan] = []

    /// Rules with `sequence`, in the order of their runs.
    var sequences: [Int32] = []

    /// Whether a deadline of `missing` is learned from the intervals of readings.
    var learnsIntervals = false

    var isOnClock: Bool { key.subscriptions.isEmpty && key.query == nil }
    /// Whether its instances are fed by several devices.
    var isGroup: Bool { key.subscriptions.contains { !Set($0.filter.captures).isSubset(of: key.by) } }
    /// Whether readings say when they were measured, so that instances have a time of their own.
    var hasEventTime: Bool { key.subscriptions.contains { $0.timeField != nil || $0.takesDecodersTime } }
}

/// An expression that is evaluated at each reading which carries one of its fields, for the windows over it.
struct SampledExpression: Sendable {
    var program: Program
    var samples: SampleKind
    /// What has to be computed for it, each after what it needs itself.
    var extras: [Int32]
    var fields: [Int]
    /// Whether it looks at members, so that every reading is one of its own.
    var isOfMembers: Bool
}

/// The last readings on topics that `latest` names: of which source, and where in the instance's key the values of its captures stand.
struct LatestPlan: Hashable, Sendable {
    var source: Int32
    var keyPlaces: [Int]
}

/// Rules of one source that are evaluated at each reading of another.
struct DependentRules: Sendable {
    var source: Int32
    /// In `SourcePlan.latests` of that source.
    var latest: Int
    var rules: [Int32]
}

/// A side input of a source: which query, and where in the instance's key the values of its tags stand.
struct SidePlan: Hashable, Sendable {
    var query: Int
    var keyPlaces: [Int]
}

/// What makes two rules share a source.
struct SourceKey: Hashable, Sendable {
    var subscriptions: [TopicSubscription]
    /// The query whose series are the instances, instead of topics.
    var query: HistoryQuery?
    /// Of a query: how the device is named by its tags.
    var device: [TopicSubscription.DevicePart]?
    var by: [String]
    /// Whether it only remembers readings for `latest`, and has no rules.
    var isLatest = false
    /// Set where it only remembers readings for `members`, and has no rules.
    var membership: Membership?

    /// Whether its readings are there for the rules of other sources.
    var isForOthers: Bool { isLatest || membership != nil }

    /// What `latest` names: an instance for each topic.
    init(latest filter: TopicFilter) {
        subscriptions = [TopicSubscription(filter: filter, qos: 0)]
        by = filter.captures
        isLatest = true
    }

    init(_ rule: Rule) {
        subscriptions = Self.plain(rule)
        query = rule.query
        device = rule.device
        by = rule.by
    }

    static func plain(_ rule: Rule) -> [TopicSubscription] {
        rule.subscriptions.map { subscription in
            var plain = subscription
            plain.qos = 0
            return plain
        }
    }
}

/// A text with its expressions compiled.
struct TemplatePlan: Sendable {
    enum Part: Sendable {
        case literal(String)
        case program(Program, extras: [Int32])
    }
    var parts: [Part]
}

struct LevelPlan: Sendable {
    var name: String?
    var condition: Program
    var recovery: Program?
}

/// A rule frozen for evaluation.
final class RulePlan: Sendable {
    let rule: Rule
    let number: Int32
    let source: Int32
    /// Empty where there is a sequence.
    let levels: [LevelPlan]
    let sequence: SequencePlan?
    let timing: LifecycleTiming
    /// The conditions of its levels, or of its steps.
    let conditions: [Program]
    /// Extras that the conditions need, each after those it needs itself.
    let extras: [Int32]
    /// Fields that the conditions read.
    let fields: [Int]
    let texts: TextPlans
    /// Comparisons of `age(x)` with something that does not depend on readings.
    let ageTurns: [AgeTurn]
    /// Extras that are windows, which move when samples leave them.
    let windows: [Int32]
    /// Comparisons of the time for which a condition held with something that does not depend on readings.
    let windowTurns: [WindowTurn]
    /// What in its conditions turns by the clock alone, whatever readings say.
    let clockTurns: [ClockTurn]
    /// What the rule means: rules of equal meaning keep their alerts' state across a reload.
    let meaning: String
    let everyNanoseconds: Int64
    /// Whether its conditions can turn while no reading comes.
    let turnsByTime: Bool
    /// The number of the query whose series are its instances.
    let query: Int?
    /// Numbers of all queries that it sees.
    let queries: [Int]
    /// Filters of the other topics that it sees, in conditions or texts.
    let latestFilters: [TopicFilter]
    /// The source of the members that it sees, in conditions or texts; -1: it sees none.
    let memberSource: Int32
    /// Fields without one of which a reading is nothing to the rule. Of a group every reading is one of a member.
    let countedFields: [Int]

    /// Whether it tells of occurrences: of readings, or of sequences of them.
    let isEvent: Bool
    /// Whether its conditions see more than the fields as they are remembered.
    let usesFrame: Bool
    /// Whether labels hold anything but fixed text and the key, so that they have to be kept with the alert.
    let hasVariableLabels: Bool

    /// What is evaluated when an alert of the rule changes, and only then.
    struct TextPlans: Sendable {
        var value: Program?
        var valueExtras: [Int32] = []
        var labels: [(name: String, template: TemplatePlan)] = []
        var annotations: [(name: String, template: TemplatePlan)] = []
        var firingActions: [ActionPlan] = []
        var resolvedActions: [ActionPlan] = []
    }

    enum ActionPlan: Sendable {
        case publish(topic: TemplatePlan, payload: TemplatePlan, qos: UInt8, retain: Bool)
        case call(ActionFunction, arguments: ArgumentPlan)
    }

    indirect enum ArgumentPlan: Sendable {
        case constant(Document)
        case value(Program, extras: [Int32])
        case text(TemplatePlan)
        case list([ArgumentPlan])
        case object([(name: String, value: ArgumentPlan)])
    }

    /// The comparison of an age turns when the age reaches a limit, or one nanosecond later.
    struct AgeTurn: Sendable {
        enum Limit: Sendable {
            case constant(Int64)
            /// The slot of an extra that is a duration.
            case slot(Int)
        }
        var place: Int
        var limit: Limit
        /// For each instant at which it turns: what is added to the limit.
        var offsets: [Int64]
    }

    /// `duration_over_time` or `share_over_time` passes a limit while time passes.
    struct WindowTurn: Sendable {
        /// The extra that is the window.
        var window: Int32
        var limit: Atom.Operand
    }

    /// Something in a condition that turns at instants of the engine's time.
    enum ClockTurn: Hashable, Sendable {
        /// By its place in `SourcePlan.calendars`.
        case calendar(Int)
        /// The sun crosses the horizon.
        case horizon
        /// The sun crosses an elevation that does not depend on readings.
        case elevation(Double)
        /// The same, where the elevation is in the slot of an extra.
        case elevationInSlot(Int)
    }

    init(
        _ rule: Rule, number: Int32, source: Int32, levels: [LevelPlan], sequence: SequencePlan?, extras: [Int32], fields: [Int],
        texts: TextPlans, ageTurns: [AgeTurn], windows: [Int32], windowTurns: [WindowTurn], clockTurns: [ClockTurn], query: Int?,
        queries: [Int], latestFilters: [TopicFilter], memberSource: Int32
    ) {
        self.rule = rule
        self.number = number
        self.source = source
        self.levels = levels
        self.sequence = sequence
        self.extras = extras
        self.fields = fields
        self.texts = texts
        self.ageTurns = ageTurns
        self.windows = windows
        self.windowTurns = windowTurns
        self.clockTurns = clockTurns
        self.query = query
        self.queries = queries
        self.latestFilters = latestFilters
        self.memberSource = memberSource
        countedFields = memberSource < 0 ? fields : []
        timing = LifecycleTiming(pending: rule.levels.map(\.pendingDuration.inNanoseconds), keepFiring: rule.keepFiringFor.inNanoseconds)
        meaning = rule.meaning
        conditions = levels.map(\.condition) + (sequence?.steps.map(\.condition) ?? [])
        turnsByTime = !(ageTurns.isEmpty && windows.isEmpty && clockTurns.isEmpty)
        everyNanoseconds = rule.every?.inNanoseconds ?? 0
        isEvent = rule.isEvent
        usesFrame = !extras.isEmpty || rule.isEvent
        hasVariableLabels = texts.labels.contains { label in label.template.parts.contains { if case .program = $0 { true } else { false } }
        }
    }
}
