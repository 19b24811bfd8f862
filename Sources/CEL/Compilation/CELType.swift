/// A type as far as it is known before evaluation. The checker is gradual: what is not known is `dyn` and checked at run time.
public indirect enum CELType: Sendable, Hashable {
    case dyn
    case null, bool, int, uint, double, string, bytes, timestamp, duration, type
    case list(CELType)
    case map(CELType, CELType)
    case optional(CELType)
    /// A map of the host with names as keys, of which the host is told those that expressions select. A field that it does not have is a missing name.
    case record
    /// A type of the host or of an extension, by its name.
    case opaque(String)

    var isNumber: Bool { self == .int || self == .uint || self == .double }

    /// Whether a value of this static type may turn out to be one of the other.
    func mayBe(_ other: CELType) -> Bool {
        switch (self, other) {
        case (.dyn, _), (_, .dyn): true
        case (.list(let a), .list(let b)), (.optional(let a), .optional(let b)): a.mayBe(b)
        case (.map(let a, let b), .map(let c, let d)): a.mayBe(c) && b.mayBe(d)
        case (.record, .map(let key, _)), (.map(let key, _), .record): key.mayBe(.string)
        default: self == other
        }
    }

    /// Whether it is a record, or holds some.
    public var holdsRecords: Bool {
        switch self {
        case .record: true
        case .list(let element), .optional(let element), .map(_, let element): element.holdsRecords
        default: false
        }
    }

    /// The type of something that is one or the other.
    func joined(with other: CELType) -> CELType {
        switch (self, other) {
        case (.list(let a), .list(let b)): .list(a.joined(with: b))
        case (.optional(let a), .optional(let b)): .optional(a.joined(with: b))
        case (.map(let a, let b), .map(let c, let d)): .map(a.joined(with: c), b.joined(with: d))
        default: self == other ? self : .dyn
        }
    }

    init(of value: Value) {
        switch value {
        case .null: self = .null
        case .bool: self = .bool
        case .int: self = .int
        case .uint: self = .uint
        case .double: self = .double
        case .string: self = .string
        case .bytes: self = .bytes
        case .list(let elements):
            let types = elements.prefix(16).map { CELType(of: $0) }
            self = .list(elements.count > 16 ? .dyn : types.dropFirst().reduce(types.first ?? .dyn) { $0.joined(with: $1) })
        case .map: self = .map(.dyn, .dyn)
        case .timestamp: self = .timestamp
        case .duration: self = .duration
        case .type: self = .type
        case .optional: self = .optional(.dyn)
        case .opaque(let value): self = .opaque(value.typeName.name)
        }
    }
}

extension CELType: CustomStringConvertible {
    public var description: String {
        switch self {
        case .dyn: "dyn"
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .type: "type"
        case .record: "record"
        case .list(let element): "list(\(element))"
        case .map(let key, let value): "map(\(key), \(value))"
        case .optional(let wrapped): "optional(\(wrapped))"
        case .opaque(let name): name
        }
    }
}
