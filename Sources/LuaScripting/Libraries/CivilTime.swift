internal import RuleEngine

/// A local time in the proleptic Gregorian calendar.
struct CivilTime {
    var year, month, day, hour, minute, second: Int64
    /// 0 is Sunday.
    var weekday: Int64
    /// From 1.
    var dayOfYear: Int64
    var offset: Int64

    init(_ instant: Instant, offset: Int64) {
        self.offset = offset
        let seconds = instant.wholeSecondsDown + offset
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let inDay = seconds - days * 86_400
        (hour, minute, second) = (inDay / 3600, inDay / 60 % 60, inDay % 60)
        weekday = ((days + 4) % 7 + 7) % 7
        // Howard Hinnant's civil_from_days.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfMarch + 2) / 153
        day = dayOfMarch - (153 * part + 2) / 5 + 1
        month = part < 10 ? part + 3 : part - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        dayOfYear = days - CivilTime.seconds(year: year, month: 1, day: 1) / 86_400 + 1
    }

    /// Seconds from 1970 to the beginning of a day, months and days beyond their ends carried over.
    static func seconds(year: Int64, month: Int64, day: Int64) -> Int64 {
        let months = year * 12 + month - 1
        let (year, month) = (months >= 0 ? months / 12 : (months - 11) / 12, (months % 12 + 12) % 12 + 1)
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (era * 146_097 + dayOfEra - 719_468 + day - 1) * 86_400
    }

    var table: LuaValue {
        .object([
            .init("year", .int(year)), .init("month", .int(month)), .init("day", .int(day)), .init("hour", .int(hour)),
            .init("min", .int(minute)), .init("sec", .int(second)), .init("wday", .int(weekday + 1)), .init("yday", .int(dayOfYear)),
        ])
    }

    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]

    /// As strftime in the C locale; nil for a conversion that is not known.
    func text(_ format: String) -> String? {
        var text = ""
        var letters = format.makeIterator()
        while let letter = letters.next() {
            guard letter == "%" else {
                text.append(letter)
                continue
            }
            guard let conversion = letters.next(), let part = part(conversion) else { return nil }
            text += part
        }
        return text
    }

    private func part(_ conversion: Character) -> String? {
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let dayName = Self.days[Int(weekday)], monthName = Self.months[Int(month - 1)]
        let clock = "\(two(hour)):\(two(minute)):\(two(second))", shortYear = two(((year % 100) + 100) % 100)
        switch conversion {
        case "Y": return "\(year)"
        case "y": return shortYear
        case "m": return two(month)
        case "d": return two(day)
        case "H": return two(hour)
        case "I": return two((hour + 11) % 12 + 1)
        case "M": return two(minute)
        case "S": return two(second)
        case "p": return hour < 12 ? "AM" : "PM"
        case "A": return dayName
        case "a": return String(dayName.prefix(3))
        case "B": return monthName
        case "b", "h": return String(monthName.prefix(3))
        case "j": return dayOfYear < 100 ? "0" + two(dayOfYear) : "\(dayOfYear)"
        case "w": return "\(weekday)"
        case "F": return "\(year)-\(two(month))-\(two(day))"
        case "T", "X": return clock
        case "D", "x": return "\(two(month))/\(two(day))/\(shortYear)"
        case "R": return "\(two(hour)):\(two(minute))"
        case "c": return "\(dayName.prefix(3)) \(monthName.prefix(3)) \(day < 10 ? " " : "")\(day) \(clock) \(year)"
        case "z": return "\(offset < 0 ? "-" : "+")\(two(abs(offset) / 3600))\(two(abs(offset) / 60 % 60))"
        case "%": return "%"
        default: return nil
        }
    }
}
