extension LuaState {
    func defineBase64() {
        define("base64.encode") { call in
            guard let bytes = call[0].payload else { return .raise("base64.encode: wants a string") }
            return .value(.string(Base64.encode(bytes)))
        }
        define("base64.decode") { call in
            guard let text = call[0].payload else { return .raise("base64.decode: wants a string") }
            guard let bytes = Base64.decode(text) else { return .failed("it is no base64") }
            return .value(.bytes(bytes))
        }
    }
}

/// RFC 4648 §4, and §5's alphabet when decoding.
enum Base64 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var at = 0
        while at < bytes.count {
            let left = bytes.count - at
            let word = UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[at + 2]) : 0)
            text.append(letters[Int(word >> 18)])
            text.append(letters[Int(word >> 12 & 63)])
            text.append(left > 1 ? letters[Int(word >> 6 & 63)] : UInt8(ascii: "="))
            text.append(left > 2 ? letters[Int(word & 63)] : UInt8(ascii: "="))
            at += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Padding may be left out, and there may be spaces and ends of lines; anything else that is no letter makes it nil.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var (word, bits, count) = (UInt32(0), 0, 0)
        var end = text.count
        while end > 0, text[end - 1] == UInt8(ascii: "=") || text[end - 1] <= 32 { end -= 1 }
        for letter in text[..<end] where letter > 32 {
            guard let value = value(letter) else { return nil }
            count += 1
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return count % 4 == 1 ? nil : bytes
    }

    private static func value(_ letter: UInt8) -> UInt32? {
        switch letter {
        case 65...90: UInt32(letter) - 65
        case 97...122: UInt32(letter) - 71
        case 48...57: UInt32(letter) + 4
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
