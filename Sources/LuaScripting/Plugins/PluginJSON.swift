import RuleEngine

/// `json` and `base64` of plugins.
enum PluginJSON {
    static func define(in lua: LuaState) {
        lua.define("json.decode") { call in
            guard let text = call[0].payload else { return .raise("json.decode takes a string") }
            guard let document = try? Document(json: text) else { return .failed("it is no JSON") }
            return .value(LuaValue(document))
        }
        lua.define("json.encode") { call in .value(.string(call[0].document.json)) }
        lua.define("base64.encode") { call in
            guard let bytes = call[0].payload else { return .raise("base64.encode takes a string") }
            return .value(.string(PluginBase64.encode(bytes)))
        }
        lua.define("base64.decode") { call in
            guard let text = call[0].payload else { return .raise("base64.decode takes a string") }
            guard let bytes = PluginBase64.decode(text) else { return .failed("it is no base64") }
            return .value(String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(bytes))
        }
    }
}

/// RFC 4648 §4, and §5's alphabet when decoding.
private enum PluginBase64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                text.append(place <= group.count ? digits[Int(bits >> UInt32(18 - 6 * place) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil when a character is none of base64's, or the length cannot be.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var content = text.filter { $0 > 32 }
        while content.last == UInt8(ascii: "=") { content.removeLast() }
        guard content.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(content.count * 3 / 4)
        for start in stride(from: 0, to: content.count, by: 4) {
            let group = content[start..<min(start + 4, content.count)]
            var bits: UInt32 = 0
            for byte in group {
                guard let value = value(byte) else { return nil }
                bits = bits << 6 | value
            }
            bits <<= UInt32(6 * (4 - group.count))
            for place in 0..<(group.count - 1) { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * place))) }
        }
        return bytes
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 65...90: UInt32(byte) - 65
        case 97...122: UInt32(byte) - 71
        case 48...57: UInt32(byte) + 4
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
