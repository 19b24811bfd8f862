/// A value between Lua and the host.
public enum LuaValue: Sendable, Equatable {
    /// Lua's nil.
    case none
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    /// A string of Lua that is no UTF-8. Into Lua both are strings.
    case bytes([UInt8])
    case array([LuaValue])
    /// Names in the order of their bytes where it comes from Lua. Keys that were numbers are their text.
    case object([Member])
    /// JSON's null: `json.null`, and in an array the place of a value that is not there.
    case null
    case function(LuaFunction)
    /// A value with methods that the host has made (`LuaState.defineMethod`).
    case handle(kind: Int32, number: Int64)

    public struct Member: Sendable, Equatable {
        public var name: String
        public var value: LuaValue
        public init(_ name: String, _ value: LuaValue) {
            self.name = name
            self.value = value
        }
    }
}

/// A function of a state, kept until it is released.
public struct LuaFunction: Sendable, Hashable {
    let reference: Int32
}

/// A handler that waits.
public struct LuaThread: Sendable, Hashable {
    let reference: Int32
}

extension LuaValue {
    public subscript(name: String) -> LuaValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    public var text: String? { if case .string(let text) = self { text } else { nil } }
    public var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    public var members: [Member]? {
        switch self {
        case .object(let members): members
        // Lua's empty table is both.
        case .array(let elements) where elements.isEmpty: []
        default: nil
        }
    }
    public var elements: [LuaValue]? {
        switch self {
        case .array(let elements): elements
        case .object(let members) where members.isEmpty: []
        default: nil
        }
    }
    public var function: LuaFunction? { if case .function(let function) = self { function } else { nil } }
    public var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
    /// Whole numbers, also those that came as a double.
    public var integer: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }
    /// The bytes of a string; a number is its text.
    public var payload: [UInt8]? {
        switch self {
        case .string(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        case .int(let value): Array("\(value)".utf8)
        case .double(let value): Array(LuaNumber.text(value).utf8)
        case .bool(let value): Array("\(value)".utf8)
        default: nil
        }
    }
    public var isNone: Bool { if case .none = self { true } else { false } }

    /// What messages call its type, in Lua's words.
    public var typeName: String {
        switch self {
        case .none: "nil"
        case .bool: "boolean"
        case .int, .double: "number"
        case .string, .bytes: "string"
        case .array, .object: "table"
        case .null: "json.null"
        case .function: "function"
        case .handle: "userdata"
        }
    }
}

/// How Lua writes a number.
enum LuaNumber {
    static func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        // Swift's shortest text is exact and has a '.0' where Lua has one.
        return "\(value)"
    }
}
