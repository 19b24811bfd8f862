import CEL

/// A question to the clock on the wall of some zone: `is_between(now, '22:00', '06:00')`, `is_weekday(now)`.
struct CalendarFunction: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Local times in seconds of the day, from the first to before the second; over midnight when the first is the later.
        case between(from: Int64, to: Int64)
        /// Monday to Friday.
        case weekday
    }
    var kind: Kind
    var zone: NamedZone

    func isTrue(at instant: Instant) -> Bool {
        let second = instant.wholeSeconds
        let local = second + zone.secondsFromGMT(at: instant)
        let day = Self.day(of: local)
        switch kind {
        case .between(let from, let to):
            let inDay = local - day * 86_400
            return from < to ? from <= inDay && inDay < to : from <= inDay || inDay < to
        case .weekday:
            // 1970-01-01 was a Thursday.
            let weekday = ((day + 3) % 7 + 7) % 7
            return weekday < 5
        }
    }

    /// When the answer next changes. Clocks that are set forward or back change it too.
    func nextChange(after instant: Instant) -> Instant {
        let answer = isTrue(at: instant)
        let today = Self.day(of: instant.wholeSeconds + zone.secondsFromGMT(at: instant))
        let times: [Int64] =
            switch kind {
            case .between(let from, let to): [from, to]
            case .weekday: [0]
            }
        for day in today...today + 8 {
            let local = LocalDay(day, in: zone)
            let candidates = times.flatMap { local.instants(ofLocal: day * 86_400 + $0) } + local.changes
            let turns = candidates.map { Instant(seconds: $0) }.filter { $0 > instant && isTrue(at: $0) != answer }
            if let first = turns.min() { return first }
        }
        return .distantFuture
    }

    private static func day(of local: Int64) -> Int64 { local >= 0 ? local / 86_400 : (local - 86_399) / 86_400 }

    /// `22:00` as seconds of the day; `24:00` is the day's end.
    static func seconds(ofDay text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 5, bytes[2] == UInt8(ascii: ":"), [0, 1, 3, 4].allSatisfy({ (48...57).contains(bytes[$0]) }) else {
            return nil
        }
        let hours = Int64(bytes[0] - 48) * 10 + Int64(bytes[1] - 48), minutes = Int64(bytes[3] - 48) * 10 + Int64(bytes[4] - 48)
        guard minutes < 60, hours < 24 || hours == 24 && minutes == 0 else { return nil }
        return hours * 3600 + minutes * 60
    }
}

/// What a calendar function said last, and until when that holds: zones are slow to ask.
struct CalendarAnswer {
    var from = Instant.distantFuture
    var until = Instant.distantPast
    var isTrue = false

    mutating func refresh(_ function: CalendarFunction, at instant: Instant) {
        guard instant < from || instant >= until else { return }
        from = instant
        until = function.nextChange(after: instant)
        isTrue = function.isTrue(at: instant)
    }
}
