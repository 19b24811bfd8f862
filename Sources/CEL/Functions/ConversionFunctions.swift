/// `int uint double string bytes bool timestamp duration`.
enum ConversionFunctions {
    static let all: [StandardFunction] = [int, uint, double, string, bytes, bool, timestamp, duration]

    private static func conversion(
        _ name: String, _ from: [CELType], to result: CELType, _ convert: @escaping @Sendable (Value) throws(ConversionFailure) -> Value
    ) -> StandardFunction {
        StandardFunction(
            name, .global, from.map { .of($0, to: result) },
            .unary { (value, frame, span) throws(Fault) in
                switch value {
                case .string(let text):
                    try frame.charge(text.utf8.count / 16, span)
                    try frame.allocate(text.utf8.count, span)
                case .bytes(let bytes):
                    try frame.charge(bytes.count / 16, span)
                    try frame.allocate(bytes.count, span)
                default: break
                }
                do throws(ConversionFailure) {
                    return try convert(value)
                } catch {
                    switch error {
                    case .noOverload: throw Fault(noOverload: name, [value.kind], span)
                    case .failed(let message): throw Fault(.conversion, span, message)
                    }
                }
            })
    }

    static let int = conversion("int", [.int, .uint, .double, .string, .timestamp], to: .int) { (value) throws(ConversionFailure) in
        switch value {
        case .int: return value
        case .uint(let number):
            guard let result = Int64(exactly: number) else { throw .failed("integer overflow") }
            return .int(result)
        case .double(let number):
            // Strictly inside (-2^63, 2^63): the bounds themselves are refused, as the specification's tests want.
            guard number > -0x1p63, number < 0x1p63 else { throw .failed("a double out of the range of int") }
            return .int(Int64(number))
        case .string(let text):
            guard let result = Decimal.int(text) else { throw .failed("not the text of an int") }
            return .int(result)
        case .timestamp(let instant): return .int(instant.seconds)
        default: throw .noOverload
        }
    }

    static let uint = conversion("uint", [.uint, .int, .double, .string], to: .uint) { (value) throws(ConversionFailure) in
        switch value {
        case .uint: return value
        case .int(let number):
            guard let result = UInt64(exactly: number) else { throw .failed("a negative number has no uint") }
            return .uint(result)
        case .double(let number):
            guard number >= 0, number < 0x1p64 else { throw .failed("a double out of the range of uint") }
            return .uint(UInt64(number))
        case .string(let text):
            guard let result = Decimal.uint(text) else { throw .failed("not the text of a uint") }
            return .uint(result)
        default: throw .noOverload
        }
    }

    static let double = conversion("double", [.double, .int, .uint, .string], to: .double) { (value) throws(ConversionFailure) in
        switch value {
        case .double: return value
        case .int(let number): return .double(Double(number))
        case .uint(let number): return .double(Double(number))
        case .string(let text):
            guard let result = Decimal.double(text) else { throw .failed("not the text of a double") }
            return .double(result)
        default: throw .noOverload
        }
    }

    static let string = conversion(
        "string", [.string, .bool, .int, .uint, .double, .bytes, .timestamp, .duration, .opaque("net.IP"), .opaque("net.CIDR")], to: .string
    ) { (value) throws(ConversionFailure) in
        switch value {
        case .string: return value
        case .bool(let flag): return .string(flag ? "true" : "false")
        case .int(let number): return .string(String(number))
        case .uint(let number): return .string(String(number))
        case .double(let number): return .string(Decimal.text(number))
        case .bytes(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else { throw .failed("bytes that are not UTF-8") }
            return .string(text)
        case .timestamp(let instant): return .string(instant.text)
        case .duration(let length): return .string(DurationText.seconds(nanoseconds: length))
        case .opaque(let opaque):
            guard let text = opaque.text else { throw .noOverload }
            return .string(text)
        default: throw .noOverload
        }
    }

    static let bytes = conversion("bytes", [.bytes, .string], to: .bytes) { (value) throws(ConversionFailure) in
        switch value {
        case .bytes: return value
        case .string(let text): return .bytes(Array(text.utf8))
        default: throw .noOverload
        }
    }

    static let bool = conversion("bool", [.bool, .string], to: .bool) { (value) throws(ConversionFailure) in
        switch value {
        case .bool: return value
        case .string(let text):
            if ["1", "t", "true", "TRUE", "True"].contains(where: { $0.hasSameBytes(as: text) }) { return .bool(true) }
            if ["0", "f", "false", "FALSE", "False"].contains(where: { $0.hasSameBytes(as: text) }) { return .bool(false) }
            throw .failed("not the text of a bool")
        default: throw .noOverload
        }
    }

    static let timestamp = conversion("timestamp", [.timestamp, .string, .int], to: .timestamp) { (value) throws(ConversionFailure) in
        switch value {
        case .timestamp: return value
        case .string(let text):
            guard let instant = Timestamp(text) else { throw .failed("not an RFC 3339 timestamp between the years 1 and 9999") }
            return .timestamp(instant)
        case .int(let seconds):
            guard let instant = Timestamp(seconds: seconds) else { throw .failed("timestamp out of range") }
            return .timestamp(instant)
        default: throw .noOverload
        }
    }

    static let duration = conversion("duration", [.duration, .string, .int], to: .duration) { (value) throws(ConversionFailure) in
        switch value {
        case .duration: return value
        case .string(let text):
            guard let length = DurationText.parse(text) else { throw .failed("not a duration such as '1h30m', or one too long") }
            return .duration(nanoseconds: length)
        case .int(let nanoseconds): return .duration(nanoseconds: nanoseconds)
        default: throw .noOverload
        }
    }

    /// What is wrong with a text that is written out as the argument of `duration` or `timestamp`.
    static func mistake(in text: String, of function: String) -> (message: String, hint: String?)? {
        switch function {
        case "duration" where DurationText.parse(text) == nil:
            (
                "'\(text)' is not a duration such as '1h30m', or one too long",
                daysInHours(text).map { "the longest unit is the hour: write '\($0)h'" }
            )
        case "timestamp" where Timestamp(text) == nil:
            ("'\(text)' is not an RFC 3339 timestamp between the years 1 and 9999, such as '2026-01-31T12:00:00Z'", nil)
        default: nil
        }
    }

    /// `2d`, `1w`: units that other durations have.
    private static func daysInHours(_ text: String) -> Int64? {
        guard let unit = text.last, unit == "d" || unit == "w", let count = Decimal.int(String(text.dropLast())),
            (0...Int64(100_000)).contains(count)
        else { return nil }
        return count * (unit == "d" ? 24 : 168)
    }
}

enum ConversionFailure: Error {
    case noOverload
    case failed(String)
}

/// Numbers as text.
enum Decimal {
    /// Digits with at most one sign in front, nothing else.
    static func int(_ text: String) -> Int64? {
        guard isWhole(text, allowsSign: true) else { return nil }
        return Int64(text)
    }

    static func uint(_ text: String) -> UInt64? {
        guard isWhole(text, allowsSign: false) else { return nil }
        return UInt64(text)
    }

    private static func isWhole(_ text: String, allowsSign: Bool) -> Bool {
        text.withBytes { bytes in
            var digits = bytes[...]
            if allowsSign, let sign = digits.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { digits = digits.dropFirst() }
            return !digits.isEmpty && digits.allSatisfy(Lexer.isDigit)
        }
    }

    /// Decimal digits with an optional fraction and exponent, `NaN`, and infinities.
    static func double(_ text: String) -> Double? {
        switch text.utf8.count {
        case 3 where text.hasSameBytes(as: "NaN") || text.hasSameBytes(as: "nan"): return .nan
        case 3...9:
            if ["Infinity", "+Infinity", "Inf", "+Inf", "inf", "infinity"].contains(where: { $0.hasSameBytes(as: text) }) {
                return .infinity
            }
            if ["-Infinity", "-Inf", "-inf", "-infinity"].contains(where: { $0.hasSameBytes(as: text) }) { return -.infinity }
        default: break
        }
        let isPlain = text.withBytes { bytes in
            bytes.contains(where: Lexer.isDigit)
                && bytes.allSatisfy {
                    Lexer.isDigit($0) || $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") || $0 == UInt8(ascii: "+")
                        || $0 == UInt8(ascii: "-")
                }
        }
        return isPlain ? Double(text) : nil
    }

    /// The shortest digits that read back as the same double, laid out as C's `%g` does: `1`, `0.0001`, `1e+06`.
    static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        if number == 0 { return number.sign == .minus ? "-0" : "0" }
        let (digits, exponent) = shortest(number.magnitude)
        let sign = number < 0 ? "-" : ""
        // The precision of `%g` is 6: so many digits may stand before the point.
        if exponent < -4 || exponent >= 6 {
            let fraction = digits.count > 1 ? "." + String(decoding: digits[1...], as: UTF8.self) : ""
            let magnitude = String(exponent.magnitude)
            return sign + String(decoding: digits[..<1], as: UTF8.self) + fraction + "e" + (exponent < 0 ? "-" : "+")
                + (magnitude.utf8.count < 2 ? "0" : "") + magnitude
        }
        return sign + plain(digits, exponent)
    }

    private static func plain(_ digits: [UInt8], _ exponent: Int) -> String {
        if exponent < 0 {
            return "0." + String(repeating: "0", count: -exponent - 1) + String(decoding: digits, as: UTF8.self)
        }
        if digits.count <= exponent + 1 {
            return String(decoding: digits, as: UTF8.self) + String(repeating: "0", count: exponent + 1 - digits.count)
        }
        return String(decoding: digits[...exponent], as: UTF8.self) + "." + String(decoding: digits[(exponent + 1)...], as: UTF8.self)
    }

    /// Shortest round-trip digits without leading or trailing zeros, and the decimal exponent of the first.
    static func shortest(_ number: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var pointAt: Int?
        let text = Array(number.description.utf8)
        var index = 0
        while index < text.count {
            let byte = text[index]
            if Lexer.isDigit(byte) {
                digits.append(byte)
            } else if byte == UInt8(ascii: ".") {
                pointAt = digits.count
            } else if byte | 0x20 == UInt8(ascii: "e") {
                exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
                break
            }
            index += 1
        }
        exponent += (pointAt ?? digits.count) - 1
        while digits.count > 1, digits.first == UInt8(ascii: "0") {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, exponent)
    }
}
