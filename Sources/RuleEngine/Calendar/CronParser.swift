/// Reads the text of a cron expression.
struct CronParser {
    typealias Mistake = CronExpression.Mistake
    typealias Field = CronExpression.Field

    struct Fields {
        var minutes: Set<Int> = []
        var hours: Set<Int> = []
        var months: Set<Int> = []
        var days = CronExpression.MonthDays()
        var weekdays = CronExpression.Weekdays()
    }

    private struct Word {
        var bytes: ArraySlice<UInt8>
        var text: String { String(decoding: bytes, as: UTF8.self) }
        var range: Range<Int> { bytes.startIndex..<bytes.endIndex }
    }

    private let bytes: [UInt8]
    private var fields = Fields()

    init(_ text: String) { bytes = Array(text.utf8) }

    private static let shorthands: [(name: String, expression: String)] = [
        ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"),
    ]
    private static let monthNames = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
    ]
    private static let dayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    /// No sensible expression comes near.
    private static let maximumLength = 1024

    mutating func parse() throws(Mistake) -> Fields {
        guard bytes.count <= Self.maximumLength else {
            throw Mistake(message: "a cron expression has at most \(Self.maximumLength) bytes", range: 0..<bytes.count)
        }
        let words = words()
        if let first = words.first, first.bytes.first == UInt8(ascii: "@") {
            let known = Self.shorthands.first { $0.name == first.text.lowercased() }
            guard words.count == 1, let known else {
                let names = Self.shorthands.map(\.name)
                let near =
                    nearestName(to: first.text, in: names).map { "; did you mean '\($0)'?" }
                    ?? ": there are \(names.joined(separator: ", "))"
                throw Mistake(
                    message: words.count > 1 ? "'\(first.text)' stands alone" : "there is no '\(first.text)'\(near)", range: first.range)
            }
            var parser = CronParser(known.expression)
            return try parser.parse()
        }
        guard words.count == 5 else {
            let place = words.count > 5 ? words[5].range.lowerBound..<bytes.count : bytes.count..<bytes.count
            throw Mistake(
                message: "a cron expression has five fields (minute, hour, day of month, month, day of week), not \(words.count)",
                range: place)
        }
        for field in Field.allCases { try read(words[field.rawValue], field) }
        try checkThatADayComes(words[Field.dayOfMonth.rawValue])
        return fields
    }

    private func words() -> [Word] {
        bytes[...].split { $0 == 32 || $0 == 9 }.map(Word.init)
    }

    private mutating func read(_ word: Word, _ field: Field) throws(Mistake) {
        var hasAll = false
        for item in word.bytes.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard !item.isEmpty else {
                throw Mistake(field: field, message: "a value of '\(field.name)' is missing beside ','", range: word.range)
            }
            let item = Word(bytes: item)
            if try readSpecial(item, field) { continue }
            let (values, isAll) = try values(item, field)
            if isAll { hasAll = true }
            switch field {
            case .minute: fields.minutes.formUnion(values)
            case .hour: fields.hours.formUnion(values)
            case .month: fields.months.formUnion(values)
            case .dayOfMonth: fields.days.days.formUnion(values)
            case .dayOfWeek: fields.weekdays.days.formUnion(values.map { $0 % 7 })
            }
        }
        if field == .dayOfMonth { fields.days.isRestricted = !hasAll }
        if field == .dayOfWeek { fields.weekdays.isRestricted = !hasAll }
    }

    // MARK: Values

    /// `*`, `7`, `mon-fri`, each with a step; whether it is all values as `*` is.
    private func values(_ item: Word, _ field: Field) throws(Mistake) -> (values: Set<Int>, isAll: Bool) {
        let parts = item.bytes.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false).map(Word.init)
        let base = parts[0]
        var step = 1
        if parts.count == 2 { step = try self.step(parts[1], field, item) }
        let all = field == .dayOfWeek ? 0...6 : field.values
        if base.text == "*" || base.text == "?" && (field == .dayOfMonth || field == .dayOfWeek) {
            return (Set(stride(from: all.lowerBound, through: all.upperBound, by: step)), step == 1)
        }
        let ends = base.bytes.split(separator: UInt8(ascii: "-"), maxSplits: 1, omittingEmptySubsequences: false).map(Word.init)
        let first = try value(ends[0], field, item)
        guard ends.count == 2 else {
            // '5/15' is every fifteenth from 5 on.
            let last = parts.count == 2 ? max(first, all.upperBound) : first
            return (Set(stride(from: first, through: last, by: step)), false)
        }
        let last = try value(ends[1], field, item)
        // A range that ends on Sunday: 'fri-sun'.
        let end = field == .dayOfWeek && last == 0 && first > 0 ? 7 : last
        guard first <= end else {
            throw Mistake(field: field, message: "a range of '\(field.name)' must rise: '\(base.text)'", range: base.range)
        }
        return (Set(stride(from: first, through: end, by: step)), false)
    }

    private func step(_ word: Word, _ field: Field, _ item: Word) throws(Mistake) -> Int {
        let size = field == .dayOfWeek ? 7 : field.values.count
        guard let step = number(word), (1...size).contains(step) else {
            throw Mistake(
                field: field, message: "a step of '\(field.name)' must be a number from 1 to \(size)",
                range: word.range.isEmpty ? item.range : word.range)
        }
        return step
    }

    private func value(_ word: Word, _ field: Field, _ item: Word) throws(Mistake) -> Int {
        let range = word.range.isEmpty ? item.range : word.range
        if let number = number(word) {
            guard field.values.contains(number) else {
                throw Mistake(
                    field: field, message: "'\(field.name)' must be from \(field.values.lowerBound) to \(field.values.upperBound)",
                    range: range)
            }
            return number
        }
        let names = field == .month ? Self.monthNames : field == .dayOfWeek ? Self.dayNames : []
        let text = word.text.lowercased()
        if text.utf8.count >= 3, let place = names.firstIndex(where: { $0 == text || $0.prefix(3) == text }) {
            return place + (field == .month ? 1 : 0)
        }
        let form = names.isEmpty ? "a number" : "a number or a name such as '\(names[1].prefix(3))'"
        throw Mistake(
            field: field, message: "'\(field.name)' must be \(form) from \(field.values.lowerBound) to \(field.values.upperBound)",
            range: range)
    }

    private func number(_ word: Word) -> Int? {
        guard (1...4).contains(word.bytes.count), word.bytes.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(word.text)
    }

    // MARK: Last, nearest and numbered days

    /// `L`, `LW`, `15W` of a month, `6#5` and `5L` of a week; false when it is none of these.
    private mutating func readSpecial(_ item: Word, _ field: Field) throws(Mistake) -> Bool {
        let text = item.text.uppercased()
        switch field {
        case .dayOfMonth where text == "L": fields.days.last = true
        case .dayOfMonth where text == "LW" || text == "WL": fields.days.lastWeekday = true
        case .dayOfMonth where text.hasSuffix("W"):
            let day = try value(Word(bytes: item.bytes.dropLast()), field, item)
            fields.days.nearestWeekdays.insert(day)
        case .dayOfWeek where item.bytes.contains(UInt8(ascii: "#")):
            let parts = item.bytes.split(separator: UInt8(ascii: "#"), maxSplits: 1, omittingEmptySubsequences: false).map(Word.init)
            let day = try value(parts[0], field, item)
            guard parts.count == 2, let number = number(parts[1]), (1...5).contains(number) else {
                throw Mistake(field: field, message: "after '#' stands which of the month, from 1 to 5", range: item.range)
            }
            fields.weekdays.numbered.insert(day % 7 * 8 + number)
        case .dayOfWeek where text.hasSuffix("L") && text != "L":
            let day = try value(Word(bytes: item.bytes.dropLast()), field, item)
            fields.weekdays.last.insert(day % 7)
        default: return false
        }
        return true
    }

    /// `0 0 31 2 *` would never run.
    private func checkThatADayComes(_ word: Word) throws(Mistake) {
        let days = fields.days
        guard days.isRestricted, !fields.weekdays.isRestricted, !days.last, !days.lastWeekday,
            let first = days.days.union(days.nearestWeekdays).min()
        else { return }
        // In a leap year.
        let longest = fields.months.map { Int(CronExpression.daysInMonth($0, 2000)) }.max() ?? 31
        guard first > longest else { return }
        throw Mistake(field: .dayOfMonth, message: "no month that is given has a day \(first): it would never run", range: word.range)
    }
}
