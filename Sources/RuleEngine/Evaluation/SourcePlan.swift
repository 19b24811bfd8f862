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
        case alertState, alertValue, alertActiveAt
        case label(String)
    }
    var kind: Kind
    /// Fields it depends on, directly or through others.
    var fields: Set<Int>
    /// Extras it depends on, each after those it needs itself; not itself.
    var needs: [Int32]
    /// Whether its value is that of one reading (`previous`, `changed`, `became`).
    var isEdge: Bool
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
    /// Rules with `missing`, by their deadline, shortest first.
    var missingRules: [Int32] = []
    var readsEdges = false
    /// Whether the device of a subject follows from its key.
    var hasFixedDevice = false

    var isOnClock: Bool { key.subscriptions.isEmpty }
    var usesDevices: Bool { !configPaths.isEmpty || extras.contains { if case .deviceLabel = $0.kind { true } else { false } } }
}

/// What makes two rules share a source.
struct SourceKey: Hashable, Sendable {
    var subscriptions: [TopicSubscription]
    var by: [String]

    init(_ rule: Rule) {
        subscriptions = rule.subscriptions.map { subscription in
            var plain = subscription
            plain.qos = 0
            return plain
        }
        by = rule.by
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
struct RulePlan: Sendable {
    var rule: Rule
    var number: Int32
    var source: Int32
    var levels: [LevelPlan]
    var timing: AlertLifecycleTiming
    /// Extras that the conditions need, each after those it needs itself.
    var extras: [Int32]
    /// Fields that the conditions read.
    var fields: [Int]
    var value: Program?
    var valueExtras: [Int32] = []
    var labels: [(name: String, template: TemplatePlan)] = []
    var annotations: [(name: String, template: TemplatePlan)] = []
    var firingActions: [ActionPlan] = []
    var resolvedActions: [ActionPlan] = []
    /// Comparisons of `age(x)` with a constant: the age place, and the age at which the comparison turns.
    var ageTurns: [(place: Int, nanoseconds: Int64)] = []
    /// What the rule means: rules of equal meaning keep their alerts' state across a reload.
    var meaning: String
    var everyNanoseconds: Int64

    struct ActionPlan: Sendable {
        var topic: TemplatePlan
        var payload: TemplatePlan
        var qos: UInt8
        var retain: Bool
    }

    var isEvent: Bool { rule.isEvent }
    var usesFrame: Bool { !extras.isEmpty || isEvent }
}

typealias AlertLifecycleTiming = LifecycleTiming

extension LifecycleTiming: Sendable {}
