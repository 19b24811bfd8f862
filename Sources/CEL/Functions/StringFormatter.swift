/// `text.format(arguments)`: `%s %d %f %e %x %X %o %b %%`, `%f` and `%e` with a precision.
struct StringFormatter {
    private(set) var text = ""
    let span: Span

    init(span: Span) { self.span = span }

    private func failure(_ message: String) -> Fault { Fault(.badArgument, span, message) }

    mutating func format(_ pattern: String, _ arguments: [Value], _ frame: inout Frame) throws(Fault) {
        try frame.build(pattern.utf8.count, span)
        let bytes = Array(pattern.utf8)
        var next = 0
        var position = 0
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: "%") else {
                let start = position
                while position < bytes.count, bytes[position] != UInt8(ascii: "%") { position += 1 }
                text += String(decoding: bytes[start..<position], as: UTF8.self)
                continue
            }
            position += 1
            guard position < bytes.count else { throw failure("the format ends after '%'") }
            if bytes[position] == UInt8(ascii: "%") {
                text += "%"
                position += 1
                continue
            }
            let precision = try precision(bytes, &position)
            guard position < bytes.count else { throw failure("the format ends inside a verb") }
            guard next < arguments.count else { throw failure("the format has more verbs than arguments") }
            let verb = bytes[position]
            position += 1
            try append(verb, arguments[next], precision, &frame)
            next += 1
        }
    }

    private func precision(_ bytes: [UInt8], _ position: inout Int) throws(Fault) -> Int? {
        guard bytes[position] == UInt8(ascii: ".") else { return nil }
        position += 1
        var value = 0
        let start = position
        while position < bytes.count, Lexer.isDigit(bytes[position]) {
            value = value * 10 + Int(bytes[position] - 0x30)
            guard value <= 1000 else { throw failure("a precision may be at most 1000") }
            position += 1
        }
        guard position > start else { throw failure("'%.' needs digits") }
        return value
    }

    private mutating func append(_ verb: UInt8, _ value: Value, _ precision: Int?, _ frame: inout Frame) throws(Fault) {
        let shown: String
        // A double may have a thousand digits to work out.
        if verb == UInt8(ascii: "f") || verb == UInt8(ascii: "e") { try frame.charge(100, span) }
        switch verb {
        case UInt8(ascii: "s"):
            try appendText(value, &frame)
            return
        case UInt8(ascii: "d"): shown = try decimal(value)
        case UInt8(ascii: "f"): shown = try number(value, "f").map { DecimalExpansion($0).fixed(precision ?? 6) } ?? special(value)
        case UInt8(ascii: "e"): shown = try number(value, "e").map { DecimalExpansion($0).scientific(precision ?? 6) } ?? special(value)
        case UInt8(ascii: "x"): shown = try hexadecimal(value, uppercase: false, &frame)
        case UInt8(ascii: "X"): shown = try hexadecimal(value, uppercase: true, &frame)
        case UInt8(ascii: "o"): shown = try radix(value, 8, "o")
        case UInt8(ascii: "b"):
            if case .bool(let flag) = value { shown = flag ? "1" : "0" } else { shown = try radix(value, 2, "b") }
        default: throw failure("an unknown verb in a format")
        }
        try frame.build(shown.utf8.count, span)
        text += shown
    }

    private func wrong(_ value: Value, _ verb: String) -> Fault { failure("'%\(verb)' cannot show \(value.kind.name.withArticle)") }

    private func decimal(_ value: Value) throws(Fault) -> String {
        switch value {
        case .int(let number): return String(number)
        case .uint(let number): return String(number)
        case .double(let number) where !number.isFinite: return Decimal.text(number)
        default: throw wrong(value, "d")
        }
    }

    /// The finite number to show; nil for NaN and infinities.
    private func number(_ value: Value, _ verb: String) throws(Fault) -> Double? {
        switch value {
        case .int(let number): return Double(number)
        case .uint(let number): return Double(number)
        case .double(let number): return number.isFinite ? number : nil
        default: throw wrong(value, verb)
        }
    }

    private func special(_ value: Value) -> String {
        if case .double(let number) = value { return Decimal.text(number) }
        return ""
    }

    private func radix(_ value: Value, _ radix: Int, _ verb: String) throws(Fault) -> String {
        switch value {
        case .int(let number): return String(number, radix: radix)
        case .uint(let number): return String(number, radix: radix)
        default: throw wrong(value, verb)
        }
    }

    private func hexadecimal(_ value: Value, uppercase: Bool, _ frame: inout Frame) throws(Fault) -> String {
        switch value {
        case .int(let number): return String(number, radix: 16, uppercase: uppercase)
        case .uint(let number): return String(number, radix: 16, uppercase: uppercase)
        case .string(let text):
            try frame.build(text.utf8.count &* 2, span)
            return hexadecimal(Array(text.utf8), uppercase)
        case .bytes(let bytes):
            try frame.build(bytes.count &* 2, span)
            return hexadecimal(bytes, uppercase)
        default: throw wrong(value, uppercase ? "X" : "x")
        }
    }

    private func hexadecimal(_ bytes: [UInt8], _ uppercase: Bool) -> String {
        let digits = Array((uppercase ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    // MARK: %s

    private mutating func add(_ shown: String, _ frame: inout Frame) throws(Fault) {
        try frame.build(shown.utf8.count &+ 8, span)
        text += shown
    }

    private mutating func appendText(_ value: Value, _ frame: inout Frame) throws(Fault) {
        switch value {
        case .null: try add("null", &frame)
        case .bool(let flag): try add(flag ? "true" : "false", &frame)
        case .int(let number): try add(String(number), &frame)
        case .uint(let number): try add(String(number), &frame)
        case .double(let number): try add(Decimal.text(number), &frame)
        case .string(let string): try add(string, &frame)
        case .bytes(let bytes): try add(String(decoding: bytes, as: UTF8.self), &frame)
        case .timestamp(let instant): try add(instant.text, &frame)
        case .duration(let length): try add(DurationText.seconds(nanoseconds: length), &frame)
        case .type(let type): try add(type.name, &frame)
        case .list(let elements):
            try add("[", &frame)
            for (index, element) in elements.enumerated() {
                if index > 0 { try add(", ", &frame) }
                try appendText(element, &frame)
            }
            try add("]", &frame)
        case .map(let map): try appendMap(map, &frame)
        case .optional, .opaque: throw wrong(value, "s")
        }
    }

    /// Entries sorted by the text of their keys.
    private mutating func appendMap(_ map: CELMap, _ frame: inout Frame) throws(Fault) {
        var entries: [(key: String, value: Value)] = []
        for pair in map.pairs {
            var key = StringFormatter(span: span)
            try key.appendText(pair.key, &frame)
            entries.append((key.text, pair.value))
        }
        entries.sort { $0.key.byteOrder(to: $1.key) < 0 }
        try add("{", &frame)
        for (index, entry) in entries.enumerated() {
            try add((index > 0 ? ", " : "") + entry.key + ": ", &frame)
            try appendText(entry.value, &frame)
        }
        try add("}", &frame)
    }
}

/// All digits of a double: every double is a finite decimal fraction.
struct DecimalExpansion {
    private let isNegative: Bool
    /// Without leading zeros; empty for zero.
    private var digits: [UInt8]
    /// How many of the digits stand before the point; negative when zeros follow the point first.
    private var pointAt: Int

    /// The number must be finite.
    init(_ number: Double) {
        isNegative = number.sign == .minus
        let bits = number.magnitude.bitPattern
        let field = Int(bits >> 52)
        let fraction = bits & 0x000F_FFFF_FFFF_FFFF
        let significand = field == 0 ? fraction : fraction | 1 << 52
        var exponent = (field == 0 ? 1 : field) - 1075
        // Limbs of nine decimal digits, least significant first: significand · 2^exponent, or significand · 5^-exponent with the point moved.
        var limbs: [UInt32] = [UInt32(significand % 1_000_000_000), UInt32(significand / 1_000_000_000)]
        var scale = 0
        if exponent >= 0 {
            while exponent > 0 {
                let step = min(exponent, 29)
                DecimalExpansion.multiply(&limbs, by: 1 << UInt32(step))
                exponent -= step
            }
        } else {
            scale = -exponent
            var left = scale
            while left > 0 {
                let step = min(left, 12)
                var power: UInt32 = 1
                for _ in 0..<step { power *= 5 }
                DecimalExpansion.multiply(&limbs, by: power)
                left -= step
            }
        }
        digits = []
        for limb in limbs.reversed() {
            var divisor: UInt32 = 100_000_000
            while divisor > 0 {
                digits.append(UInt8(limb / divisor % 10))
                divisor /= 10
            }
        }
        pointAt = digits.count - scale
        let zeros = digits.prefix { $0 == 0 }.count
        digits.removeFirst(zeros)
        pointAt -= zeros
        if digits.isEmpty { pointAt = 0 }
    }

    private static func multiply(_ limbs: inout [UInt32], by factor: UInt32) {
        var carry: UInt64 = 0
        for index in limbs.indices {
            let product = UInt64(limbs[index]) * UInt64(factor) + carry
            limbs[index] = UInt32(product % 1_000_000_000)
            carry = product / 1_000_000_000
        }
        if carry > 0 { limbs.append(UInt32(carry)) }
    }

    /// Keeps `count` digits, rounded to nearest, ties to even.
    private mutating func round(to count: Int) {
        guard count < digits.count else { return }
        guard count >= 0 else {
            digits = []
            pointAt = 0
            return
        }
        let half = digits[count]
        let isExact = digits[(count + 1)...].allSatisfy { $0 == 0 }
        let isOdd = count > 0 && digits[count - 1] % 2 == 1
        digits.removeSubrange(count...)
        guard half > 5 || half == 5 && (!isExact || isOdd) else { return }
        var index = count - 1
        while index >= 0, digits[index] == 9 {
            digits[index] = 0
            index -= 1
        }
        if index >= 0 {
            digits[index] += 1
        } else {
            digits.insert(1, at: 0)
            pointAt += 1
        }
    }

    /// `-12.500` for a precision of 3.
    func fixed(_ precision: Int) -> String {
        var rounded = self
        rounded.round(to: pointAt + precision)
        var text: [UInt8] = isNegative ? [UInt8(ascii: "-")] : []
        func digit(_ index: Int) -> UInt8 { 0x30 + (rounded.digits.indices.contains(index) ? rounded.digits[index] : 0) }
        if rounded.pointAt <= 0 || rounded.digits.isEmpty {
            text.append(0x30)
        } else {
            for index in 0..<rounded.pointAt { text.append(digit(index)) }
        }
        if precision > 0 {
            text.append(UInt8(ascii: "."))
            let point = rounded.digits.isEmpty ? 0 : rounded.pointAt
            for index in 0..<precision { text.append(digit(point + index)) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `-1.250e+01` for a precision of 3.
    func scientific(_ precision: Int) -> String {
        var rounded = self
        rounded.round(to: precision + 1)
        let exponent = rounded.digits.isEmpty ? 0 : rounded.pointAt - 1
        func digit(_ index: Int) -> UInt8 { 0x30 + (rounded.digits.indices.contains(index) ? rounded.digits[index] : 0) }
        var text: [UInt8] = isNegative ? [UInt8(ascii: "-")] : []
        text.append(digit(0))
        if precision > 0 {
            text.append(UInt8(ascii: "."))
            for index in 1...precision { text.append(digit(index)) }
        }
        let magnitude = String(exponent.magnitude)
        return String(decoding: text, as: UTF8.self) + "e" + (exponent < 0 ? "-" : "+") + (magnitude.utf8.count < 2 ? "0" : "") + magnitude
    }
}
