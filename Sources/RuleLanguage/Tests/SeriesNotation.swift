import RuleEngine

/// promtool's notation of a series: `-18 -14x6 _x3 1+2x5 stale NaN`, extended by `true false null` and text: `open 'half open'x3`.
struct SeriesNotation {
    struct Mistake: Error {
        var message: String
        /// UTF-8 offsets.
        var range: Range<Int>
        var hint: String?
    }

    /// Longer ones would run for hours.
    static let maximumCount = 100_000_000

    static func read(_ text: String) throws(Mistake) -> TestSeries {
        let bytes = Array(text.utf8)
        var runs: [TestSeries.Run] = []
        var at = 0
        while at < bytes.count {
            if bytes[at] == 32 || bytes[at] == 9 || bytes[at] == 10 {
                at += 1
                continue
            }
            let start = at
            if bytes[at] == UInt8(ascii: "'") {
                guard let close = bytes[(at + 1)...].firstIndex(of: UInt8(ascii: "'")) else {
                    throw Mistake(message: "a quote must be closed", range: start..<bytes.count)
                }
                let content = String(decoding: bytes[(at + 1)..<close], as: UTF8.self)
                at = Self.wordEnd(bytes, close + 1)
                let count = try repetitions(String(decoding: bytes[(close + 1)..<at], as: UTF8.self), close + 1..<at)
                runs.append(TestSeries.Run(.text(content), count: count))
                continue
            }
            at = wordEnd(bytes, at)
            runs.append(try run(String(decoding: bytes[start..<at], as: UTF8.self), start..<at))
        }
        return TestSeries(runs)
    }

    private static func wordEnd(_ bytes: [UInt8], _ start: Int) -> Int {
        bytes[start...].firstIndex { $0 == 32 || $0 == 9 || $0 == 10 } ?? bytes.count
    }

    /// `x3` behind a quote: three in all; nothing: one.
    private static func repetitions(_ text: String, _ range: Range<Int>) throws(Mistake) -> Int {
        if text.isEmpty { return 1 }
        guard text.hasPrefix("x"), let count = count(text.dropFirst()) else {
            throw Mistake(message: "behind a quote stands 'x' and how often, or nothing", range: range)
        }
        return try bounded(count + 1, range)
    }

    private static func run(_ word: String, _ range: Range<Int>) throws(Mistake) -> TestSeries.Run {
        if let sample = sample(word) { return TestSeries.Run(sample) }
        guard let mark = word.lastIndex(of: "x"), let count = count(word[word.index(after: mark)...]) else {
            return TestSeries.Run(.text(word))
        }
        let head = word[..<mark]
        if head == "_" || head == "stale" { return TestSeries.Run(.none, count: try bounded(count, range)) }
        if let sample = sample(String(head)) { return TestSeries.Run(sample, count: try bounded(count + 1, range)) }
        if let (first, step) = progression(head) { return TestSeries.Run(.number(first), step: step, count: try bounded(count + 1, range)) }
        throw Mistake(
            message: "a text that is repeated must be quoted", range: range,
            hint: "write '\(head)'x\(count), or '\(word)' for the text itself")
    }

    private static func sample(_ word: String) -> TestSample? {
        switch word {
        case "_", "stale": .some(.none)
        case "null": .null
        case "true": .bool(true)
        case "false": .bool(false)
        default: number(word).map(TestSample.number)
        }
    }

    /// `1+2`, `10-0.5`: a first value and what is added to it each time. A sign behind an exponent is the exponent's.
    private static func progression(_ text: Substring) -> (first: Double, step: Double)? {
        let bytes = Array(text.utf8)
        for at in bytes.indices.dropFirst() where (bytes[at] == 43 || bytes[at] == 45) && bytes[at - 1] | 32 != 101 {
            guard let first = number(String(decoding: bytes[..<at], as: UTF8.self)),
                let step = number(String(decoding: bytes[(at + 1)...], as: UTF8.self))
            else { return nil }
            return (first, bytes[at] == 45 ? -step : step)
        }
        return nil
    }

    private static func count(_ digits: some StringProtocol) -> Int? {
        guard (1...18).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(digits)
    }

    private static func bounded(_ count: Int, _ range: Range<Int>) throws(Mistake) -> Int {
        guard count <= maximumCount else { throw Mistake(message: "a series has at most \(maximumCount) samples", range: range) }
        return count
    }

    /// A number as YAML, JSON and promtool write it.
    static func number(_ text: String) -> Double? {
        switch text {
        case "NaN", ".nan", ".NaN", "nan": return .nan
        case "Inf", "+Inf", ".inf", "+.inf", ".Inf", "inf", "Infinity": return .infinity
        case "-Inf", "-.inf", "-.Inf", "-inf", "-Infinity": return -.infinity
        default: break
        }
        guard text.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 || $0 | 32 == 101 || $0 == 43 || $0 == 45 }),
            let last = text.utf8.last, (48...57).contains(last) || last == 46
        else { return nil }
        guard let number = Double(text), number.isFinite else { return nil }
        return number
    }
}
