/// A value of the language.
///
/// Swift's `==` is deliberately not offered: CEL compares numbers across types and strings by code point, see ``isEqual(to:)``.
public enum Value: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    case list([Value])
    case map(CELMap)
    case timestamp(Timestamp)
    /// A length of time in nanoseconds, about ±292 years.
    case duration(nanoseconds: Int64)
    case type(CELTypeName)
    case optional(OptionalValue)
    /// A value of a host or of the network extension.
    case opaque(any OpaqueValue)
}

/// The run-time name of a type: what `type(x)` gives. Types of lists and maps carry no parameters.
public struct CELTypeName: Hashable, Sendable {
    public let name: String

    public init(_ name: String) { self.name = name }

    public static let int = CELTypeName("int"), uint = CELTypeName("uint"), double = CELTypeName("double"), bool = CELTypeName("bool")
    public static let string = CELTypeName("string"), bytes = CELTypeName("bytes"), list = CELTypeName("list"), map = CELTypeName("map")
    public static let null = CELTypeName("null_type"), type = CELTypeName("type"), optional = CELTypeName("optional_type")
    public static let timestamp = CELTypeName("google.protobuf.Timestamp"), duration = CELTypeName("google.protobuf.Duration")

    static let standard: [String: CELTypeName] = Dictionary(
        uniqueKeysWithValues: [int, uint, double, bool, string, bytes, list, map, null, type, timestamp, duration].map { ($0.name, $0) })
}

/// What `optional.of(x)` and `optional.none()` give. A class, so that a `Value` stays small.
public final class OptionalValue: Sendable {
    public let wrapped: Value?

    public init(_ wrapped: Value?) { self.wrapped = wrapped }

    static let none = OptionalValue(nil)
}

/// A value the language itself knows nothing of: it has a type's name, can be compared for equality and written as text.
public protocol OpaqueValue: AnyObject, Sendable {
    var typeName: CELTypeName { get }
    func isEqual(to other: any OpaqueValue) -> Bool
    /// What `string(x)` gives; nil when there is no such conversion.
    var text: String? { get }
}

/// The kinds of run-time values, as messages name them.
enum ValueKind: UInt8 {
    case null, bool, int, uint, double, string, bytes, list, map, timestamp, duration, type, optional, opaque

    var name: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .list: "list"
        case .map: "map"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .type: "type"
        case .optional: "optional"
        case .opaque: "opaque"
        }
    }
}

extension Value {
    var kind: ValueKind {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .list: .list
        case .map: .map
        case .timestamp: .timestamp
        case .duration: .duration
        case .type: .type
        case .optional: .optional
        case .opaque: .opaque
        }
    }

    /// The run-time type: what `type(x)` gives.
    public var typeName: CELTypeName {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .list: .list
        case .map: .map
        case .timestamp: .timestamp
        case .duration: .duration
        case .type: .type
        case .optional: .optional
        case .opaque(let value): value.typeName
        }
    }
}

/// Strings by bytes: Swift's own equality, order and hashing go by canonical equivalence, which is not CEL's.
extension String {
    @inline(__always)
    func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        // Native strings are contiguous; the copy is only for a string that is not.
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        return Array(utf8).withUnsafeBufferPointer(body)
    }

    func hasSameBytes(as other: String) -> Bool {
        let count = utf8.count
        guard count == other.utf8.count else { return false }
        return withBytes { left in other.withBytes { right in Bytes.areEqual(left, right) } }
    }

    /// Negative, zero or positive as this comes before, with or after the other, by bytes (which is by code point).
    func byteOrder(to other: String) -> Int {
        withBytes { left in other.withBytes { right in Bytes.order(left, right) } }
    }
}

enum Bytes {
    @inline(__always)
    static func areEqual(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        guard let a = left.baseAddress, let b = right.baseAddress else { return true }
        return areEqual(UnsafeRawPointer(a), UnsafeRawPointer(b), count: left.count)
    }

    @inline(__always)
    static func areEqual(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, count: Int) -> Bool {
        var offset = 0
        while offset &+ 8 <= count {
            if a.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != b.loadUnaligned(fromByteOffset: offset, as: UInt64.self) {
                return false
            }
            offset &+= 8
        }
        while offset < count {
            if a.load(fromByteOffset: offset, as: UInt8.self) != b.load(fromByteOffset: offset, as: UInt8.self) { return false }
            offset &+= 1
        }
        return true
    }

    static func order(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int {
        let count = min(left.count, right.count)
        var index = 0
        while index < count {
            if left[index] != right[index] { return left[index] < right[index] ? -1 : 1 }
            index &+= 1
        }
        return left.count == right.count ? 0 : left.count < right.count ? -1 : 1
    }

    /// Where `needle` first begins in `haystack` at or after `from`; nil when nowhere.
    static func find(_ needle: UnsafeBufferPointer<UInt8>, in haystack: UnsafeBufferPointer<UInt8>, from: Int = 0) -> Int? {
        guard from >= 0, from <= haystack.count else { return nil }
        guard let first = needle.first, let n = needle.baseAddress, let h = haystack.baseAddress else {
            return needle.isEmpty ? from : nil
        }
        guard haystack.count >= needle.count else { return nil }
        var index = from
        while index <= haystack.count - needle.count {
            if haystack[index] == first, areEqual(h + index, n, count: needle.count) { return index }
            index += 1
        }
        return nil
    }

    private static let seed = UInt64.random(in: 1...UInt64.max)

    /// A seeded 64-bit hash: an attacker who sends keys cannot know which collide.
    static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var state = seed ^ UInt64(truncatingIfNeeded: bytes.count)
        guard let base = bytes.baseAddress.map({ UnsafeRawPointer($0) }) else { return mix(state) }
        var offset = 0
        while offset &+ 8 <= bytes.count {
            state = mix(state ^ base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(base.load(fromByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        return mix(state ^ rest)
    }

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ seed | 1)
        return product.high ^ product.low
    }

    static func hash(_ number: UInt64) -> UInt64 { mix(number ^ seed &* 31) }
}
