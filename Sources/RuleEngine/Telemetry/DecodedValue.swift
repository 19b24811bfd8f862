public import CEL

/// CEL values of JSON text and of documents.
enum DecodedValue {
    /// The value of JSON text that a cursor has already validated. Numbers are doubles, as CEL says of JSON.
    static func value(_ cursor: inout JSONCursor, depth: Int = 0) throws(DecodeFailure) -> Value {
        guard depth <= JSONCursor.maximumDepth else { throw .depth }
        cursor.skipWhiteSpace()
        guard !cursor.isAtEnd else { throw .syntax }
        switch cursor.byte {
        case UInt8(ascii: "{"):
            if cursor.isEmpty(until: UInt8(ascii: "}")) { return .map(CELMap()) }
            var pairs: [(key: Value, value: Value)] = []
            var places: [[UInt8]: Int] = [:]
            while true {
                cursor.skipWhiteSpace()
                let name = try text(cursor.string(), in: cursor)
                cursor.skipWhiteSpace()
                try cursor.take(UInt8(ascii: ":"))
                let value = try value(&cursor, depth: depth + 1)
                // Of a name that stands twice, the last one counts.
                if let place = places[Array(name.utf8)] {
                    pairs[place].value = value
                } else {
                    places[Array(name.utf8)] = pairs.count
                    pairs.append((.string(name), value))
                }
                if try cursor.isLast(UInt8(ascii: "}")) { return .map(CELMap(pairs) ?? CELMap()) }
            }
        case UInt8(ascii: "["):
            if cursor.isEmpty(until: UInt8(ascii: "]")) { return .list([]) }
            var elements: [Value] = []
            while true {
                elements.append(try value(&cursor, depth: depth + 1))
                if try cursor.isLast(UInt8(ascii: "]")) { return .list(elements) }
            }
        case UInt8(ascii: "\""): return .string(try text(cursor.string(), in: cursor))
        case UInt8(ascii: "t"):
            try cursor.word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try cursor.word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try cursor.word("null")
            return .null
        default: return try cursor.number().map(Value.double) ?? .null
        }
    }

    static func text(_ text: JSONCursor.Text, in cursor: JSONCursor) -> String {
        let bytes = UnsafeBufferPointer(start: cursor.start + text.range.lowerBound, count: text.range.count)
        return text.isEscaped ? String(decoding: PayloadDecoder.unescaped(bytes), as: UTF8.self) : String(decoding: bytes, as: UTF8.self)
    }
}

extension Document {
    /// The value that expressions see: numbers are doubles.
    public var celValue: CEL.Value {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .int(let value): .double(Double(value))
        case .double(let value): .double(value)
        case .string(let value): .string(value)
        case .instant(let value):
            Timestamp(
                seconds: value.nanoseconds >= 0 ? value.nanoseconds / 1_000_000_000 : (value.nanoseconds - 999_999_999) / 1_000_000_000,
                nanoseconds: Int32(((value.nanoseconds % 1_000_000_000) + 1_000_000_000) % 1_000_000_000)
            ).map(CEL.Value.timestamp) ?? .null
        case .array(let elements): .list(elements.map(\.celValue))
        case .object(let members): .map(CELMap(members.map { (.string($0.name), $0.value.celValue) }) ?? CELMap())
        }
    }

    /// The most a document of a value may hold, in bytes: a value may share its parts, and be exponentially larger written out.
    private static let maximumSize = 16 << 20

    /// The document of a value; what documents cannot hold (bytes, types) becomes text. Null for one that would take more than 16 MiB.
    public init(_ value: CEL.Value) {
        var room = Document.maximumSize
        self = Document.document(of: value, room: &room) ?? .null
    }

    private static func document(of value: CEL.Value, room: inout Int) -> Document? {
        room -= 16
        guard room >= 0 else { return nil }
        switch value {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .uint(let value): return Int64(exactly: value).map(Document.int) ?? .double(Double(value))
        case .double(let value):
            guard let whole = Int64(exactly: value), whole.magnitude < 1 << 53, !(value == 0 && value.sign == .minus) else {
                return .double(value)
            }
            return .int(whole)
        case .string(let value): return text(value, room: &room)
        case .list(let elements):
            var found: [Document] = []
            for element in elements {
                guard let element = document(of: element, room: &room) else { return nil }
                found.append(element)
            }
            return .array(found)
        case .map(let map):
            var members: [Member] = []
            for pair in map.pairs {
                guard let key = document(of: pair.key, room: &room), let value = document(of: pair.value, room: &room) else { return nil }
                members.append(Member(key.plainText, value))
            }
            return .object(members)
        case .duration(let nanoseconds): return .string(DurationText.seconds(nanoseconds: nanoseconds))
        case .timestamp(let timestamp): return .string(timestamp.text)
        case .optional(let optional):
            guard let wrapped = optional.wrapped else { return .null }
            return document(of: wrapped, room: &room)
        case .bytes(let bytes): return text(String(decoding: bytes, as: UTF8.self), room: &room)
        case .type(let type): return .string(type.name)
        case .opaque(let opaque): return .string(opaque.text ?? opaque.typeName.name)
        }
    }

    private static func text(_ text: String, room: inout Int) -> Document? {
        room -= text.utf8.count
        return room >= 0 ? .string(text) : nil
    }

    /// As people read it: text as it is, numbers shortest, everything else as JSON.
    public var plainText: String {
        switch self {
        case .string(let text): text
        case .double(let number): number.shortest
        case .instant(let instant): instant.description
        default: json
        }
    }
}
