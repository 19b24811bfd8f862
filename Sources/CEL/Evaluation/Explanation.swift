/// What every part of an expression came to in one evaluation.
public struct Explanation: Sendable {
    public struct Step: Sendable {
        public var span: Span
        /// The part's source text.
        public var text: String
        /// The last value it had; nil when it had none.
        public var value: Value?
        /// Why it had no value.
        public var failure: String?
        /// How often it was evaluated: more than once inside a comprehension.
        public var count: Int
    }

    public var source: String
    /// In the order in which they were finished, inner parts before outer ones.
    public var steps: [Step]
    public var outcome: Program.Outcome
}

/// The traced form of a program.
struct TracedTree: Sendable {
    var root: Operation
    var localCount: Int
}
