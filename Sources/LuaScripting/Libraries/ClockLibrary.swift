internal import RuleEngine

/// `clock`, and of Lua's `os` what is about time: all of it on the engine's clock, in the server's time zone.
extension AutomationRuntime {
    func defineClock(_ automation: Automation) {
        define(automation, "clock.now") { runtime, _, _ in .value(.double(runtime.now.seconds)) }
        define(automation, "clock.iso") { runtime, _, call in
            guard let instant = call[0].isNone ? runtime.now : call[0].number.flatMap(Instant.init(seconds:)) else {
                return .raise("wants seconds since 1970")
            }
            return .value(.string("\(instant)"))
        }
        define(automation, "clock.parse") { _, _, call in
            guard let text = call[0].text else { return .raise("wants a text") }
            guard let instant = Instant(rfc3339: text) else { return .failed("it is no instant of RFC 3339") }
            return .value(.double(instant.seconds))
        }
        defineSun(automation)
        define(automation, "clock.between") { runtime, _, call in
            guard let from = Self.minutes(call[0]), let to = Self.minutes(call[1]) else {
                return .raise("wants two times of day, such as \"22:00\" and \"06:00\"")
            }
            let local = runtime.local(runtime.now)
            let minute = local.hour * 60 + local.minute
            return .value(.bool(from <= to ? minute >= from && minute < to : minute >= from || minute < to))
        }
        defineOS(automation)
    }

    private func defineOS(_ automation: Automation) {
        define(automation, "os.clock") { runtime, _, _ in .value(.double(runtime.now.seconds)) }
        define(automation, "os.time") { runtime, _, call in
            guard !call[0].isNone else { return .value(.int(runtime.now.wholeSecondsDown)) }
            return runtime.time(of: call[0])
        }
        define(automation, "os.date") { runtime, _, call in
            guard let format = call[0].isNone ? "%c" : call[0].text else { return .raise("wants a format first") }
            guard let instant = call[1].isNone ? runtime.now : call[1].number.flatMap(Instant.init(seconds:)) else {
                return .raise("wants seconds since 1970")
            }
            return runtime.date(format, instant)
        }
    }

    /// Of looking for a sunrise, which in the polar night is a year's work at most.
    private static let instructionsOfSunTimes: Int64 = 20_000

    private func defineSun(_ automation: Automation) {
        define(automation, "clock.is_night") { runtime, _, _ in Self.sun(runtime.surroundings.isSunUp(at: runtime.now)) { .bool(!$0) } }
        define(automation, "clock.is_day") { runtime, _, _ in Self.sun(runtime.surroundings.isSunUp(at: runtime.now)) { .bool($0) } }
        define(automation, "clock.sun_elevation") { runtime, _, _ in
            Self.sun(runtime.surroundings.sunElevation(at: runtime.now)) { .double($0) }
        }
        define(automation, "clock.next_sunrise") { runtime, _, call in
            call.charge(Self.instructionsOfSunTimes)
            return Self.sun(runtime.surroundings.sunTimes(after: runtime.now)) { $0.up.map { .double($0.seconds) } ?? .none }
        }
        define(automation, "clock.next_sunset") { runtime, _, call in
            call.charge(Self.instructionsOfSunTimes)
            return Self.sun(runtime.surroundings.sunTimes(after: runtime.now)) { $0.down.map { .double($0.seconds) } ?? .none }
        }
    }

    private var surroundings: Surroundings { settings.surroundings }

    private static func sun<Known>(_ known: Known?, _ body: (Known) -> LuaValue) -> LuaAnswer {
        guard let known else { return .raise("the server does not know where it is: set 'location' in its configuration") }
        return .value(body(known))
    }

    private static func minutes(_ value: LuaValue) -> Int64? {
        guard let parts = value.text?.split(separator: ":"), parts.count == 2, let hour = Int64(parts[0]), let minute = Int64(parts[1]),
            (0...24).contains(hour), (0...59).contains(minute), hour * 60 + minute <= 1440
        else { return nil }
        return hour * 60 + minute
    }

    private func local(_ instant: Instant) -> CivilTime {
        CivilTime(instant, offset: settings.surroundings.timeZone.secondsFromGMT(at: instant))
    }

    private func date(_ format: String, _ instant: Instant) -> LuaAnswer {
        let isUTC = format.hasPrefix("!")
        let text = isUTC ? String(format.dropFirst()) : format
        let time = isUTC ? CivilTime(instant, offset: 0) : local(instant)
        if text.hasPrefix("*t") { return .value(time.table) }
        guard let written = time.text(text) else { return .raise("'\(format)' has a conversion that is not known") }
        return .value(.string(written))
    }

    /// Seconds since 1970 of a local time.
    private func time(of table: LuaValue) -> LuaAnswer {
        func field(_ name: String, _ standard: Int64?) -> Int64? {
            guard let value = table[name] else { return standard }
            return value.integer.flatMap { abs($0) < 1_000_000 ? $0 : nil }
        }
        guard let year = field("year", nil), let month = field("month", nil), let day = field("day", nil), let hour = field("hour", 12),
            let minute = field("min", 0), let second = field("sec", 0), abs(year) < 10_000
        else { return .raise("wants a table with 'year', 'month' and 'day'") }
        let local = CivilTime.seconds(year: year, month: month, day: day) + hour * 3600 + minute * 60 + second
        guard let guess = Instant(seconds: Double(local)) else { return .nothing }
        let zone = settings.surroundings.timeZone
        guard let better = Instant(seconds: Double(local - zone.secondsFromGMT(at: guess))) else { return .nothing }
        return .value(.int(local - zone.secondsFromGMT(at: better)))
    }
}

extension Instant {
    var wholeSecondsDown: Int64 {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
