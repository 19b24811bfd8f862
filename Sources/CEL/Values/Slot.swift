/// One cell of a caller's array of variables: 16 bytes, trivially copyable.
///
/// Numbers, bools, instants, durations and interned strings are stored inline. Everything else is a pointer to a retained box: who makes such
/// a slot owns one reference, `retain()` takes another and `release()` gives one back.
public struct Slot: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        /// Nothing is there (yet): an expression that comes to it gives no result.
        case missing
        case null, bool, int, uint, double, timestamp, duration
        /// An interned string; `bits` is its id.
        case string
        /// A retained pointer to a heap box of a `Value`.
        case object
        /// The host could not compute the value.
        case error
    }

    public var bits: UInt64
    /// Nanoseconds of a timestamp.
    public var aux: UInt32
    public var kind: Kind

    @inline(__always)
    init(kind: Kind, bits: UInt64, aux: UInt32 = 0) {
        self.bits = bits
        self.aux = aux
        self.kind = kind
    }

    public static let missing = Slot(kind: .missing, bits: 0)
    public static let null = Slot(kind: .null, bits: 0)
    public static let error = Slot(kind: .error, bits: 0)

    public init(_ value: Bool) { self.init(kind: .bool, bits: value ? 1 : 0) }
    public init(_ value: Double) { self.init(kind: .double, bits: value.bitPattern) }
    public init(_ value: Int64) { self.init(kind: .int, bits: UInt64(bitPattern: value)) }
    public init(uint value: UInt64) { self.init(kind: .uint, bits: value) }
    public init(interned id: UInt32) { self.init(kind: .string, bits: UInt64(id)) }
    public init(durationNanoseconds value: Int64) { self.init(kind: .duration, bits: UInt64(bitPattern: value)) }
    /// An instant; an instant outside the language's range gives `.error`.
    public init(timestampSeconds seconds: Int64, nanoseconds: Int32 = 0) {
        guard let value = Timestamp(seconds: seconds, nanoseconds: nanoseconds) else {
            self = .error
            return
        }
        self.init(value)
    }

    init(_ value: Timestamp) {
        self.init(kind: .timestamp, bits: UInt64(bitPattern: value.seconds), aux: UInt32(bitPattern: value.nanoseconds))
    }

    init(box: ValueBox) {
        self.init(kind: .object, bits: UInt64(UInt(bitPattern: Unmanaged.passRetained(box).toOpaque())))
    }

    /// Stores a value: inline where it fits, else in a box of which the caller owns one reference.
    public init(retaining value: Value, strings: InternedStrings) {
        if let inline = Slot(inline: value) {
            self = inline
        } else if case .string(let text) = value, let id = strings.find(text) {
            self = Slot(interned: id)
        } else {
            self = Slot(box: ValueBox(value))
        }
    }

    /// The kinds that need neither a box nor a table of strings.
    init?(inline value: Value) {
        switch value {
        case .null: self = .null
        case .bool(let value): self.init(value)
        case .int(let value): self.init(value)
        case .uint(let value): self.init(uint: value)
        case .double(let value): self.init(value)
        case .timestamp(let value): self.init(value)
        case .duration(let value): self.init(durationNanoseconds: value)
        default: return nil
        }
    }

    private var pointer: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: bits)) }

    /// Takes another reference to the box, if there is one.
    public func retain() {
        guard kind == .object, let pointer else { return }
        _ = Unmanaged<ValueBox>.fromOpaque(pointer).retain()
    }

    /// Gives one reference to the box back, if there is one.
    public func release() {
        guard kind == .object, let pointer else { return }
        Unmanaged<ValueBox>.fromOpaque(pointer).release()
    }

    /// The boxed value of an `.object` slot.
    @inline(__always)
    var boxed: Value? {
        guard kind == .object, let pointer else { return nil }
        return Unmanaged<ValueBox>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.value }
    }

    /// The value; nil for `.missing` and `.error`.
    public func value(in strings: InternedStrings) -> Value? {
        switch kind {
        case .missing, .error: nil
        case .null: .null
        case .bool: .bool(bits != 0)
        case .int: .int(Int64(bitPattern: bits))
        case .uint: .uint(bits)
        case .double: .double(Double(bitPattern: bits))
        case .timestamp: timestamp.map { .timestamp($0) }
        case .duration: .duration(nanoseconds: Int64(bitPattern: bits))
        case .string: .string(strings[UInt32(truncatingIfNeeded: bits)])
        case .object: boxed
        }
    }

    var timestamp: Timestamp? {
        Timestamp(seconds: Int64(bitPattern: bits), nanoseconds: Int32(truncatingIfNeeded: aux))
    }

    @inline(__always) var double: Double { Double(bitPattern: bits) }

    /// Whether both hold the same: one kind and one content, NaN identical to itself, boxes compared by what is in them.
    public func isIdentical(to other: Slot) -> Bool {
        guard kind == other.kind else { return false }
        switch kind {
        case .missing, .null, .error: return true
        case .timestamp: return bits == other.bits && aux == other.aux
        case .double: return bits == other.bits || double.isNaN && other.double.isNaN || double == other.double
        case .object:
            if bits == other.bits { return true }
            guard let left = boxed, let right = other.boxed else { return false }
            return left.isIdentical(to: right)
        default: return bits == other.bits
        }
    }
}

/// A value on the heap, for slots that cannot hold it inline.
final class ValueBox: Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
