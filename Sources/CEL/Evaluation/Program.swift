/// A compiled expression: immutable, safe to evaluate from any thread.
///
/// The caller passes an array of slots that has a cell for every index its resolver gave out.
public final class Program: Sendable {
    /// What a condition came to.
    public enum Truth: UInt8, Sendable {
        case no, yes
        /// A name that decides the result is not there yet.
        case missing
        /// A real error, or a result that is no bool.
        case error
    }

    /// What an evaluation came to.
    public enum Outcome: Sendable {
        case value(Value)
        /// The evaluation came to a name whose slot is missing.
        case missing(name: String)
        case error(EvaluationError)
    }

    /// The slots the program reads, ascending.
    public let slotsUsed: [Int]
    /// Names of all functions and macros called, host functions included.
    public let functionsUsed: Set<String>
    public let resultType: CELType
    /// When the whole program is a boolean combination (`&& || !`) of comparisons of a slot with a constant or a slot and of bare bool slots:
    /// those, left to right; else nil.
    public let atoms: [Atom]?
    /// Every comparison of a slot with a constant or a slot, wherever it stands.
    public let comparisons: [Atom]
    /// The constants the program reads, folded ones as their values, left to right.
    public let constantsUsed: [Value]
    /// What was compiled.
    public let expression: Expression

    let strings: InternedStrings
    let root: Operation
    /// The same table once more, read without counting references: the program holds it for as long as it is used.
    private let table: Unmanaged<InternedStrings>
    private let isScalar: Bool
    let localCount: Int
    let limits: Limits
    let decisions: DecisionTable
    /// Recompiles the expression with a trace of every part, for `explain`.
    let traced: @Sendable () -> TracedTree?

    init(
        expression: Expression, root: Operation, localCount: Int, slotsUsed: [Int], functionsUsed: Set<String>, resultType: CELType,
        strings: InternedStrings, limits: Limits, traced: @escaping @Sendable () -> TracedTree?
    ) {
        self.expression = expression
        self.root = root
        self.localCount = localCount
        self.slotsUsed = slotsUsed
        self.functionsUsed = functionsUsed
        self.resultType = resultType
        self.strings = strings
        table = Unmanaged.passUnretained(strings)
        isScalar = root.isScalar
        self.limits = limits
        self.traced = traced
        decisions = DecisionTable(root, strings: strings)
        atoms = Atom.all(combinedIn: root)
        comparisons = Atom.all(anywhereIn: root)
        constantsUsed = root.constants
    }

    /// The slot, when the whole program is nothing but one.
    public var bareSlot: Int? { (root as? SlotOperation)?.index }

    /// Evaluates a condition. Allocates nothing for numbers, bools and interned strings.
    public func truth(_ slots: UnsafePointer<Slot>) -> Truth {
        decisions.run(slots) ?? generalTruth(slots)
    }

    @inline(never)
    private func generalTruth(_ slots: UnsafePointer<Slot>) -> Truth {
        root.truth(slots, table, limits.steps, limits.memory, locals: localCount)
    }

    /// Evaluates to a number or another value that a slot holds inline; `.missing`, or `.error` for errors and for values that do not fit.
    public func number(_ slots: UnsafePointer<Slot>) -> Slot {
        let result = withFrame(slots) { frame in
            if isScalar {
                let scalar = root.scalar(&frame)
                if scalar.kind != .object { return scalar }
            }
            do throws(Fault) {
                let value = try root.value(&frame)
                if let slot = Slot(inline: value) { return slot }
                if case .string(let text) = value, let id = strings.find(text) { return Slot(interned: id) }
                return .error
            } catch {
                return error.code == .missingName ? .missing : .error
            }
        }
        return result.kind == .object ? .error : result
    }

    /// Evaluates to any value.
    public func evaluate(_ slots: UnsafePointer<Slot>) -> Outcome {
        withFrame(slots) { frame in
            do throws(Fault) {
                return .value(try root.value(&frame))
            } catch {
                return Outcome(error)
            }
        }
    }

    /// The same with a budget of the caller's, of at most the environment's; what is not used of it is left.
    public func evaluate(_ slots: UnsafePointer<Slot>, steps: inout Int) -> Outcome {
        withFrame(slots, steps: min(max(0, steps), limits.steps)) { frame in
            let given = frame.steps
            defer { steps -= given - frame.steps }
            do throws(Fault) {
                return .value(try root.value(&frame))
            } catch {
                return Outcome(error)
            }
        }
    }

    /// The comparison that decided the condition: the first that made an `&&` false or an `||` true, else the last that was evaluated.
    public func decidingComparison(_ slots: UnsafePointer<Slot>) -> DecidingComparison? {
        guard var found = withFrame(slots, { root.decidingComparison(&$0) }) else { return nil }
        found.leftText = text(found.leftSpan)
        found.rightText = text(found.rightSpan)
        return found
    }

    private func text(_ span: Span) -> String {
        Expression(source: expression.source, root: Expression.Node(.invalid, span: span)).text
    }

    @inline(__always)
    func withFrame<R>(_ slots: UnsafePointer<Slot>, locals count: Int? = nil, steps: Int? = nil, _ body: (inout Frame) -> R) -> R {
        withUnsafeTemporaryAllocation(of: Local.self, capacity: max(1, count ?? localCount)) { locals in
            locals.initialize(repeating: .unbound)
            // The capacity is at least 1, so the buffer has a base address.
            var frame = Frame(
                slots: slots, locals: locals.baseAddress!, strings: table, steps: steps ?? limits.steps, memory: limits.memory)
            return body(&frame)
        }
    }
}

extension Program.Outcome {
    init(_ fault: Fault) {
        if fault.code == .missingName, case .text(let name) = fault.detail {
            self = .missing(name: name)
        } else {
            self = .error(fault.error)
        }
    }
}

extension Operation {
    /// The truth over slots, in a frame of its own. A method of the operation and not of the program: that way no reference is counted.
    @inline(never)
    fileprivate final func truth(
        _ slots: UnsafePointer<Slot>, _ strings: Unmanaged<InternedStrings>, _ steps: Int, _ memory: Int, locals count: Int
    ) -> Program.Truth {
        if count == 0 {
            var none = Local.unbound
            return withUnsafeMutablePointer(to: &none) { locals in
                var frame = Frame(slots: slots, locals: locals, strings: strings, steps: steps, memory: memory)
                return truth(&frame)
            }
        }
        return withUnsafeTemporaryAllocation(of: Local.self, capacity: count) { locals in
            locals.initialize(repeating: .unbound)
            // The capacity is at least 1, so the buffer has a base address.
            var frame = Frame(slots: slots, locals: locals.baseAddress!, strings: strings, steps: steps, memory: memory)
            return truth(&frame)
        }
    }
}

extension Program {
    /// The conditions that must all hold: the terms of the outermost `&&`, or the expression itself.
    public var conjuncts: [Expression] {
        func terms(_ node: Expression.Node) -> [Expression.Node] {
            guard case .logical(.and, let found) = node.kind else { return [node] }
            return found.flatMap { terms($0) }
        }
        return terms(expression.root).map { Expression(source: expression.source, root: $0) }
    }
}

extension Operation {
    /// The constants in the tree, left to right.
    fileprivate var constants: [Value] {
        if let constant = self as? ConstantOperation { return [constant.constant] }
        return operands.flatMap { $0.constants }
    }
}

/// One comparison of a slot, the slot on the left.
public struct Atom: Sendable {
    public enum Operand: Sendable {
        case constant(Slot)
        case slot(Int)
    }

    public var slot: Int
    public var comparison: Comparison
    public var right: Operand
    public var span: Span
}

extension Atom {
    init?(_ operation: Operation) {
        switch operation {
        case let comparison as ComparisonOperation: self.init(comparison)
        case let bare as SlotOperation:
            self.init(slot: bare.index, comparison: .equal, right: .constant(Slot(true)), span: bare.span)
        default: return nil
        }
    }

    init?(_ operation: ComparisonOperation) {
        switch (operation.left, operation.right) {
        case (let left as SlotOperation, let right as SlotOperation):
            self.init(slot: left.index, comparison: operation.comparison, right: .slot(right.index), span: operation.span)
        case (let left as SlotOperation, let right as ConstantOperation) where right.slot.kind != .object:
            self.init(slot: left.index, comparison: operation.comparison, right: .constant(right.slot), span: operation.span)
        case (let left as ConstantOperation, let right as SlotOperation) where left.slot.kind != .object:
            self.init(slot: right.index, comparison: operation.comparison.mirrored, right: .constant(left.slot), span: operation.span)
        default: return nil
        }
    }

    /// The atoms of a boolean combination; nil when something else is part of it.
    static func all(combinedIn root: Operation) -> [Atom]? {
        switch root {
        case let logical as LogicalOperation:
            var found: [Atom] = []
            for term in logical.terms {
                guard let atoms = all(combinedIn: term) else { return nil }
                found += atoms
            }
            return found
        case let negation as NotOperation: return all(combinedIn: negation.operand)
        default: return Atom(root).map { [$0] }
        }
    }

    static func all(anywhereIn root: Operation) -> [Atom] {
        if let comparison = root as? ComparisonOperation, let atom = Atom(comparison) { return [atom] }
        return root.operands.flatMap { all(anywhereIn: $0) }
    }
}

/// The comparison that decided a condition, with what its sides were.
public struct DecidingComparison: Sendable {
    public var comparison: Comparison
    public internal(set) var leftText = ""
    public var left: Value
    public internal(set) var rightText = ""
    public var right: Value
    /// The whole comparison in the source.
    public var span: Span
    public var holds: Bool
    var leftSpan: Span
    var rightSpan: Span

    init(comparison: Comparison, leftSpan: Span, left: Value, rightSpan: Span, right: Value, span: Span, holds: Bool) {
        self.comparison = comparison
        self.leftSpan = leftSpan
        self.left = left
        self.rightSpan = rightSpan
        self.right = right
        self.span = span
        self.holds = holds
    }
}

extension DecidingComparison: CustomStringConvertible {
    /// `29.7 > 30.0 is false`.
    public var description: String {
        "\(left.summary) \(comparison.rawValue) \(right.summary) is \(holds)"
    }
}
