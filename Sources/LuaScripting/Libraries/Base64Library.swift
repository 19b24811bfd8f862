internal import RuleEngine

extension AutomationRuntime {
    func defineBase64(_ automation: Automation) {
        define(automation, "base64.encode") { _, _, call in
            guard let bytes = call[0].payload else { return .raise("wants a string") }
            return .value(.string(Base64.encode(bytes)))
        }
        define(automation, "base64.decode") { _, _, call in
            guard let text = call[0].payload else { return .raise("wants a string") }
            guard let bytes = Base64.decode(text) else { return .failed("it is no base64") }
            return .value(.bytes(bytes))
        }
    }
}

/// RFC 4648 §4.
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

    /// Padding may be left out; anything else that is no letter makes it nil.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (word, bits) = (UInt32(0), 0)
        var end = text.count
        while end > 0, text[end - 1] == UInt8(ascii: "="), text.count - end < 2 { end -= 1 }
        for letter in text[..<end] {
            guard let value = letters.firstIndex(of: letter) else { return nil }
            word = word << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return end % 4 == 1 ? nil : bytes
    }
}
