/// Why a payload could not be decoded: the label `reason` of `nodesphere_readings_undecodable_total`.
public enum DecodeFailure: String, Error, Sendable, CaseIterable {
    case empty, syntax, utf8, depth, decoder
}

/// Walks over JSON text in place, without allocating. The text is validated whole: structure, strings as UTF-8, numbers by RFC 8259's grammar.
struct JSONCursor {
    let start: UnsafePointer<UInt8>
    let end: Int
    var at = 0

    static let maximumDepth = 128

    init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer has no address; nothing is ever read from the stand-in, since end is 0.
        start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(bitPattern: 1)!
        end = bytes.count
    }

    @inline(__always) var isAtEnd: Bool { at >= end }
    @inline(__always) var byte: UInt8 { start[at] }

    @inline(__always)
    mutating func skipWhiteSpace() {
        while at < end, start[at] <= 32, start[at] == 32 || start[at] == 10 || start[at] == 13 || start[at] == 9 { at += 1 }
    }

    @inline(__always)
    mutating func take(_ expected: UInt8) throws(DecodeFailure) {
        guard at < end, start[at] == expected else { throw .syntax }
        at += 1
    }

    struct Text {
        /// The bytes between the quotes, escapes as they are.
        var range: Range<Int>
        var isEscaped: Bool
    }

    /// A string with its quotes.
    @inline(__always)
    mutating func string() throws(DecodeFailure) -> Text {
        try take(UInt8(ascii: "\""))
        let first = at
        var isEscaped = false
        var isASCII = true
        while at < end {
            let byte = start[at]
            if byte == UInt8(ascii: "\"") {
                let range = first..<at
                at += 1
                if !isASCII, !Self.isUTF8(UnsafeBufferPointer(start: start + first, count: range.count)) { throw .utf8 }
                return Text(range: range, isEscaped: isEscaped)
            }
            if byte == UInt8(ascii: "\\") {
                isEscaped = true
                try skipEscape()
                continue
            }
            if byte < 32 { throw .syntax }
            if byte >= 128 { isASCII = false }
            at += 1
        }
        throw .syntax
    }

    private mutating func skipEscape() throws(DecodeFailure) {
        guard at + 1 < end else { throw .syntax }
        switch start[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 2
        case UInt8(ascii: "u"):
            guard at + 5 < end else { throw .syntax }
            for digit in 2..<6 where Self.hexadecimal(start[at + digit]) == nil { throw .syntax }
            at += 6
        default: throw .syntax
        }
    }

    static func hexadecimal(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 48...57: UInt32(byte - 48)
        case 65...70: UInt32(byte - 55)
        case 97...102: UInt32(byte - 87)
        default: nil
        }
    }

    /// A number; nil when it is beyond double's range.
    @inline(__always)
    mutating func number() throws(DecodeFailure) -> Double? {
        let first = at
        var isNegative = false
        if at < end, start[at] == UInt8(ascii: "-") {
            isNegative = true
            at += 1
        }
        var mantissa: UInt64 = 0
        let whole = at
        while at < end, case let digit = start[at] &- 48, digit < 10 {
            mantissa = mantissa &* 10 &+ UInt64(digit)
            at += 1
        }
        var digits = at - whole
        guard digits > 0, digits == 1 || start[whole] != 48 else { throw .syntax }
        var fraction = 0
        if at < end, start[at] == UInt8(ascii: ".") {
            at += 1
            let first = at
            while at < end, case let digit = start[at] &- 48, digit < 10 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
                at += 1
            }
            fraction = at - first
            guard fraction > 0 else { throw .syntax }
            digits += fraction
        }
        var exponent = 0
        if at < end, start[at] | 32 == UInt8(ascii: "e") {
            at += 1
            var isFraction = false
            if at < end, start[at] == UInt8(ascii: "-") || start[at] == UInt8(ascii: "+") {
                isFraction = start[at] == UInt8(ascii: "-")
                at += 1
            }
            let first = at
            while at < end, case let digit = start[at] &- 48, digit < 10 {
                exponent = min(exponent * 10 + Int(digit), 100_000)
                at += 1
            }
            guard at > first else { throw .syntax }
            if isFraction { exponent = -exponent }
        }
        let scale = exponent - fraction
        // W. D. Clinger's fast path: a mantissa below 2^53 times an exact power of ten is rounded once.
        if digits <= 19, mantissa < 1 << 53, scale >= -22, scale <= 22 {
            let value = scale < 0 ? Double(mantissa) / Self.powerOfTen(-scale) : Double(mantissa) * Self.powerOfTen(scale)
            return isNegative ? -value : value
        }
        guard let value = Double(String(decoding: UnsafeBufferPointer(start: start + first, count: at - first), as: UTF8.self)),
            value.isFinite
        else { return nil }
        return value
    }

    @inline(__always)
    static func powerOfTen(_ exponent: Int) -> Double {
        powersOfTen.withUnsafeBufferPointer { $0[exponent] }
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    @inline(__always)
    mutating func word(_ word: StaticString) throws(DecodeFailure) {
        let length = word.utf8CodeUnitCount
        guard at + length <= end else { throw .syntax }
        for offset in 0..<length where start[at + offset] != word.utf8Start[offset] { throw .syntax }
        at += length
    }

    /// Passes over one value of any kind, validating it.
    mutating func skipValue(depth: Int) throws(DecodeFailure) {
        guard depth <= Self.maximumDepth else { throw .depth }
        skipWhiteSpace()
        guard at < end else { throw .syntax }
        switch start[at] {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        case UInt8(ascii: "{"):
            at += 1
            skipWhiteSpace()
            if at < end, start[at] == UInt8(ascii: "}") {
                at += 1
                return
            }
            while true {
                skipWhiteSpace()
                _ = try string()
                skipWhiteSpace()
                try take(UInt8(ascii: ":"))
                try skipValue(depth: depth + 1)
                if try isLast(UInt8(ascii: "}")) { return }
            }
        case UInt8(ascii: "["):
            at += 1
            skipWhiteSpace()
            if at < end, start[at] == UInt8(ascii: "]") {
                at += 1
                return
            }
            while true {
                try skipValue(depth: depth + 1)
                if try isLast(UInt8(ascii: "]")) { return }
            }
        default: _ = try number()
        }
    }

    /// Goes into an object or an array; true when it is empty, and passed by then.
    @inline(__always)
    mutating func isEmpty(until closing: UInt8) -> Bool {
        at += 1
        skipWhiteSpace()
        guard at < end, start[at] == closing else { return false }
        at += 1
        return true
    }

    /// Takes `,` (false) or the closing byte (true).
    @inline(__always)
    mutating func isLast(_ closing: UInt8) throws(DecodeFailure) -> Bool {
        skipWhiteSpace()
        guard at < end else { throw .syntax }
        if start[at] == UInt8(ascii: ",") {
            at += 1
            return false
        }
        guard start[at] == closing else { throw .syntax }
        at += 1
        return true
    }

    static func isUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var at = 0
        let count = bytes.count
        while at < count {
            let lead = bytes[at]
            if lead < 0x80 {
                at += 1
                continue
            }
            // Unicode 16, table 3-7: well-formed byte sequences.
            let length: Int
            var low: UInt8 = 0x80, high: UInt8 = 0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, low) = (3, 0xA0)
            case 0xE1...0xEC, 0xEE, 0xEF: length = 3
            case 0xED: (length, high) = (3, 0x9F)
            case 0xF0: (length, low) = (4, 0x90)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, high) = (4, 0x8F)
            default: return false
            }
            guard at + length <= count, bytes[at + 1] >= low, bytes[at + 1] <= high else { return false }
            var next = at + 2
            while next < at + length {
                guard bytes[next] & 0xC0 == 0x80 else { return false }
                next += 1
            }
            at += length
        }
        return true
    }
}
