import RuleEngine

/// What has to be known of an InfluxQL query before it is asked: that it reads and does not write, where `now()` stands, and by what it groups.
///
/// The rest of the language is InfluxDB's own business: what is wrong with it, InfluxDB says when it is asked.
struct QueryText {
    struct Mistake {
        var message: String
        var range: Range<Int>
    }

    private(set) var parts: [HistoryQuery.Part] = []
    /// Nil when only the answer tells.
    private(set) var tags: [(name: String, range: Range<Int>)]? = []
    private(set) var bucket: Int64 = 0
    private(set) var hasNow = false
    private(set) var mistakes: [Mistake] = []
    /// Whether all of the grouping could be read, so that `tags` is known.
    private(set) var isWhole = true

    init(_ text: String) {
        let bytes = Array(text.utf8)
        let read = QueryTokens(bytes)
        if let open = read.openMark { wrong(open.message, open.range, hidesGrouping: true) }
        var tokens = read.all
        while let last = tokens.last, last.isSymbol(";") { tokens.removeLast() }
        checkStatement(&tokens)
        split(bytes, tokens)
        if let start = Self.grouping(tokens) { readGrouping(tokens[start...]) }
    }

    private mutating func wrong(_ message: String, _ range: Range<Int>, hidesGrouping: Bool = false) {
        mistakes.append(Mistake(message: message, range: range))
        if hidesGrouping { isWhole = false }
    }

    /// Leaves the tokens of the first statement; none when it reads nothing.
    private mutating func checkStatement(_ tokens: inout [QueryTokens.Token]) {
        guard let first = tokens.first, first.isWord("select") else {
            wrong("'influx' must be a SELECT statement", tokens.first?.range ?? 0..<1, hidesGrouping: true)
            tokens = []
            return
        }
        if let end = tokens.firstIndex(where: { $0.isSymbol(";") }) {
            wrong("'influx' must be one statement", tokens[end].range)
            tokens.removeSubrange(end...)
        }
        if let into = tokens.first(where: { $0.isWord("into") }) { wrong("a rule's query only reads: it takes no INTO", into.range) }
    }

    /// The text up to the last token, with `now()` apart.
    private mutating func split(_ bytes: [UInt8], _ tokens: [QueryTokens.Token]) {
        var start = 0
        for (place, token) in tokens.enumerated()
        where token.isWord("now") && place + 2 < tokens.count && tokens[place + 1].isSymbol("(") && tokens[place + 2].isSymbol(")") {
            parts.append(.literal(String(decoding: bytes[start..<token.range.lowerBound], as: UTF8.self)))
            parts.append(.now)
            hasNow = true
            start = tokens[place + 2].range.upperBound
        }
        let end = tokens.last?.range.upperBound ?? bytes.count
        if start < end { parts.append(.literal(String(decoding: bytes[start..<end], as: UTF8.self))) }
    }

    /// Where the grouping of the outermost SELECT begins, behind BY.
    private static func grouping(_ tokens: [QueryTokens.Token]) -> Int? {
        var depth = 0
        for (place, token) in tokens.enumerated() {
            if token.isSymbol("(") { depth += 1 }
            if token.isSymbol(")") { depth -= 1 }
            if depth == 0, token.isWord("group"), place + 1 < tokens.count, tokens[place + 1].isWord("by") { return place + 2 }
        }
        return nil
    }

    private static let followers = ["fill", "order", "limit", "offset", "slimit", "soffset", "tz"]

    private mutating func readGrouping(_ tokens: ArraySlice<QueryTokens.Token>) {
        var rest = tokens
        repeat {
            if rest.first?.isSymbol(",") == true { rest = rest.dropFirst() }
            guard let first = rest.first else {
                return wrong("GROUP BY needs what to group by", tokens.first?.range ?? 0..<1, hidesGrouping: true)
            }
            rest = rest.dropFirst()
            if first.isWord("time"), rest.first?.isSymbol("(") == true {
                readBucket(&rest, first)
            } else if first.isSymbol("*") || first.kind == .pattern {
                tags = nil
                Self.skipCast(&rest)
            } else if first.kind == .word || first.kind == .name {
                tags?.append((first.text, first.range))
                Self.skipCast(&rest)
            } else {
                return wrong("GROUP BY takes tags and time(…)", first.range, hidesGrouping: true)
            }
        } while rest.first?.isSymbol(",") == true
        if let next = rest.first, !Self.followers.contains(where: next.isWord) {
            wrong("GROUP BY takes tags and time(…), separated by commas", next.range, hidesGrouping: true)
        }
    }

    /// `time(5m)`, `time(1d, 6h)`.
    private mutating func readBucket(_ rest: inout ArraySlice<QueryTokens.Token>, _ word: QueryTokens.Token) {
        rest = rest.dropFirst()
        if let length = rest.first, let nanoseconds = Self.duration(length.text), nanoseconds > 0 {
            bucket = nanoseconds
        } else {
            wrong("time(…) takes a duration such as 5m", rest.first?.range ?? word.range)
        }
        guard let close = rest.firstIndex(where: { $0.isSymbol(")") }) else {
            wrong("'(' must be closed", word.range, hidesGrouping: true)
            rest = []
            return
        }
        rest = rest[(close + 1)...]
    }

    /// `device::tag`.
    private static func skipCast(_ rest: inout ArraySlice<QueryTokens.Token>) {
        let words = rest.prefix(3)
        if words.count == 3, words.prefix(2).allSatisfy({ $0.isSymbol(":") }), words.last?.isWord("tag") == true {
            rest = rest.dropFirst(3)
        }
    }

    private static func duration(_ text: String) -> Int64? {
        let units: [(String, Int64)] = [
            ("ns", 1), ("u", 1000), ("µ", 1000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
            ("d", 86_400_000_000_000), ("w", 604_800_000_000_000),
        ]
        var rest = text[...]
        var total: Int64 = 0
        repeat {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !($0.isASCII && $0.isNumber) }
            rest = rest.dropFirst(unit.count)
            guard let number = Int64(digits), let size = units.first(where: { $0.0 == unit.lowercased() })?.1 else { return nil }
            let (product, tooLarge) = number.multipliedReportingOverflow(by: size)
            let (sum, overflow) = total.addingReportingOverflow(product)
            guard !tooLarge, !overflow else { return nil }
            total = sum
        } while !rest.isEmpty
        return total
    }
}

/// InfluxQL as tokens, comments left out.
struct QueryTokens {
    struct Token {
        enum Kind {
            /// A bare identifier or keyword.
            case word
            /// An identifier in double quotes; `text` is what it says.
            case name
            case string, pattern, number, symbol
        }
        var kind: Kind
        var text: String
        var range: Range<Int>

        func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
        func isWord(_ word: String) -> Bool { kind == .word && text.lowercased() == word }
    }

    private(set) var all: [Token] = []
    /// A quote that is never closed: the tokens end before it.
    private(set) var openMark: QueryText.Mistake?
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        while let byte = next {
            switch byte {
            case _ where byte <= 32: at += 1
            case UInt8(ascii: "-") where peek(1) == UInt8(ascii: "-"): skip(to: [10])
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"): skip(to: Array("*/".utf8))
            case UInt8(ascii: "/") where isPatternPlace: quoted(byte, .pattern, "a pattern must be closed with '/'")
            case UInt8(ascii: "'"): quoted(byte, .string, "a text must be closed with a quote")
            case UInt8(ascii: "\""): quoted(byte, .name, "a name must be closed with a quote")
            case 48...57: take(.number) { Self.isWordByte($0) || $0 == UInt8(ascii: ".") }
            case _ where Self.isWordByte(byte): take(.word, while: Self.isWordByte)
            default: take(.symbol) { _ in false }
            }
        }
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }
    private func peek(_ ahead: Int) -> UInt8? { at + ahead < bytes.count ? bytes[at + ahead] : nil }

    /// Letters of other alphabets are outside of ASCII.
    private static func isWordByte(_ byte: UInt8) -> Bool {
        byte == 95 || byte >= 128 || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// `/` divides behind what can be divided, and begins a pattern elsewhere.
    private var isPatternPlace: Bool {
        guard let last = all.last else { return true }
        switch last.kind {
        case .number, .string, .name, .pattern: return false
        case .symbol: return last.text != ")"
        case .word: return ["by", "from", "select", "where", "and", "or"].contains(last.text.lowercased())
        }
    }

    private mutating func take(_ kind: Token.Kind, while isPart: (UInt8) -> Bool) {
        let start = at
        at += 1
        while let byte = next, isPart(byte) { at += 1 }
        all.append(Token(kind: kind, text: String(decoding: bytes[start..<at], as: UTF8.self), range: start..<at))
    }

    /// To its closing mark; a backslash takes the next byte along.
    private mutating func quoted(_ mark: UInt8, _ kind: Token.Kind, _ message: String) {
        let start = at
        var content: [UInt8] = []
        at += 1
        while let byte = next, byte != mark {
            if byte == UInt8(ascii: "\\"), let escaped = peek(1) {
                content.append(escaped)
                at += 2
            } else {
                content.append(byte)
                at += 1
            }
        }
        guard next != nil else {
            openMark = QueryText.Mistake(message: message, range: start..<start + 1)
            return
        }
        at += 1
        all.append(Token(kind: kind, text: String(decoding: content, as: UTF8.self), range: start..<at))
    }

    private mutating func skip(to end: [UInt8]) {
        while at < bytes.count, !bytes[at...].starts(with: end) { at += 1 }
        at = min(bytes.count, at + end.count)
    }
}
