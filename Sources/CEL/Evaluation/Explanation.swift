/// What every part of an expression came to in one evaluation.
public struct Explanation: Sendable {
    public struct Step: Sendable {
        /// The part's place in the source.
        public var span: Span
        /// The part's source text.
        public var text: String
        /// The last value it had; nil when it had none.
        public var value: Value?
        /// What to say of it: its value, `29.7 > 30.0 is false` for a comparison, or why there is no value.
        public var summary: String
        /// How often it was evaluated: more than once inside a comprehension.
        public var count: Int
    }

    public var source: String
    /// Every part that was evaluated and is no literal, the whole first, then by place; parts that were skipped are absent.
    public var steps: [Step]
    public var outcome: Program.Outcome

    /// Bytes that are rendered at most, but for the last line: each part of a long source takes a line as long.
    static let maximumLength = 262_144

    /// The source, and under it one line a part: marks below its text, then what it came to.
    public func render() -> String {
        let line = String(String.UnicodeScalarView(source.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
        let width = line.unicodeScalars.count
        var text = line + "\n"
        for (index, step) in steps.enumerated() {
            guard text.utf8.count < Explanation.maximumLength else {
                text += "… and \(steps.count - index) parts more\n"
                break
            }
            let start = column(step.span.start)
            let length = max(1, column(step.span.end) - start)
            text += String(repeating: " ", count: start) + String(repeating: "^", count: length)
            text += String(repeating: " ", count: max(1, width - start - length + 2)) + step.summary
            if step.count > 1 { text += " (the last of \(step.count))" }
            text += "\n"
        }
        return text
    }

    /// Code points before a byte of the source.
    private func column(_ offset: Int) -> Int {
        source.utf8.prefix(offset).reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }
}

/// The traced form of a program.
struct TracedTree: Sendable {
    var root: Operation
    var localCount: Int
}

extension Program {
    /// Evaluates with a trace of every part. Costs a compilation: for people, not for the hot path.
    public func explain(_ slots: UnsafePointer<Slot>) -> Explanation {
        guard let tree = traced() else { return Explanation(source: expression.source, steps: [], outcome: evaluate(slots)) }
        let trace = Trace()
        let outcome: Outcome = withExtendedLifetime(trace) {
            withFrame(slots, locals: tree.localCount) { frame in
                frame.trace = Unmanaged.passUnretained(trace)
                do throws(Fault) {
                    return .value(try tree.root.value(&frame))
                } catch {
                    return Outcome(error)
                }
            }
        }
        var results: [Span: Result<Value, Fault>] = [:]
        for step in trace.steps { results[step.span] = step.result }
        var steps: [Explanation.Step] = []
        let counts = Dictionary(trace.steps.map { ($0.span, $0.count) }, uniquingKeysWith: { first, _ in first })
        collect(expression.root, results, counts, into: &steps)
        return Explanation(source: expression.source, steps: steps, outcome: outcome)
    }

    private func collect(
        _ node: Expression.Node, _ results: [Span: Result<Value, Fault>], _ counts: [Span: Int], into steps: inout [Explanation.Step]
    ) {
        var isLiteral = false
        if case .literal = node.kind { isLiteral = true }
        if !isLiteral, let result = results[node.span] {
            let text = Expression(source: expression.source, root: node).text
            let value = try? result.get()
            steps.append(
                Explanation.Step(
                    span: node.span, text: text, value: value, summary: summary(node, result, results), count: counts[node.span] ?? 1))
        }
        for child in node.kind.children { collect(child, results, counts, into: &steps) }
    }

    private func summary(_ node: Expression.Node, _ result: Result<Value, Fault>, _ results: [Span: Result<Value, Fault>]) -> String {
        switch result {
        case .failure(let fault):
            return fault.code == .missingName ? "missing: \(fault.error.message)" : "error: \(fault.error.message)"
        case .success(let value):
            if case .binary(let operation, let left, let right) = node.kind, Comparison(operation) != nil || operation == .in,
                let a = shown(left, results), let b = shown(right, results)
            {
                return "\(a) \(operation.rawValue) \(b) is \(value.summary)"
            }
            return value.summary
        }
    }

    private func shown(_ node: Expression.Node, _ results: [Span: Result<Value, Fault>]) -> String? {
        if case .literal(let value) = node.kind { return value.summary }
        guard case .success(let value)? = results[node.span] else { return nil }
        return value.summary
    }
}

extension Value {
    /// The value's text, cut after 120 characters: explanations are for reading.
    var summary: String {
        let text = shown(3)
        return text.unicodeScalars.count <= 120 ? text : String(text.unicodeScalars.prefix(119)) + "…"
    }

    /// Only the first elements of lists and maps, few levels deep, so that writing it is cheap; "…" stands for what is left out.
    private func shown(_ depth: Int) -> String {
        func joined(_ first: [String], of count: Int) -> String {
            (first + (count > first.count ? ["…"] : [])).joined(separator: ", ")
        }
        switch self {
        case .list(let elements):
            return "[" + joined(depth == 0 ? [] : elements.prefix(12).map { $0.shown(depth - 1) }, of: elements.count) + "]"
        case .map(let map):
            let first = depth == 0 ? [] : map.pairs.prefix(12).map { "\($0.key.shown(0)): \($0.value.shown(depth - 1))" }
            return "{" + joined(first, of: map.count) + "}"
        case .string(let text): return Value.string(String(text.unicodeScalars.prefix(200))).description
        case .bytes(let octets): return Value.bytes(Array(octets.prefix(200))).description
        case .optional(let optional):
            guard let wrapped = optional.wrapped else { return description }
            return "optional.of(\(depth == 0 ? "…" : wrapped.shown(depth - 1)))"
        default: return description
        }
    }
}
