/// Why a text is no JSON, and where (UTF-8 offset).
public struct JSONMistake: Error, Sendable, Hashable {
    public var message: String
    public var offset: Int
}

extension Document {
    /// Reads JSON (RFC 8259): whole numbers that fit become `int`, all others `double`; a number beyond double's range is a mistake, and so is a
    /// name that stands twice in one object, nesting beyond `depth`, and anything behind the value.
    public init(json bytes: some Collection<UInt8>, depth: Int = 128) throws(JSONMistake) {
        var reader = JSONReader(bytes: Array(bytes), depth: depth)
        self = try reader.document()
    }

    public init(json text: String) throws(JSONMistake) { try self.init(json: text.utf8) }
}

private struct JSONReader {
    let bytes: [UInt8]
    let depth: Int
    var at = 0

    init(bytes: [UInt8], depth: Int) {
        self.bytes = bytes
        self.depth = depth
    }

    func fail(_ message: String) -> JSONMistake { JSONMistake(message: message, offset: at) }
    var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func document() throws(JSONMistake) -> Document {
        let value = try value(level: 0)
        skipWhiteSpace()
        guard at == bytes.count else { throw fail("text behind the value") }
        return value
    }

    mutating func skipWhiteSpace() {
        while let byte = next, byte == 32 || byte == 10 || byte == 13 || byte == 9 { at += 1 }
    }

    mutating func take(_ word: StaticString, _ value: Document) throws(JSONMistake) -> Document {
        let end = at + word.utf8CodeUnitCount
        guard end <= bytes.count, word.withUTF8Buffer({ $0.elementsEqual(bytes[at..<end]) }) else { throw fail("a value must stand here") }
        at = end
        return value
    }

    mutating func value(level: Int) throws(JSONMistake) -> Document {
        guard level <= depth else { throw fail("nested deeper than \(depth) levels") }
        skipWhiteSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(level: level)
        case UInt8(ascii: "["): return try array(level: level)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try take("true", true)
        case UInt8(ascii: "f"): return try take("false", false)
        case UInt8(ascii: "n"): return try take("null", .null)
        case .some(let byte) where byte == UInt8(ascii: "-") || (48...57).contains(byte): return try number()
        default: throw fail("a value must stand here")
        }
    }

    mutating func object(level: Int) throws(JSONMistake) -> Document {
        at += 1
        var members: [Document.Member] = []
        var names = Set<[UInt8]>()
        skipWhiteSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object([])
        }
        while true {
            skipWhiteSpace()
            guard next == UInt8(ascii: "\"") else { throw fail("a name in quotes must stand here") }
            let name = try string()
            guard names.insert(Array(name.utf8)).inserted else { throw fail("the name \"\(name)\" stands twice in one object") }
            skipWhiteSpace()
            guard next == UInt8(ascii: ":") else { throw fail("':' must stand here") }
            at += 1
            members.append(Document.Member(name, try value(level: level + 1)))
            skipWhiteSpace()
            if next == UInt8(ascii: ",") {
                at += 1
            } else if next == UInt8(ascii: "}") {
                at += 1
                return .object(members)
            } else {
                throw fail("',' or '}' must stand here")
            }
        }
    }

    mutating func array(level: Int) throws(JSONMistake) -> Document {
        at += 1
        var elements: [Document] = []
        skipWhiteSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .array([])
        }
        while true {
            elements.append(try value(level: level + 1))
            skipWhiteSpace()
            if next == UInt8(ascii: ",") {
                at += 1
            } else if next == UInt8(ascii: "]") {
                at += 1
                return .array(elements)
            } else {
                throw fail("',' or ']' must stand here")
            }
        }
    }

    mutating func digits() -> Int {
        let start = at
        while let byte = next, (48...57).contains(byte) { at += 1 }
        return at - start
    }

    mutating func number() throws(JSONMistake) -> Document {
        let start = at
        if next == UInt8(ascii: "-") { at += 1 }
        let first = next
        let whole = digits()
        guard whole > 0, whole == 1 || first != UInt8(ascii: "0") else { throw fail("a number is written without leading zeros") }
        var isWhole = true
        if next == UInt8(ascii: ".") {
            isWhole = false
            at += 1
            guard digits() > 0 else { throw fail("digits must follow the point") }
        }
        if let mark = next, mark | 32 == UInt8(ascii: "e") {
            isWhole = false
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            guard digits() > 0 else { throw fail("digits must follow the exponent") }
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw fail("the number \(text.prefix(40)) is out of range") }
        return .double(value)
    }

    mutating func string() throws(JSONMistake) -> String {
        at += 1
        var content: [UInt8] = []
        while true {
            guard let byte = next else { throw fail("a string is not closed") }
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                guard let text = String(validating: content, as: UTF8.self) else { throw fail("a string is no UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<32: throw fail("a control character must be escaped")
            default:
                content.append(byte)
                at += 1
            }
        }
    }

    mutating func escape(into content: inout [UInt8]) throws(JSONMistake) {
        at += 1
        let simple: [UInt8: UInt8] = [34: 34, 92: 92, 47: 47, 98: 8, 102: 12, 110: 10, 114: 13, 116: 9]
        guard let letter = next else { throw fail("a string is not closed") }
        at += 1
        if let byte = simple[letter] {
            content.append(byte)
            return
        }
        guard letter == UInt8(ascii: "u") else { throw fail("unknown escape") }
        var code = try hexadecimal()
        if (0xD800...0xDBFF).contains(code) {
            guard at + 1 < bytes.count, next == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                throw fail("half a surrogate pair")
            }
            at += 2
            let low = try hexadecimal()
            guard (0xDC00...0xDFFF).contains(low) else { throw fail("half a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = UnicodeScalar(code) else { throw fail("half a surrogate pair") }
        content.append(contentsOf: String(Character(scalar)).utf8)
    }

    mutating func hexadecimal() throws(JSONMistake) -> UInt32 {
        guard at + 4 <= bytes.count, let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16),
            bytes[at] != UInt8(ascii: "+"), bytes[at] != UInt8(ascii: "-")
        else { throw fail("four hexadecimal digits must follow \\u") }
        at += 4
        return code
    }
}
