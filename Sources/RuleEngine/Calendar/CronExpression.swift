/// When something runs, as `crontab` writes it: `30 8 * * mon-fri`.
///
/// Five fields (minute, hour, day of month, month, day of week), each a list of values, names, ranges and steps; `L` (last day), `15W` (the weekday nearest to the
/// 15th), `LW` (the last weekday), `6#5` (fifth Saturday), `5L` (last Friday), or one of `@hourly @daily @midnight @weekly @monthly @yearly @annually`.
/// Where day of month and day of week are both restricted (anything but `*` and `?`), either of them is enough.
public struct CronExpression: Hashable, Sendable {
    public enum Field: Int, CaseIterable, Sendable {
        case minute, hour, dayOfMonth, month, dayOfWeek

        public var name: String { ["minute", "hour", "day of month", "month", "day of week"][rawValue] }
        var values: ClosedRange<Int> { [0...59, 0...23, 1...31, 1...12, 0...7][rawValue] }
    }

    /// What is wrong with an expression's text, and where (UTF-8 offsets).
    public struct Mistake: Error, Hashable, Sendable {
        public var field: Field?
        public var message: String
        public var range: Range<Int>
    }

    public let text: String
    let minutes: Set<Int>
    let hours: Set<Int>
    let months: Set<Int>
    let days: MonthDays
    let weekdays: Weekdays

    /// The days of a month.
    struct MonthDays: Hashable, Sendable {
        var isRestricted = false
        var days: Set<Int> = []
        /// `15W`
        var nearestWeekdays: Set<Int> = []
        /// `L`
        var last = false
        /// `LW`
        var lastWeekday = false
    }

    /// Days of the week, 0 for Sunday.
    struct Weekdays: Hashable, Sendable {
        var isRestricted = false
        var days: Set<Int> = []
        /// `6#5`: weekday times 8 plus which of the month.
        var numbered: Set<Int> = []
        /// `5L`
        var last: Set<Int> = []
    }

    public init(_ text: String) throws(Mistake) {
        var parser = CronParser(text)
        let fields = try parser.parse()
        self.text = text
        minutes = fields.minutes
        hours = fields.hours
        months = fields.months
        days = fields.days
        weekdays = fields.weekdays
    }

    /// Whether every hour is meant: such a pattern runs in both of two hours that have the same name.
    private var isHourly: Bool { hours.count == 24 }

    // MARK: Next

    /// The first instant strictly after `instant`; nil when there is none within 60 years (or before the end of the range of instants).
    ///
    /// A local time that clocks skip runs at the first instant after the gap; one that comes twice runs at the first, hourly and finer patterns at both.
    public func next(after instant: Instant, in zone: some ZoneOffsets) -> Instant? {
        let second = instant.wholeSeconds
        let local = second + zone.secondsFromGMT(at: instant)
        // A day earlier: the second of two equal hours may belong to the day before.
        var day = Self.floorDivide(local, 86_400) - 1
        let end = day + Self.horizon
        var found: Int64?
        while day < end {
            let (year, month, dayOfMonth) = Instant.civil(fromDays: day)
            guard months.contains(Int(month)) else {
                day += Self.daysInMonth(Int(month), year) - dayOfMonth + 1
                continue
            }
            if runs(onDay: day, year, Int(month), Int(dayOfMonth)) {
                let first = firstRun(of: day, after: second, in: zone)
                // The day behind may have an earlier one only where clocks go back over midnight.
                if let found { return Self.instant(min(found, first ?? found)) }
                found = first
            } else if let found {
                return Self.instant(found)
            }
            day += 1
        }
        return found.flatMap(Self.instant)
    }

    /// The fifth Saturday of a February comes at least once in 40 years.
    private static let horizon: Int64 = 60 * 366

    private static func instant(_ seconds: Int64) -> Instant? {
        let instant = Instant(seconds: seconds)
        return instant == .distantFuture || instant == .distantPast ? nil : instant
    }

    private func firstRun(of day: Int64, after second: Int64, in zone: some ZoneOffsets) -> Int64? {
        let clocks = LocalDay(day, in: zone)
        var best: Int64?
        for hour in hours {
            for minute in minutes {
                let local = day * 86_400 + Int64(hour) * 3600 + Int64(minute) * 60
                if let offset = clocks.onlyOffset {
                    if local - offset > second { best = min(best ?? .max, local - offset) }
                    continue
                }
                let instants = clocks.instants(ofLocal: local)
                for instant in isHourly ? instants[...] : instants.prefix(1) where instant > second { best = min(best ?? instant, instant) }
            }
        }
        return best
    }

    /// Whether a day of a month that is meant is one to run on.
    private func runs(onDay day: Int64, _ year: Int64, _ month: Int, _ dayOfMonth: Int) -> Bool {
        // 1970-01-01 was a Thursday.
        let weekday = Int(((day + 4) % 7 + 7) % 7)
        let length = Int(Self.daysInMonth(month, year))
        switch (days.isRestricted, weekdays.isRestricted) {
        case (false, false): return true
        case (true, false): return days.contains(dayOfMonth, weekday: weekday, of: length)
        case (false, true): return weekdays.contains(dayOfMonth, weekday: weekday, of: length)
        case (true, true):
            return days.contains(dayOfMonth, weekday: weekday, of: length) || weekdays.contains(dayOfMonth, weekday: weekday, of: length)
        }
    }

    static func daysInMonth(_ month: Int, _ year: Int64) -> Int64 {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

extension CronExpression.MonthDays {
    func contains(_ day: Int, weekday: Int, of length: Int) -> Bool {
        if days.contains(day) || last && day == length { return true }
        if lastWeekday && day == Self.nearestWeekday(to: length, weekday: (weekday + length - day) % 7, of: length) { return true }
        return nearestWeekdays.contains { wanted in
            wanted <= length && day == Self.nearestWeekday(to: wanted, weekday: ((weekday + wanted - day) % 7 + 7) % 7, of: length)
        }
    }

    /// The weekday nearest to a day that is itself a `weekday`, within the same month.
    private static func nearestWeekday(to day: Int, weekday: Int, of length: Int) -> Int {
        switch weekday {
        case 6: day > 1 ? day - 1 : day + 2
        case 0: day < length ? day + 1 : day - 2
        default: day
        }
    }
}

extension CronExpression.Weekdays {
    func contains(_ day: Int, weekday: Int, of length: Int) -> Bool {
        days.contains(weekday) || numbered.contains(weekday * 8 + (day - 1) / 7 + 1) || last.contains(weekday) && day + 7 > length
    }
}
