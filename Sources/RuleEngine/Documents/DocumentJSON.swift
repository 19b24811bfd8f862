/// JSON text of documents. Instants are RFC 3339 strings; doubles that JSON cannot say (NaN, infinities) are strings.
extension Document {
    public var json: String {
        var text = ""
        write(into: &text)
        return text
    }

    public func write(into text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .int(let value): text += String(value)
        case .double(let value): text += value.isFinite ? value.shortest : "\"\(value.shortest)\""
        case .string(let value): Self.quote(value, into: &text)
        case .instant(let value): text += "\"\(value)\""
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += "," }
                element.write(into: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { text += "," }
                Self.quote(member.name, into: &text)
                text += ":"
                member.value.write(into: &text)
            }
            text += "}"
        }
    }

    static func quote(_ value: String, into text: inout String) {
        let digits = Array("0123456789abcdef")
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case let control where control.value < 0x20:
                text += "\\u00"
                text.append(digits[Int(control.value >> 4)])
                text.append(digits[Int(control.value & 15)])
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension Double {
    /// Shortest digits that read back as the same number, without exponent from 1e-4 to 1e15 and never with `.0`.
    public var shortest: String {
        if self == 0 { return "0" }
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        let text = description
        let magnitude = self.magnitude
        guard let mark = text.firstIndex(of: "e") else { return text.hasSuffix(".0") ? String(text.dropLast(2)) : text }
        guard magnitude >= 1e-4, magnitude < 1e15, let exponent = Int(text[text.index(after: mark)...]) else {
            return String(text[..<mark].replacingSuffix(".0", with: "")) + text[mark...]
        }
        let sign = self < 0 ? "-" : ""
        let digits = text[..<mark].filter { $0 != "." && $0 != "-" }
        let trimmed = digits.reversed().drop { $0 == "0" }.reversed()
        if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + String(trimmed) }
        let whole = String(trimmed) + String(repeating: "0", count: max(0, exponent + 1 - trimmed.count))
        let split = whole.index(whole.startIndex, offsetBy: exponent + 1)
        return sign + whole[..<split] + (split == whole.endIndex ? "" : "." + whole[split...])
    }
}

extension Substring {
    fileprivate func replacingSuffix(_ suffix: String, with other: String) -> Substring {
        hasSuffix(suffix) ? dropLast(suffix.count) + other[...] : self
    }
}
