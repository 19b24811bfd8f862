extension Value {
    /// CEL's `==`: total, numbers on one line across their types, NaN equal to nothing, strings by bytes, maps without order.
    public func isEqual(to other: Value) -> Bool {
        switch (self, other) {
        case (.null, .null): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.int(let a), .int(let b)): return a == b
        case (.uint(let a), .uint(let b)): return a == b
        case (.double(let a), .double(let b)): return a == b
        case (.int(let a), .uint(let b)), (.uint(let b), .int(let a)): return a >= 0 && UInt64(a) == b
        case (.int(let a), .double(let b)), (.double(let b), .int(let a)): return Double(a) == b
        case (.uint(let a), .double(let b)), (.double(let b), .uint(let a)): return Double(a) == b
        case (.string(let a), .string(let b)): return a.hasSameBytes(as: b)
        case (.bytes(let a), .bytes(let b)): return a == b
        case (.timestamp(let a), .timestamp(let b)): return a == b
        case (.duration(let a), .duration(let b)): return a == b
        case (.type(let a), .type(let b)): return a.name.hasSameBytes(as: b.name)
        case (.list(let a), .list(let b)):
            guard a.count == b.count else { return false }
            for index in a.indices where !a[index].isEqual(to: b[index]) { return false }
            return true
        case (.map(let a), .map(let b)): return a.isEqual(to: b)
        case (.optional(let a), .optional(let b)):
            guard let left = a.wrapped, let right = b.wrapped else { return a.wrapped == nil && b.wrapped == nil }
            return left.isEqual(to: right)
        case (.opaque(let a), .opaque(let b)): return a === b || a.isEqual(to: b)
        default: return false
        }
    }

    /// Whether nothing about the two differs: types too, and NaN is NaN.
    public func isIdentical(to other: Value) -> Bool {
        switch (self, other) {
        case (.double(let a), .double(let b)): return a == b || a.isNaN && b.isNaN
        case (.list(let a), .list(let b)):
            guard a.count == b.count else { return false }
            for index in a.indices where !a[index].isIdentical(to: b[index]) { return false }
            return true
        case (.map(let a), .map(let b)):
            guard a.count == b.count else { return false }
            if a.storage === b.storage { return true }
            for position in 0..<a.count {
                let entry = a.storage.entry(position)
                guard let value = b[entry.key], value.isIdentical(to: entry.value) else { return false }
            }
            return true
        case (.optional(let a), .optional(let b)):
            guard let left = a.wrapped, let right = b.wrapped else { return a.wrapped == nil && b.wrapped == nil }
            return left.isIdentical(to: right)
        default: return kind == other.kind && isEqual(to: other)
        }
    }

    /// CEL's order; nil where `<` has no meaning for the two kinds.
    func order(to other: Value) -> ValueOrder? {
        switch (self, other) {
        case (.bool(let a), .bool(let b)): return ValueOrder(a ? 1 : 0, b ? 1 : 0)
        case (.int(let a), .int(let b)): return ValueOrder(a, b)
        case (.uint(let a), .uint(let b)): return ValueOrder(a, b)
        case (.double(let a), .double(let b)): return ValueOrder(a, b)
        case (.int(let a), .uint(let b)): return a < 0 ? .less : ValueOrder(UInt64(a), b)
        case (.uint(let a), .int(let b)): return b < 0 ? .greater : ValueOrder(a, UInt64(b))
        case (.int(let a), .double(let b)): return ValueOrder(Double(a), b)
        case (.double(let a), .int(let b)): return ValueOrder(a, Double(b))
        case (.uint(let a), .double(let b)): return ValueOrder(Double(a), b)
        case (.double(let a), .uint(let b)): return ValueOrder(a, Double(b))
        case (.string(let a), .string(let b)): return ValueOrder(a.byteOrder(to: b), 0)
        case (.bytes(let a), .bytes(let b)):
            return ValueOrder(a.withUnsafeBufferPointer { left in b.withUnsafeBufferPointer { Bytes.order(left, $0) } }, 0)
        case (.timestamp(let a), .timestamp(let b)):
            return a.seconds == b.seconds ? ValueOrder(a.nanoseconds, b.nanoseconds) : ValueOrder(a.seconds, b.seconds)
        case (.duration(let a), .duration(let b)): return ValueOrder(a, b)
        default: return nil
        }
    }
}

/// How two comparable values stand to each other; `unordered` when one is NaN.
enum ValueOrder {
    case less, equal, greater, unordered

    init<T: Comparable>(_ a: T, _ b: T) {
        self = a < b ? .less : a == b ? .equal : a > b ? .greater : .unordered
    }
}

extension CELMap {
    /// The same keys (across number types) and equal values; order does not matter.
    public func isEqual(to other: CELMap) -> Bool {
        guard count == other.count else { return false }
        for position in 0..<count {
            let entry = storage.entry(position)
            guard let value = other[entry.key], value.isEqual(to: entry.value) else { return false }
        }
        return true
    }
}
