/// Appends JSON text to bytes.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// Nothing more is written beyond this: values may share parts, and their text grow exponentially.
    let maximumLength: Int

    init(maximumLength: Int = 64 << 20) { self.maximumLength = maximumLength }

    var isFull: Bool { bytes.count >= maximumLength }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x0A: raw("\\n")
            case 0x0D: raw("\\r")
            case 0x09: raw("\\t")
            case 0..<0x20, 0x7F:
                raw("\\u00")
                raw(String(byte >> 4, radix: 16))
                raw(String(byte & 15, radix: 16))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func list<T>(_ items: [T], open: StaticString = "[", close: StaticString = "]", _ write: (inout JSONWriter, T) -> Void) {
        raw(open)
        for (index, item) in items.enumerated() {
            if isFull { break }
            if index > 0 { raw(",") }
            write(&self, item)
        }
        raw(close)
    }

    // MARK: plain JSON

    /// What JSON has no form for is written as text: NaN and infinities, bytes (base64), timestamps, durations, types.
    mutating func value(_ value: Value) {
        if isFull { return }
        switch value {
        case .null: raw("null")
        case .bool(let flag): raw(flag ? "true" : "false")
        case .int(let number): raw(String(number))
        case .uint(let number): raw(String(number))
        case .double(let number): double(number)
        case .string(let text): string(text)
        case .bytes(let octets): string(Base64.encode(octets))
        case .list(let elements): list(elements) { $0.value($1) }
        case .map(let map):
            list(map.pairs, open: "{", close: "}") {
                if case .string(let name) = $1.key { $0.string(name) } else { $0.string($1.key.description) }
                $0.raw(":")
                $0.value($1.value)
            }
        case .timestamp(let instant): string(instant.text)
        case .duration(let length): string(DurationText.seconds(nanoseconds: length))
        case .type(let type): string(type.name)
        case .optional(let optional): if let wrapped = optional.wrapped { self.value(wrapped) } else { raw("null") }
        case .opaque(let opaque): string(opaque.text ?? opaque.typeName.name)
        }
    }

    private mutating func double(_ number: Double) {
        guard number.isFinite else {
            string(Decimal.text(number))
            return
        }
        // Whole numbers as JSON writers usually write them: 30, not 30.0.
        if number == number.rounded(), number.magnitude < 1e15, number != 0 || number.sign == .plus {
            raw(String(Int64(number)))
        } else {
            raw(number.description)
        }
    }

    // MARK: typed JSON

    /// `{"int":"1"}`, `{"list":[…]}`, …: nothing about the value is lost.
    mutating func typed(_ value: Value) {
        if isFull { return }
        switch value {
        case .null: raw("{\"null\":true}")
        case .bool(let flag): raw(flag ? "{\"bool\":true}" : "{\"bool\":false}")
        case .int(let number): tagged("int", String(number))
        case .uint(let number): tagged("uint", String(number))
        case .double(let number): tagged("double", number.isFinite ? number.description : Decimal.text(number))
        case .string(let text): tagged("string", text)
        case .bytes(let octets): tagged("bytes", Base64.encode(octets))
        case .list(let elements):
            raw("{\"list\":")
            list(elements) { $0.typed($1) }
            raw("}")
        case .map(let map):
            raw("{\"map\":")
            list(map.pairs) {
                $0.raw("[")
                $0.typed($1.key)
                $0.raw(",")
                $0.typed($1.value)
                $0.raw("]")
            }
            raw("}")
        case .timestamp(let instant): tagged("timestamp", instant.text)
        case .duration(let length): tagged("duration", DurationText.seconds(nanoseconds: length))
        case .type(let type): tagged("type", type.name)
        case .optional(let optional):
            raw("{\"optional\":")
            if let wrapped = optional.wrapped { typed(wrapped) } else { raw("null") }
            raw("}")
        case .opaque(let opaque): tagged(opaque.typeName.name, opaque.text ?? "")
        }
    }

    private mutating func tagged(_ tag: String, _ text: String) {
        raw("{")
        string(tag)
        raw(":")
        string(text)
        raw("}")
    }
}

extension Value {
    /// The value as JSON text; what JSON has no form for (NaN, bytes, timestamps, durations, types) becomes a string. Nil when the text would
    /// be longer than so many bytes: a value may share its parts, and its text be exponentially larger than it.
    public func json(maximumLength: Int) -> String? {
        var writer = JSONWriter(maximumLength: maximumLength)
        writer.value(self)
        return writer.isFull ? nil : writer.text
    }

    /// The value as JSON text of at most 16 MiB; `null` for one that is larger.
    public var json: String { json(maximumLength: 16 << 20) ?? "null" }
}

/// RFC 4648 §4.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((octets.count + 2) / 3 * 4)
        var index = 0
        while index < octets.count {
            let rest = octets.count - index
            let word =
                UInt32(octets[index]) << 16 | (rest > 1 ? UInt32(octets[index + 1]) << 8 : 0) | (rest > 2 ? UInt32(octets[index + 2]) : 0)
            text.append(alphabet[Int(word >> 18)])
            text.append(alphabet[Int(word >> 12 & 63)])
            text.append(rest > 1 ? alphabet[Int(word >> 6 & 63)] : UInt8(ascii: "="))
            text.append(rest > 2 ? alphabet[Int(word & 63)] : UInt8(ascii: "="))
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The octets of a text with or without its padding; nil when it is malformed.
    static func decode(_ text: String) -> [UInt8]? {
        var digits = Array(text.utf8)
        if digits.last == UInt8(ascii: "=") {
            guard digits.count % 4 == 0 else { return nil }
            digits.removeLast()
            if digits.last == UInt8(ascii: "=") { digits.removeLast() }
        }
        guard digits.count % 4 != 1 else { return nil }
        var octets: [UInt8] = []
        octets.reserveCapacity(digits.count / 4 * 3 + 2)
        var word: UInt32 = 0
        var bits = 0
        for digit in digits {
            guard let value = value(digit) else { return nil }
            word = word << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                octets.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
                word &= (1 << UInt32(bits)) - 1
            }
        }
        return octets
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
