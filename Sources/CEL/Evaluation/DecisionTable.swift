/// The boolean skeleton of an expression as a flat table of decisions: each compares one slot with a constant or a slot and says which row
/// comes next. Rows 0, 1 and 2 are the ends no, yes and "ask the tree".
///
/// A row that meets anything out of the ordinary (a missing name, an error, a boxed value) gives up; the tree of operations then computes
/// the condition with all of CEL's absorption of errors. So the table itself never has to carry an error along.
final class DecisionTable: @unchecked Sendable {
    // @unchecked: the rows are written once in `init` and only read afterwards, until `deinit` frees them.
    private let rows: UnsafeMutablePointer<Row>
    private let entry: Int
    private let constants: [Slot]
    private let strings: InternedStrings

    fileprivate struct Row: BitwiseCopyable {
        /// The constant's bits; for `slots` the other slot, for `constant` an index into `constants`.
        var bits: UInt64 = 0
        var slot: UInt16 = 0
        var onTrue: UInt16 = 0
        var onFalse: UInt16 = 0
        var test: Test
        var comparison: Comparison = .equal
    }

    fileprivate enum Test: UInt8 {
        case end, ask
        /// Of a double slot with a double.
        case less, lessOrEqual, greater, greaterOrEqual, equal
        /// Of an interned string's id.
        case string
        /// Of a bool slot.
        case truth
        /// Whether a slot has a value.
        case presence
        /// Of a slot with any constant, and with another slot.
        case constant, slots
    }

    init(_ root: Operation, strings: InternedStrings) {
        var builder = Builder()
        let start = builder.emit(root, onTrue: Builder.yes, onFalse: Builder.no) ?? Builder.ask
        constants = builder.constants
        entry = Int(start)
        self.strings = strings
        rows = UnsafeMutablePointer<Row>.allocate(capacity: builder.rows.count)
        rows.initialize(from: builder.rows, count: builder.rows.count)
    }

    deinit { rows.deallocate() }

    /// Yes or no; nil when the tree must be asked.
    @inline(__always)
    func run(_ slots: UnsafePointer<Slot>) -> Program.Truth? {
        let rows = rows
        var next = entry
        // The ends are tested for here and not by their rows: that branch is the only one whose way depends on what was compared.
        while next > Int(Builder.yes) {
            let row = rows + next
            var holds = false
            var isPlain = true
            switch row.pointee.test {
            case .end, .ask: return nil
            case .less:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .double
                holds = slot.double < Double(bitPattern: row.pointee.bits)
            case .lessOrEqual:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .double
                holds = slot.double <= Double(bitPattern: row.pointee.bits)
            case .greater:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .double
                holds = slot.double > Double(bitPattern: row.pointee.bits)
            case .greaterOrEqual:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .double
                holds = slot.double >= Double(bitPattern: row.pointee.bits)
            case .equal:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .double
                holds = slot.double == Double(bitPattern: row.pointee.bits)
            case .string:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .string
                holds = slot.bits == row.pointee.bits
            case .truth:
                let slot = slots[Int(row.pointee.slot)]
                isPlain = slot.kind == .bool
                holds = slot.bits != 0
            case .presence:
                holds = slots[Int(row.pointee.slot)].kind != .missing
            case .constant, .slots:
                isPlain = false
            }
            if !isPlain {
                guard let answer = uncommon(row.pointee, slots) else { return nil }
                holds = answer
            }
            next = Int(holds ? row.pointee.onTrue : row.pointee.onFalse)
        }
        return next == Int(Builder.yes) ? .yes : .no
    }

    /// A row whose slot is not of the kind it was made for, or that has no kind of its own; nil when the tree must be asked.
    @inline(never)
    private func uncommon(_ row: Row, _ slots: UnsafePointer<Slot>) -> Bool? {
        let left = slots[Int(row.slot)]
        let right: Slot
        switch row.test {
        case .less, .lessOrEqual, .greater, .greaterOrEqual, .equal: right = Slot(kind: .double, bits: row.bits)
        case .string: right = Slot(kind: .string, bits: row.bits)
        case .slots: right = slots[Int(truncatingIfNeeded: row.bits)]
        case .constant: right = constants[Int(truncatingIfNeeded: row.bits)]
        default: return nil
        }
        switch row.comparison.truth(left, right, strings: strings) {
        case .yes: return true
        case .no: return false
        default: return nil
        }
    }
}

extension Slot {
    /// The constant as a double, when comparing any number with that double gives what comparing it with the constant gives. Ints and uints
    /// below 2^53 do: no larger number rounds to them.
    fileprivate var plainDouble: Double? {
        switch kind {
        case .double: double
        case .int:
            Int64(bitPattern: bits).magnitude < 1 << 53 ? Double(Int64(bitPattern: bits)) : nil
        case .uint: bits < 1 << 53 ? Double(bits) : nil
        default: nil
        }
    }
}

/// Writes the table from its ends backwards, so that every row knows where it leads.
private struct Builder {
    static let no: UInt16 = 0, yes: UInt16 = 1, ask: UInt16 = 2

    var rows: [DecisionTable.Row] = [.init(test: .end), .init(test: .end), .init(test: .ask)]
    var constants: [Slot] = []

    /// The row at which the operation's test begins; nil when the table is full.
    mutating func emit(_ operation: Operation, onTrue: UInt16, onFalse: UInt16) -> UInt16? {
        switch operation {
        case let logical as LogicalOperation:
            var next = logical.isAnd ? onTrue : onFalse
            for term in logical.terms.reversed() {
                guard let row = logical.isAnd ? emit(term, onTrue: next, onFalse: onFalse) : emit(term, onTrue: onTrue, onFalse: next)
                else { return nil }
                next = row
            }
            return next
        case let negation as NotOperation: return emit(negation.operand, onTrue: onFalse, onFalse: onTrue)
        case let conditional as ConditionalOperation:
            guard let yes = emit(conditional.yes, onTrue: onTrue, onFalse: onFalse),
                let no = emit(conditional.no, onTrue: onTrue, onFalse: onFalse)
            else { return nil }
            return emit(conditional.condition, onTrue: yes, onFalse: no)
        case let constant as ConstantOperation:
            guard case .bool(let flag) = constant.constant else { return Builder.ask }
            return flag ? onTrue : onFalse
        case let presence as HasSlotOperation:
            guard let slot = UInt16(exactly: presence.index) else { return Builder.ask }
            return append(DecisionTable.Row(slot: slot, onTrue: onTrue, onFalse: onFalse, test: .presence))
        default:
            guard let atom = Atom(operation) else { return Builder.ask }
            return emit(atom, isBare: operation is SlotOperation, onTrue: onTrue, onFalse: onFalse)
        }
    }

    private mutating func emit(_ atom: Atom, isBare: Bool, onTrue: UInt16, onFalse: UInt16) -> UInt16? {
        guard let slot = UInt16(exactly: atom.slot) else { return Builder.ask }
        var row = DecisionTable.Row(slot: slot, onTrue: onTrue, onFalse: onFalse, test: .constant, comparison: atom.comparison)
        switch atom.right {
        case .slot(let other):
            row.test = .slots
            row.bits = UInt64(other)
        case .constant where isBare:
            row.test = .truth
        case .constant(let constant) where constant.plainDouble != nil:
            row.bits = (constant.plainDouble ?? 0).bitPattern
            switch atom.comparison {
            case .less: row.test = .less
            case .lessOrEqual: row.test = .lessOrEqual
            case .greater: row.test = .greater
            case .greaterOrEqual: row.test = .greaterOrEqual
            case .equal: row.test = .equal
            case .notEqual:
                // `!=` is `==` with the ways out exchanged; what is uncommon must then be compared as `==` too.
                row.test = .equal
                row.comparison = .equal
                (row.onTrue, row.onFalse) = (onFalse, onTrue)
            }
        case .constant(let constant) where constant.kind == .string && atom.comparison.isEquality:
            row.bits = constant.bits
            row.test = .string
            row.comparison = .equal
            if atom.comparison == .notEqual { (row.onTrue, row.onFalse) = (onFalse, onTrue) }
        case .constant(let constant):
            row.bits = UInt64(constants.count)
            constants.append(constant)
        }
        return append(row)
    }

    private mutating func append(_ row: DecisionTable.Row) -> UInt16? {
        guard let position = UInt16(exactly: rows.count) else { return nil }
        rows.append(row)
        return position
    }
}
