/// One node of the frozen tree that computes values. Three ways to ask it: for a value, for a truth, and for a scalar that fits a slot; the
/// last two never allocate for numbers, bools and interned strings.
class Operation: @unchecked Sendable {
    // @unchecked: subclasses have only `let` members of Sendable types, set before the program is published.
    let span: Span

    init(span: Span) { self.span = span }

    func value(_ frame: inout Frame) throws(Fault) -> Value {
        throw Fault(.host, span, "not an operation")
    }

    /// Whether it selects something in a record, where what is not there is a missing name.
    var isInRecord: Bool { false }

    /// The value as a condition: anything but a bool is an error.
    func truth(_ frame: inout Frame) -> Program.Truth {
        do throws(Fault) {
            guard case .bool(let flag) = try value(&frame) else { return .error }
            return flag ? .yes : .no
        } catch {
            return error.truth
        }
    }

    /// The value in the form of a slot; kind `.object` (with nothing in it) when it does not fit one. Only asked of operations for which
    /// `isScalar` holds: those are cheap to ask again with `value`.
    func scalar(_ frame: inout Frame) -> Slot {
        do throws(Fault) {
            let value = try value(&frame)
            if let slot = Slot(inline: value) { return slot }
            if case .string(let text) = value, let id = frame.strings.find(text) { return Slot(interned: id) }
            return Slot.boxless
        } catch {
            return error.code == .missingName ? .missing : .error
        }
    }

    /// Whether `scalar` is worth asking: leaves and arithmetic over them.
    var isScalar: Bool { false }

    /// The comparison that decided this condition; nil when the operation is none and has none inside.
    func decidingComparison(_ frame: inout Frame) -> DecidingComparison? { nil }

    /// The operands, for walks over the tree.
    var operands: [Operation] { [] }
}

/// Where a scalar operand comes from: slots and constants are fetched without a call.
struct ScalarSource: Sendable {
    private enum Kind: UInt8 { case slot, constant, operation }

    private let kind: Kind
    private let index: Int
    private let constant: Slot

    init(_ operation: Operation) {
        switch operation {
        case let slot as SlotOperation: (kind, index, constant) = (.slot, slot.index, .missing)
        case let known as ConstantOperation: (kind, index, constant) = (.constant, 0, known.slot)
        default: (kind, index, constant) = (.operation, 0, .missing)
        }
    }

    /// A scalar, or a slot of kind `.object`, whatever is in it, for what is none.
    @inline(__always)
    func fetch(_ operation: Operation, _ frame: inout Frame) -> Slot {
        switch kind {
        case .slot: frame.slots[index]
        case .constant: constant
        case .operation: operation.scalar(&frame)
        }
    }
}

extension Slot {
    /// Says that a value does not fit a slot.
    static let boxless = Slot(kind: .object, bits: 0)
}

extension Program.Truth {
    var negated: Program.Truth {
        switch self {
        case .yes: .no
        case .no: .yes
        case .missing, .error: self
        }
    }
}

/// A value known when the expression was compiled.
final class ConstantOperation: Operation, @unchecked Sendable {
    let constant: Value
    let slot: Slot

    init(_ constant: Value, strings: InternedStrings, span: Span) {
        self.constant = constant
        if let inline = Slot(inline: constant) {
            slot = inline
        } else if case .string(let text) = constant {
            slot = Slot(interned: strings.intern(text))
        } else {
            slot = .boxless
        }
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value { constant }
    override func scalar(_ frame: inout Frame) -> Slot { slot }
    override var isScalar: Bool { true }
}

/// A variable of the caller.
final class SlotOperation: Operation, @unchecked Sendable {
    let index: Int
    let name: String

    init(_ index: Int, name: String, span: Span) {
        self.index = index
        self.name = name
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let slot = frame.slots[index]
        if let value = slot.value(in: frame.strings) { return value }
        if slot.kind == .missing { throw Fault(.missingName, span, name) }
        throw Fault(.host, span, "the value of '\(name)' could not be computed")
    }

    override func truth(_ frame: inout Frame) -> Program.Truth { frame.slots[index].truth }

    override func scalar(_ frame: inout Frame) -> Slot {
        let slot = frame.slots[index]
        return slot.kind == .object ? .boxless : slot
    }

    override var isScalar: Bool { true }
}

extension Slot {
    @inline(__always)
    var truth: Program.Truth {
        switch kind {
        case .bool: bits != 0 ? .yes : .no
        case .missing: .missing
        case .object:
            if case .bool(let flag)? = boxed { flag ? .yes : .no } else { .error }
        default: .error
        }
    }
}

/// A variable of a comprehension or of `cel.bind`.
final class LocalOperation: Operation, @unchecked Sendable {
    let index: Int

    init(_ index: Int, span: Span) {
        self.index = index
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        guard let pointer = frame.locals[index].pointer else { throw Fault(.host, span, "a variable is used outside its scope") }
        return pointer.pointee
    }

    override func scalar(_ frame: inout Frame) -> Slot {
        guard let pointer = frame.locals[index].pointer else { return .error }
        return Slot(inline: pointer.pointee) ?? .boxless
    }

    override var isScalar: Bool { true }
}

/// Always an error: an unknown name or function that was left to run time.
final class FaultOperation: Operation, @unchecked Sendable {
    let code: EvaluationError.Code
    let message: String

    init(_ code: EvaluationError.Code, _ message: String, span: Span) {
        self.code = code
        self.message = message
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value { throw Fault(code, span, message) }
}
