import CEL

/// A rule's `sequence` frozen for evaluation.
struct SequencePlan: Sendable {
    struct Step: Sendable {
        var condition: Program
        var isAbsence: Bool
        /// How long after the step before in nanoseconds; nil: whenever it comes.
        var within: Int64?
        /// A bit for each of the source's subscriptions: those whose readings the step looks at.
        var subscriptions: UInt64
        /// Extras that the condition needs, each after those it needs itself.
        var extras: [Int32]
    }
    /// At least two, of which the first has no `within`, and only the last may be an absence, which has one.
    var steps: [Step]
    /// Among the sequences of its source.
    var place: Int

    /// The bit of a subscription by its place in the source; nothing for one that there is no bit for.
    static func bit(of subscription: some BinaryInteger) -> UInt64 { 1 << subscription }
}
