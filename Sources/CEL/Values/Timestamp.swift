/// An instant between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z.
public struct Timestamp: Sendable, Hashable {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    public let seconds: Int64
    /// 0 … 999 999 999.
    public let nanoseconds: Int32

    static let firstSecond: Int64 = -62_135_596_800
    static let lastSecond: Int64 = 253_402_300_799

    /// Nil outside the range of the language.
    public init?(seconds: Int64, nanoseconds: Int32 = 0) {
        guard seconds >= Timestamp.firstSecond, seconds <= Timestamp.lastSecond, nanoseconds >= 0, nanoseconds < 1_000_000_000 else {
            return nil
        }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    func adding(nanoseconds duration: Int64) -> Timestamp? {
        var whole = duration / 1_000_000_000
        var rest = Int32(truncatingIfNeeded: duration % 1_000_000_000) + nanoseconds
        if rest < 0 {
            rest += 1_000_000_000
            whole -= 1
        } else if rest >= 1_000_000_000 {
            rest -= 1_000_000_000
            whole += 1
        }
        return Timestamp(seconds: seconds + whole, nanoseconds: rest)
    }

    /// The difference in nanoseconds; nil when it does not fit 64 bits.
    func nanoseconds(since other: Timestamp) -> Int64? {
        let (product, isOver) = (seconds - other.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        if !isOver {
            let (sum, isCarried) = product.addingReportingOverflow(Int64(nanoseconds) - Int64(other.nanoseconds))
            return isCarried ? nil : sum
        }
        return Int64(exactly: Int128(seconds - other.seconds) * 1_000_000_000 + Int128(nanoseconds) - Int128(other.nanoseconds))
    }
}

/// A date and time of day of the proleptic Gregorian calendar.
struct CivilTime {
    var year: Int64, month: Int64, day: Int64
    var hour: Int64, minute: Int64, second: Int64
    var dayOfYear: Int64
    /// 0 is Sunday.
    var dayOfWeek: Int64

    init(secondsSinceEpoch seconds: Int64) {
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        hour = rest / 3600
        minute = rest % 3600 / 60
        second = rest % 60
        dayOfWeek = (days % 7 + 11) % 7
        (year, month, day) = CivilTime.date(daysSinceEpoch: days)
        dayOfYear = days - CivilTime.days(year: year, month: 1, day: 1)
    }

    /// Days since 1970-01-01; the year begins in March, so that the leap day is the last of its year.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func date(daysSinceEpoch: Int64) -> (Int64, Int64, Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    static func daysInMonth(_ month: Int64, year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

// MARK: text

extension Timestamp {
    /// RFC 3339: `2009-02-13T23:31:30.5+01:00`; `T` and a zone are needed, at most nine digits of a fraction.
    public init?(_ text: String) {
        guard let parsed = text.withBytes({ Timestamp.parse($0) }) else { return nil }
        self = parsed
    }

    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        func number(_ start: Int, _ count: Int) -> Int64? {
            guard start + count <= bytes.count else { return nil }
            var value: Int64 = 0
            for index in start..<(start + count) {
                guard Lexer.isDigit(bytes[index]) else { return nil }
                value = value * 10 + Int64(bytes[index] - 0x30)
            }
            return value
        }
        func has(_ character: Unicode.Scalar, at index: Int) -> Bool {
            index < bytes.count && UInt32(bytes[index]) == character.value
        }
        guard let year = number(0, 4), has("-", at: 4), let month = number(5, 2), has("-", at: 7), let day = number(8, 2),
            has("T", at: 10) || has("t", at: 10), let hour = number(11, 2), has(":", at: 13), let minute = number(14, 2),
            has(":", at: 16), let second = number(17, 2)
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= CivilTime.daysInMonth(month, year: year), hour <= 23, minute <= 59, second <= 59
        else { return nil }
        var position = 19
        var fraction: Int32 = 0
        if has(".", at: position) {
            position += 1
            var scale: Int32 = 100_000_000
            let start = position
            while position < bytes.count, Lexer.isDigit(bytes[position]) {
                guard position - start < 9 else { return nil }
                fraction += Int32(bytes[position] - 0x30) * scale
                scale /= 10
                position += 1
            }
            guard position > start else { return nil }
        }
        var offset: Int64 = 0
        if has("Z", at: position) || has("z", at: position) {
            guard position + 1 == bytes.count else { return nil }
        } else {
            guard has("+", at: position) || has("-", at: position), let hours = number(position + 1, 2), has(":", at: position + 3),
                let minutes = number(position + 4, 2), hours <= 23, minutes <= 59, position + 6 == bytes.count
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (has("-", at: position) ? -1 : 1)
        }
        let days = CivilTime.days(year: year, month: month, day: day)
        return Timestamp(seconds: days * 86_400 + hour * 3600 + minute * 60 + second - offset, nanoseconds: fraction)
    }

    /// RFC 3339 in UTC, the fraction without trailing zeros.
    public var text: String {
        let civil = CivilTime(secondsSinceEpoch: seconds)
        func padded(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return padded(civil.year, 4) + "-" + padded(civil.month, 2) + "-" + padded(civil.day, 2) + "T" + padded(civil.hour, 2) + ":"
            + padded(civil.minute, 2) + ":" + padded(civil.second, 2) + decimalFraction(nanoseconds) + "Z"
    }
}

/// `.5` for 500 000 000 nanoseconds; empty for none.
func decimalFraction(_ nanoseconds: Int32) -> String {
    guard nanoseconds > 0 else { return "" }
    var digits = String(nanoseconds)
    digits = String(repeating: "0", count: max(0, 9 - digits.utf8.count)) + digits
    while digits.utf8.last == UInt8(ascii: "0") { digits.removeLast() }
    return "." + digits
}

/// The text of durations: `1h30m`, `-1.5s`, `250ms`.
public enum DurationText {
    /// Nanoseconds of `[+-]` and one or more `number unit`, units `h m s ms us ns`; `0` may stand alone. Nil when malformed or too long for
    /// 64 bits.
    public static func parse(_ text: String) -> Int64? {
        text.withBytes { parse($0) }
    }

    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        var position = 0
        var isNegative = false
        if position < bytes.count, bytes[position] == UInt8(ascii: "-") || bytes[position] == UInt8(ascii: "+") {
            isNegative = bytes[position] == UInt8(ascii: "-")
            position += 1
        }
        guard position < bytes.count else { return nil }
        if bytes.count == position + 1, bytes[position] == UInt8(ascii: "0") { return 0 }
        var total: Int128 = 0
        while position < bytes.count {
            guard let part = component(bytes, &position) else { return nil }
            total += part
            if total > Int128(Int64.max) + 1 { return nil }
        }
        return Int64(exactly: isNegative ? -total : total)
    }

    /// One `number unit`, in nanoseconds; nil when malformed or beyond 64 bits.
    private static func component(_ bytes: UnsafeBufferPointer<UInt8>, _ position: inout Int) -> Int128? {
        var whole: Int128 = 0
        var digits = 0
        while position < bytes.count, Lexer.isDigit(bytes[position]) {
            whole = whole * 10 + Int128(bytes[position] - 0x30)
            if whole > Int128(Int64.max) + 1 { return nil }
            digits += 1
            position += 1
        }
        var fraction: Int128 = 0
        var scale: Int128 = 1
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            while position < bytes.count, Lexer.isDigit(bytes[position]) {
                // Digits beyond the eighteenth cannot be seen in nanoseconds, not even of an hour.
                if scale < 1_000_000_000_000_000_000 {
                    fraction = fraction * 10 + Int128(bytes[position] - 0x30)
                    scale *= 10
                }
                digits += 1
                position += 1
            }
        }
        guard digits > 0, let unit = unit(bytes, &position) else { return nil }
        let total = whole * unit + fraction * unit / scale
        return total > Int128(Int64.max) + 1 ? nil : total
    }

    private static func unit(_ bytes: UnsafeBufferPointer<UInt8>, _ position: inout Int) -> Int128? {
        let start = position
        while position < bytes.count, !Lexer.isDigit(bytes[position]), bytes[position] != UInt8(ascii: ".") { position += 1 }
        switch String(decoding: bytes[start..<position], as: UTF8.self).unicodeScalars.map(\.value) {
        case [0x68]: return 3_600_000_000_000
        case [0x6D]: return 60_000_000_000
        case [0x73]: return 1_000_000_000
        case [0x6D, 0x73]: return 1_000_000
        case [0x75, 0x73], [0xB5, 0x73], [0x3BC, 0x73]: return 1000
        case [0x6E, 0x73]: return 1
        default: return nil
        }
    }

    /// Seconds with `s`: `90s`, `1.5s`, `-0.001s`.
    public static func seconds(nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        let fraction = decimalFraction(Int32(truncatingIfNeeded: magnitude % 1_000_000_000))
        return (nanoseconds < 0 ? "-" : "") + String(magnitude / 1_000_000_000) + fraction + "s"
    }
}
