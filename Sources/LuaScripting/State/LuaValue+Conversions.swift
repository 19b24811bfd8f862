public import CEL
public import RuleEngine

extension LuaValue {
    /// Instants become seconds since 1970.
    public init(_ document: Document) {
        switch document {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let text): self = .string(text)
        case .instant(let instant): self = .double(instant.seconds)
        case .array(let elements): self = .array(elements.map(LuaValue.init))
        case .object(let members): self = .object(members.map { Member($0.name, LuaValue($0.value)) })
        }
    }

    /// Nil and `json.null` are null; bytes that are no UTF-8 are mended; functions and handles do not come here from a call that takes none.
    public var document: Document {
        switch self {
        case .none, .null, .function, .handle: .null
        case .bool(let flag): .bool(flag)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .string(let text): .string(text)
        case .bytes(let bytes): .string(String(decoding: bytes, as: UTF8.self))
        case .array(let elements): .array(elements.map(\.document))
        case .object(let members): .object(members.map { Document.Member($0.name, $0.value.document) })
        }
    }

    /// Timestamps become seconds since 1970, durations seconds; what Lua has no form for becomes nil.
    public init(_ value: Value) {
        switch value {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .uint(let number): self = Int64(exactly: number).map { .int($0) } ?? .double(Double(number))
        case .double(let number): self = .double(number)
        case .string(let text): self = .string(text)
        case .bytes(let bytes): self = .bytes(bytes)
        case .list(let elements): self = .array(elements.map(LuaValue.init))
        case .map(let map): self = .object(map.pairs.map { Member(Self.name(of: $0.key), LuaValue($0.value)) })
        case .timestamp(let stamp): self = .double(Double(stamp.seconds) + Double(stamp.nanoseconds) / 1e9)
        case .duration(let nanoseconds): self = .double(Double(nanoseconds) / 1e9)
        case .type(let type): self = .string(type.name)
        case .optional(let optional): self = optional.wrapped.map(LuaValue.init) ?? .none
        case .opaque(let opaque): self = opaque.text.map { .string($0) } ?? .none
        }
    }

    private static func name(of key: Value) -> String {
        switch key {
        case .string(let text): text
        case .int(let number): "\(number)"
        case .uint(let number): "\(number)"
        case .bool(let flag): "\(flag)"
        default: ""
        }
    }

    /// For CEL: whole numbers stay ints.
    public var celValue: Value {
        switch self {
        case .none, .null, .function, .handle: .null
        case .bool(let flag): .bool(flag)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .string(let text): .string(text)
        case .bytes(let bytes): .bytes(bytes)
        case .array(let elements): .list(elements.map(\.celValue))
        case .object(let members): .map(CELMap(members.map { (key: .string($0.name), value: $0.value.celValue) }) ?? CELMap())
        }
    }
}

extension Instant {
    /// Since 1970.
    var seconds: Double { Double(nanoseconds) / 1e9 }

    /// Saturates; nil for NaN.
    init?(seconds: Double) {
        guard !seconds.isNaN else { return nil }
        let nanoseconds = seconds * 1e9
        self.init(nanoseconds: nanoseconds >= 9.2e18 ? .max : nanoseconds <= -9.2e18 ? .min : Int64(nanoseconds.rounded()))
    }
}
