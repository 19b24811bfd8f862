/// `a && b && …` and `a || b || …`: a deciding term decides whatever the others are; else an error, a missing name, or the other truth.
final class LogicalOperation: Operation, @unchecked Sendable {
    let isAnd: Bool
    let terms: [Operation]
    /// The first two of them once more: most combinations have no others, and reading a constant property counts no references.
    private let first: Operation, second: Operation

    /// There must be at least two terms.
    init(_ kind: LogicalOperator, _ terms: [Operation], span: Span) {
        isAnd = kind == .and
        self.terms = terms
        first = terms[0]
        second = terms[1]
        super.init(span: span)
    }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        let deciding: Program.Truth = isAnd ? .no : .yes
        var result = first.truth(&frame)
        if result == deciding { return deciding }
        let truth = second.truth(&frame)
        if truth == deciding { return deciding }
        result.absorb(truth)
        if terms.count == 2 { return result }
        for term in terms[2...] {
            let truth = term.truth(&frame)
            if truth == deciding { return deciding }
            result.absorb(truth)
        }
        return result
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var pending: Fault?
        for term in terms {
            do throws(Fault) {
                let value = try term.value(&frame)
                guard case .bool(let flag) = value else {
                    throw Fault(noOverload: isAnd ? "&&" : "||", [value.kind], term.span)
                }
                if flag != isAnd { return .bool(flag) }
            } catch {
                if pending == nil || pending?.code == .missingName && error.code != .missingName { pending = error }
            }
        }
        if let pending { throw pending }
        return .bool(isAnd)
    }

    override var operands: [Operation] { terms }

    /// The first term that decided; where all had to agree, the last one evaluated.
    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? {
        let deciding: Program.Truth = isAnd ? .no : .yes
        var last: Operation?
        for term in terms {
            let truth = term.truth(&frame)
            if truth == deciding { return term.decidingComparison(&frame) }
            if truth == .yes || truth == .no { last = term }
        }
        for term in terms.reversed() where term === last || term.truth(&frame).isDefinite {
            if let found = term.decidingComparison(&frame) { return found }
        }
        return nil
    }
}

extension Program.Truth {
    /// Takes up the truth of another term, neither of them deciding: an error stays, and wins over a missing name.
    @inline(__always)
    mutating func absorb(_ truth: Program.Truth) {
        if truth == .error || truth == .missing && self != .error { self = truth }
    }

    var isDefinite: Bool { self == .yes || self == .no }
}

final class NotOperation: Operation, @unchecked Sendable {
    let operand: Operation

    init(_ operand: Operation, span: Span) {
        self.operand = operand
        super.init(span: span)
    }

    override func truth(_ frame: inout Frame) -> Program.Truth { operand.truth(&frame).negated }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let value = try operand.value(&frame)
        guard case .bool(let flag) = value else { throw Fault(noOverload: "!", [value.kind], span) }
        return .bool(!flag)
    }

    override var operands: [Operation] { [operand] }
    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? { operand.decidingComparison(&frame) }
}

/// `condition ? yes : no`: only the chosen branch is evaluated.
final class ConditionalOperation: Operation, @unchecked Sendable {
    let condition: Operation, yes: Operation, no: Operation

    init(_ condition: Operation, _ yes: Operation, _ no: Operation, span: Span) {
        self.condition = condition
        self.yes = yes
        self.no = no
        super.init(span: span)
    }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        switch condition.truth(&frame) {
        case .yes: yes.truth(&frame)
        case .no: no.truth(&frame)
        case .missing: .missing
        case .error: .error
        }
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let chosen = try condition.value(&frame)
        guard case .bool(let flag) = chosen else { throw Fault(noOverload: "?:", [chosen.kind], condition.span) }
        return flag ? try yes.value(&frame) : try no.value(&frame)
    }

    override var operands: [Operation] { [condition, yes, no] }

    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? {
        switch condition.truth(&frame) {
        case .yes: yes.decidingComparison(&frame) ?? condition.decidingComparison(&frame)
        case .no: no.decidingComparison(&frame) ?? condition.decidingComparison(&frame)
        default: condition.decidingComparison(&frame)
        }
    }
}

/// The presence test of a variable: `has(battery.level)`, in promoting mode `has(temperature)` too.
final class HasSlotOperation: Operation, @unchecked Sendable {
    let index: Int

    init(_ index: Int, span: Span) {
        self.index = index
        super.init(span: span)
    }

    override func truth(_ frame: inout Frame) -> Program.Truth { frame.slots[index].kind == .missing ? .no : .yes }
    override func value(_ frame: inout Frame) throws(Fault) -> Value { .bool(frame.slots[index].kind != .missing) }
    override func scalar(_ frame: inout Frame) -> Slot { Slot(frame.slots[index].kind != .missing) }
    override var isScalar: Bool { true }
}
