/// Reads one JSON text (RFC 8259) into a value: numbers become doubles, objects maps with string keys (the last of equal keys counts), as the
/// CEL specification says.
struct JSONReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let maximumDepth: Int
    private var position = 0

    /// Where and why a text is not JSON.
    struct Failure: Error {
        var offset: Int
        var message: String
    }

    static func read(_ bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int = 64) throws(Failure) -> Value {
        var reader = JSONReader(bytes: bytes, maximumDepth: maximumDepth)
        let value = try reader.value(depth: 0)
        reader.skipBlanks()
        guard reader.position == bytes.count else { throw reader.failure("more text behind the value") }
        return value
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    private func failure(_ message: String) -> Failure { Failure(offset: position, message: message) }

    private mutating func skipBlanks() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func value(depth: Int) throws(Failure) -> Value {
        guard depth <= maximumDepth else { throw failure("nested too deep") }
        skipBlanks()
        guard let first = current else { throw failure("a value is missing") }
        switch first {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString, _ value: Value) throws(Failure) -> Value {
        for index in 0..<text.utf8CodeUnitCount {
            guard position + index < bytes.count, bytes[position + index] == text.utf8Start[index] else { throw failure("not a value") }
        }
        position += text.utf8CodeUnitCount
        return value
    }

    private mutating func number() throws(Failure) -> Value {
        guard let end = JSONNumber.end(of: bytes, from: position) else { throw failure("not a value") }
        let text = String(decoding: bytes[position..<end], as: UTF8.self)
        guard let number = Double(text) else { throw failure("not a number") }
        position = end
        return .double(number)
    }

    private mutating func array(_ depth: Int) throws(Failure) -> Value {
        position += 1
        var elements: [Value] = []
        skipBlanks()
        if current == UInt8(ascii: "]") {
            position += 1
            return .list([])
        }
        while true {
            elements.append(try value(depth: depth + 1))
            skipBlanks()
            guard let next = current, next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else { throw failure("',' or ']' is missing") }
            position += 1
            if next == UInt8(ascii: "]") { return .list(elements) }
        }
    }

    private mutating func object(_ depth: Int) throws(Failure) -> Value {
        position += 1
        var builder = CELMap.Builder(capacity: 4)
        skipBlanks()
        if current == UInt8(ascii: "}") {
            position += 1
            return .map(CELMap())
        }
        while true {
            skipBlanks()
            guard current == UInt8(ascii: "\"") else { throw failure("a member's name is missing") }
            let name = try string()
            skipBlanks()
            guard current == UInt8(ascii: ":") else { throw failure("':' is missing") }
            position += 1
            _ = builder.insert(.string(name), try value(depth: depth + 1), replacing: true)
            skipBlanks()
            guard let next = current, next == UInt8(ascii: ",") || next == UInt8(ascii: "}") else { throw failure("',' or '}' is missing") }
            position += 1
            if next == UInt8(ascii: "}") { return .map(builder.build()) }
        }
    }

    private mutating func string() throws(Failure) -> String {
        position += 1
        let start = position
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if current == UInt8(ascii: "\"") {
            let plain = bytes[start..<position]
            guard let text = String(validating: plain, as: UTF8.self) else { throw failure("a string is not UTF-8") }
            position += 1
            return text
        }
        var content = Array(bytes[start..<position])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: content, as: UTF8.self) else { throw failure("a string is not UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20: throw failure("a control character in a string")
            default:
                content.append(byte)
                position += 1
            }
        }
        throw failure("a string is never closed")
    }

    private mutating func escape(into content: inout [UInt8]) throws(Failure) {
        position += 1
        guard let letter = current else { throw failure("a string is never closed") }
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(letter)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var value = UInt32(try unit())
            if (0xD800..<0xDC00).contains(value) {
                guard current == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u") else {
                    throw failure("half of a surrogate pair")
                }
                position += 2
                let low = UInt32(try unit())
                guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair") }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw failure("half of a surrogate pair") }
            content.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func unit() throws(Failure) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Lexer.hexValue(byte) else { throw failure("'\\u' needs four hexadecimal digits") }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }
}

extension Value {
    /// The value of a JSON text; nil when it is not one, or nested deeper than 64. Numbers become doubles.
    public init?(json: UnsafeRawBufferPointer) {
        let value = json.withMemoryRebound(to: UInt8.self) { bytes in try? JSONReader.read(bytes) }
        guard let value else { return nil }
        self = value
    }

    public init?(json: String) {
        guard let value = json.withBytes({ bytes in try? JSONReader.read(bytes) }) else { return nil }
        self = value
    }
}
