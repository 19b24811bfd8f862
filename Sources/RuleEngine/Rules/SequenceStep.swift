/// One step of a rule's `sequence`.
public struct SequenceStep: Sendable {
    public var condition: RuleExpression
    /// `not`: what the condition says must not happen. Only the last step of a sequence is one.
    public var isAbsence: Bool
    /// How long after the step before it may come at the latest; of an absence, how long it lasts. Nil: it may come at any time.
    public var within: Duration?
    /// The filters whose readings it looks at, by their places in `Rule.subscriptions`.
    public var subscriptions: [Int]

    public init(_ condition: RuleExpression, isAbsence: Bool = false, within: Duration? = nil, subscriptions: [Int]) {
        self.condition = condition
        self.isAbsence = isAbsence
        self.within = within
        self.subscriptions = subscriptions
    }

    /// One text for all that decides how it behaves.
    var meaning: String {
        "\(isAbsence ? "not" : "step") \(condition.canonical) \(within?.inNanoseconds ?? -1) \(subscriptions)"
    }
}
