/// Durations as rules write them: `500ms 30s 5m 2h 1d 1w`, or compounds such as `1h30m` with units falling.
extension Duration {
    /// Nil when the text is no duration; a bare number is none, except `0`.
    public init?(ruleText text: some StringProtocol) {
        guard text != "0" else {
            self = .zero
            return
        }
        let units: [(name: String, nanoseconds: Int64)] = [
            ("w", 604_800_000_000_000), ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
            ("s", 1_000_000_000), ("ms", 1_000_000),
        ]
        let bytes = Array(text.utf8)
        var at = 0
        var rank = -1
        var total: Int64 = 0
        while at < bytes.count {
            var number: Int64 = 0
            let first = at
            while at < bytes.count, bytes[at] >= 48, bytes[at] <= 57 {
                guard at - first < 15 else { return nil }
                number = number * 10 + Int64(bytes[at] - 48)
                at += 1
            }
            let digits = at - first
            let unitStart = at
            while at < bytes.count, bytes[at] < 48 || bytes[at] > 57 { at += 1 }
            let unit = String(decoding: bytes[unitStart..<at], as: UTF8.self)
            guard digits > 0, let found = units.firstIndex(where: { $0.name == unit }), found > rank else { return nil }
            rank = found
            let (part, tooLarge) = number.multipliedReportingOverflow(by: units[found].nanoseconds)
            let (sum, overflow) = total.addingReportingOverflow(part)
            guard !tooLarge, !overflow else { return nil }
            total = sum
        }
        guard rank >= 0 else { return nil }
        self = .nanoseconds(total)
    }

    /// The shortest text that `init(ruleText:)` reads back, to the millisecond.
    public var ruleText: String {
        var left = max(0, inNanoseconds / 1_000_000)
        guard left > 0 else { return "0s" }
        var text = ""
        for (name, size) in [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
            as [(String, Int64)]
        where left >= size {
            text += "\(left / size)\(name)"
            left %= size
        }
        return text
    }

    /// Whole nanoseconds, saturated to what 64 bits hold.
    public var inNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carried ? (seconds < 0 ? .min : .max) : sum
    }
}
