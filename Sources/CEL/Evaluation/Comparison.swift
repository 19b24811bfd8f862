/// The six comparisons.
public enum Comparison: String, BitwiseCopyable, Sendable, Hashable {
    case less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">=", equal = "==", notEqual = "!="

    /// The comparison with its sides exchanged: `a < b` is `b > a`.
    public var mirrored: Comparison {
        switch self {
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        case .equal, .notEqual: self
        }
    }

    var isEquality: Bool { self == .equal || self == .notEqual }

    init?(_ operation: BinaryOperator) {
        self.init(rawValue: operation.rawValue)
    }

    @inline(__always)
    func holds(_ order: ValueOrder) -> Bool {
        switch self {
        case .less: order == .less
        case .lessOrEqual: order == .less || order == .equal
        case .greater: order == .greater
        case .greaterOrEqual: order == .greater || order == .equal
        case .equal: order == .equal
        case .notEqual: order != .equal
        }
    }

    @inline(__always)
    func holds<T: Comparable>(_ left: T, _ right: T) -> Bool {
        switch self {
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        case .equal: left == right
        case .notEqual: left != right
        }
    }

    /// Compares two slots without going through `Value`; nil when one is boxed, or where the kinds alone do not say how.
    @inline(never)
    func truth(_ left: Slot, _ right: Slot, strings: InternedStrings) -> Program.Truth? {
        if left.kind == .double, right.kind == .double { return holds(left.double, right.double) ? .yes : .no }
        switch (left.kind, right.kind) {
        case (.object, _), (_, .object): return nil
        case (.error, _), (_, .error): return .error
        case (.missing, _), (_, .missing): return .missing
        case (.int, .int): return holds(Int64(bitPattern: left.bits), Int64(bitPattern: right.bits)) ? .yes : .no
        case (.duration, .duration): return holds(Int64(bitPattern: left.bits), Int64(bitPattern: right.bits)) ? .yes : .no
        case (.uint, .uint): return holds(left.bits, right.bits) ? .yes : .no
        case (.bool, .bool): return holds(left.bits, right.bits) ? .yes : .no
        case (.int, .double): return holds(Double(Int64(bitPattern: left.bits)), right.double) ? .yes : .no
        case (.double, .int): return holds(left.double, Double(Int64(bitPattern: right.bits))) ? .yes : .no
        case (.string, .string):
            if isEquality { return (left.bits == right.bits) == (self == .equal) ? .yes : .no }
            let a = strings[UInt32(truncatingIfNeeded: left.bits)]
            let b = strings[UInt32(truncatingIfNeeded: right.bits)]
            return holds(a.byteOrder(to: b), 0) ? .yes : .no
        case (.null, .null) where isEquality: return self == .equal ? .yes : .no
        default: return nil
        }
    }
}

/// `left op right`.
final class ComparisonOperation: Operation, @unchecked Sendable {
    let comparison: Comparison
    let left: Operation, right: Operation
    let isPromoting: Bool
    private let isFast: Bool
    private let leftSource: ScalarSource, rightSource: ScalarSource

    init(_ comparison: Comparison, _ left: Operation, _ right: Operation, isPromoting: Bool, span: Span) {
        self.comparison = comparison
        self.left = left
        self.right = right
        self.isPromoting = isPromoting
        isFast = left.isScalar && right.isScalar
        leftSource = ScalarSource(left)
        rightSource = ScalarSource(right)
        super.init(span: span)
    }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        if isFast {
            let a = leftSource.fetch(left, &frame)
            let b = rightSource.fetch(right, &frame)
            if a.kind == .double, b.kind == .double { return comparison.holds(a.double, b.double) ? .yes : .no }
            if let truth = comparison.truth(a, b, strings: frame.strings) { return truth }
        }
        return slowTruth(&frame)
    }

    @inline(never)
    private func slowTruth(_ frame: inout Frame) -> Program.Truth {
        do throws(Fault) {
            return try compared(&frame) ? .yes : .no
        } catch {
            return error.truth
        }
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value { .bool(try compared(&frame)) }

    private func compared(_ frame: inout Frame) throws(Fault) -> Bool {
        let (a, b) = try bothValues(left, right, &frame)
        return try comparison.compare(a, b, isPromoting: isPromoting, &frame, span)
    }

    override var operands: [Operation] { [left, right] }

    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? {
        guard let a = try? left.value(&frame), let b = try? right.value(&frame) else { return nil }
        return DecidingComparison(
            comparison: comparison, leftSpan: left.span, left: a, rightSpan: right.span, right: b, span: span,
            holds: truth(&frame) == .yes)
    }
}

/// Both operands, left first. A real error of the right one wins over a missing name on the left: it must not stay hidden.
@inline(__always)
func bothValues(_ left: Operation, _ right: Operation, _ frame: inout Frame) throws(Fault) -> (Value, Value) {
    let a: Value
    do throws(Fault) {
        a = try left.value(&frame)
    } catch {
        if error.code == .missingName { try right.throwRealError(&frame) }
        throw error
    }
    return (a, try right.value(&frame))
}

extension Operation {
    /// Evaluates only to see whether there is an error that is more than a missing name.
    func throwRealError(_ frame: inout Frame) throws(Fault) {
        do throws(Fault) {
            _ = try value(&frame)
        } catch {
            if error.code != .missingName { throw error }
        }
    }
}

extension Comparison {
    func compare(_ a: Value, _ b: Value, isPromoting: Bool, _ frame: inout Frame, _ span: Span) throws(Fault) -> Bool {
        if isPromoting {
            if case .string(let text) = a, b.isNumber, let number = JSONNumber.parse(text) { return holds(order(.double(number), b)) }
            if case .string(let text) = b, a.isNumber, let number = JSONNumber.parse(text) { return holds(order(a, .double(number))) }
        }
        if isEquality { return try frame.areEqual(a, b, span) == (self == .equal) }
        try frame.chargeKey(a, span)
        guard let order = a.order(to: b) else { throw Fault(noOverload: rawValue, a.kind, b.kind, span) }
        return holds(order)
    }

    private func order(_ a: Value, _ b: Value) -> ValueOrder { a.order(to: b) ?? .unordered }
}

extension Value {
    var isNumber: Bool {
        switch self {
        case .int, .uint, .double: true
        default: false
        }
    }
}

/// `x in list`, `key in map`.
final class MembershipOperation: Operation, @unchecked Sendable {
    let element: Operation, collection: Operation
    /// The elements of a constant list of scalars; nil for any other collection.
    private let constants: [Slot]?

    init(_ element: Operation, _ collection: Operation, strings: InternedStrings, span: Span) {
        self.element = element
        self.collection = collection
        constants = element.isScalar ? MembershipOperation.scalars(collection, strings) : nil
        super.init(span: span)
    }

    private static func scalars(_ collection: Operation, _ strings: InternedStrings) -> [Slot]? {
        guard case .list(let elements)? = (collection as? ConstantOperation)?.constant, elements.count <= 64 else { return nil }
        var slots: [Slot] = []
        for element in elements {
            if case .string(let text) = element {
                slots.append(Slot(interned: strings.intern(text)))
            } else {
                guard let slot = Slot(inline: element) else { return nil }
                slots.append(slot)
            }
        }
        return slots
    }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        guard let constants else { return super.truth(&frame) }
        let wanted = element.scalar(&frame)
        switch wanted.kind {
        case .object: return super.truth(&frame)
        case .missing: return .missing
        case .error: return .error
        default: break
        }
        for candidate in constants {
            if candidate.kind == wanted.kind, candidate.kind == .string {
                if candidate.bits == wanted.bits { return .yes }
            } else if Comparison.equal.truth(wanted, candidate, strings: frame.strings) ?? .error == .yes {
                return .yes
            } else if wanted.kind == .timestamp || wanted.kind == .uint || candidate.kind == .uint {
                // Pairs that slots alone do not compare.
                return super.truth(&frame)
            }
        }
        return .no
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let (wanted, collection) = try bothValues(element, collection, &frame)
        switch collection {
        case .list(let elements):
            for candidate in elements {
                try frame.charge(1, span)
                if try frame.areEqual(wanted, candidate, span) { return .bool(true) }
            }
            return .bool(false)
        case .map(let map):
            try frame.chargeKey(wanted, span)
            guard let key = MapKey(lookingUp: wanted) else { return .bool(false) }
            return .bool(map.storage.position(of: key) != nil)
        default:
            throw Fault(noOverload: "in", wanted.kind, collection.kind, span)
        }
    }

    override var operands: [Operation] { [element, collection] }
}
