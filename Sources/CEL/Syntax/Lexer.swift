/// What a token is. Keywords `true false null in` have kinds of their own: they are never identifiers nor selectors.
enum TokenKind: UInt8 {
    case identifier, quotedIdentifier, int, uint, double, string, bytes
    case `true`, `false`, null, `in`
    case leftParen, rightParen, leftBracket, rightBracket, leftBrace, rightBrace
    case dot, comma, question, colon
    case plus, minus, star, slash, percent, not
    case andAnd, orOr, less, lessOrEqual, greater, greaterOrEqual, equal, notEqual
    /// Text that is no token; a diagnostic has been given for it.
    case invalid
    case end
}

struct Token {
    var kind: TokenKind
    var start: Int
    var end: Int
    /// Index into `Lexer.texts` or `Lexer.octets` of a string's or bytes' decoded value.
    var literal: Int = -1

    var span: Span { Span(start: start, end: end) }
}

/// Splits source bytes into tokens. Never fails: what is no token becomes `.invalid` and a diagnostic, and lexing goes on behind it.
struct Lexer {
    let bytes: [UInt8]
    private(set) var tokens: [Token] = []
    private(set) var texts: [String] = []
    private(set) var octets: [[UInt8]] = []
    private(set) var diagnostics: [CELDiagnostic] = []
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        tokens.reserveCapacity(bytes.count / 3 + 2)
        while let token = next() { tokens.append(token) }
        tokens.append(Token(kind: .end, start: bytes.count, end: bytes.count))
    }

    private func byte(_ offset: Int = 0) -> UInt8 {
        let index = position + offset
        return index < bytes.count ? bytes[index] : 0
    }

    private mutating func report(_ start: Int, _ end: Int, _ message: String, hint: String? = nil) {
        diagnostics.append(CELDiagnostic(span: Span(start: start, end: max(end, start)), code: "syntax", message: message, hint: hint))
    }

    private mutating func skipBlanks() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0C, 0x0D: position += 1
            case UInt8(ascii: "/") where byte(1) == UInt8(ascii: "/"):
                while position < bytes.count, bytes[position] != 0x0A { position += 1 }
            default: return
            }
        }
    }

    private mutating func next() -> Token? {
        skipBlanks()
        guard position < bytes.count else { return nil }
        let start = position
        let first = bytes[position]
        if Lexer.isLetter(first) || letterLength(at: position) > 0 { return word(start) }
        if Lexer.isDigit(first) || first == UInt8(ascii: ".") && Lexer.isDigit(byte(1)) { return number(start) }
        switch first {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return quoted(start, isRaw: false, isBytes: false)
        case UInt8(ascii: "`"): return quotedIdentifier(start)
        default: return symbol(start, first)
        }
    }

    private mutating func token(_ kind: TokenKind, _ start: Int, length: Int) -> Token {
        position = start + length
        return Token(kind: kind, start: start, end: position)
    }

    private mutating func symbol(_ start: Int, _ first: UInt8) -> Token {
        let second = byte(1)
        switch first {
        case UInt8(ascii: "("): return token(.leftParen, start, length: 1)
        case UInt8(ascii: ")"): return token(.rightParen, start, length: 1)
        case UInt8(ascii: "["): return token(.leftBracket, start, length: 1)
        case UInt8(ascii: "]"): return token(.rightBracket, start, length: 1)
        case UInt8(ascii: "{"): return token(.leftBrace, start, length: 1)
        case UInt8(ascii: "}"): return token(.rightBrace, start, length: 1)
        case UInt8(ascii: "."): return token(.dot, start, length: 1)
        case UInt8(ascii: ","): return token(.comma, start, length: 1)
        case UInt8(ascii: "?"): return token(.question, start, length: 1)
        case UInt8(ascii: ":"): return token(.colon, start, length: 1)
        case UInt8(ascii: "+"): return token(.plus, start, length: 1)
        case UInt8(ascii: "-"): return token(.minus, start, length: 1)
        case UInt8(ascii: "*"): return token(.star, start, length: 1)
        case UInt8(ascii: "/"): return token(.slash, start, length: 1)
        case UInt8(ascii: "%"): return token(.percent, start, length: 1)
        case UInt8(ascii: "!"): return second == UInt8(ascii: "=") ? token(.notEqual, start, length: 2) : token(.not, start, length: 1)
        case UInt8(ascii: "<"): return second == UInt8(ascii: "=") ? token(.lessOrEqual, start, length: 2) : token(.less, start, length: 1)
        case UInt8(ascii: ">"):
            return second == UInt8(ascii: "=") ? token(.greaterOrEqual, start, length: 2) : token(.greater, start, length: 1)
        case UInt8(ascii: "="):
            if second == UInt8(ascii: "=") { return token(.equal, start, length: 2) }
            if second == UInt8(ascii: "~") {
                report(start, start + 2, "'=~' is not an operator", hint: "write text.matches('pattern')")
                return token(.equal, start, length: 2)
            }
            report(start, start + 1, "'=' is not an operator", hint: "write '==' to compare")
            return token(.equal, start, length: 1)
        case UInt8(ascii: "&"):
            if second == UInt8(ascii: "&") { return token(.andAnd, start, length: 2) }
            report(start, start + 1, "'&' is not an operator", hint: "write '&&'")
            return token(.andAnd, start, length: 1)
        case UInt8(ascii: "|"):
            if second == UInt8(ascii: "|") { return token(.orOr, start, length: 2) }
            report(start, start + 1, "'|' is not an operator", hint: "write '||'")
            return token(.orOr, start, length: 1)
        default:
            var end = start + 1
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            report(start, end, "a character that has no meaning here")
            return token(.invalid, start, length: end - start)
        }
    }

    // MARK: words and numbers

    private mutating func word(_ start: Int) -> Token {
        var end = start
        while end < bytes.count, Lexer.isLetter(bytes[end]) || Lexer.isDigit(bytes[end]) { end += 1 }
        if letterLength(at: end) > 0 { return foreignWord(start) }
        if end < bytes.count, end - start <= 2, bytes[end] == UInt8(ascii: "\"") || bytes[end] == UInt8(ascii: "'") {
            let prefix = bytes[start..<end].map { $0 | 0x20 }
            switch prefix {
            case [UInt8(ascii: "r")]:
                position = end
                return quoted(start, isRaw: true, isBytes: false)
            case [UInt8(ascii: "b")]:
                position = end
                return quoted(start, isRaw: false, isBytes: true)
            case [UInt8(ascii: "b"), UInt8(ascii: "r")]:
                position = end
                return quoted(start, isRaw: true, isBytes: true)
            default: break
            }
        }
        let kind: TokenKind
        switch end - start {
        case 2 where matches(start, "in"): kind = .in
        case 4 where matches(start, "true"): kind = .true
        case 4 where matches(start, "null"): kind = .null
        case 5 where matches(start, "false"): kind = .false
        default: kind = .identifier
        }
        return token(kind, start, length: end - start)
    }

    /// A word with letters that names cannot have, such as `größe`: one mistake, and one token.
    private mutating func foreignWord(_ start: Int) -> Token {
        var end = start
        while end < bytes.count {
            let length = Lexer.isLetter(bytes[end]) || Lexer.isDigit(bytes[end]) ? 1 : letterLength(at: end)
            guard length > 0 else { break }
            end += length
        }
        let word = String(decoding: bytes[start..<end], as: UTF8.self)
        report(
            start, end, "a name has only the letters a to z and A to Z, digits and '_'",
            hint: "a field: x['\(word)']; a text: '\(word)'")
        return token(.identifier, start, length: end - start)
    }

    /// The bytes of the letter or mark beyond ASCII that begins at an offset; 0 where there is none.
    private func letterLength(at offset: Int) -> Int {
        guard offset < bytes.count, bytes[offset] >= 0x80 else { return 0 }
        let next = String(decoding: bytes[offset..<min(offset + 4, bytes.count)], as: UTF8.self)
        guard let scalar = next.unicodeScalars.first else { return 0 }
        let isLetter = scalar.properties.isAlphabetic || scalar.properties.generalCategory == .nonspacingMark
        return isLetter ? UTF8.width(scalar) : 0
    }

    private func matches(_ start: Int, _ word: StaticString) -> Bool {
        for index in 0..<word.utf8CodeUnitCount where bytes[start + index] != word.utf8Start[index] { return false }
        return true
    }

    private mutating func number(_ start: Int) -> Token {
        var end = start
        if bytes[start] == UInt8(ascii: "0"), byte(1) == UInt8(ascii: "x"), Lexer.hexValue(byte(2)) != nil {
            end = start + 2
            while end < bytes.count, Lexer.hexValue(bytes[end]) != nil { end += 1 }
            return integer(start, end)
        }
        while end < bytes.count, Lexer.isDigit(bytes[end]) { end += 1 }
        var isDouble = false
        if end + 1 < bytes.count, bytes[end] == UInt8(ascii: "."), Lexer.isDigit(bytes[end + 1]) {
            isDouble = true
            end += 1
            while end < bytes.count, Lexer.isDigit(bytes[end]) { end += 1 }
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            var exponent = end + 1
            if exponent < bytes.count, bytes[exponent] == UInt8(ascii: "+") || bytes[exponent] == UInt8(ascii: "-") { exponent += 1 }
            if exponent < bytes.count, Lexer.isDigit(bytes[exponent]) {
                isDouble = true
                end = exponent
                while end < bytes.count, Lexer.isDigit(bytes[end]) { end += 1 }
            }
        }
        return isDouble ? token(.double, start, length: end - start) : integer(start, end)
    }

    private mutating func integer(_ start: Int, _ end: Int) -> Token {
        let isUnsigned = end < bytes.count && bytes[end] | 0x20 == UInt8(ascii: "u")
        return token(isUnsigned ? .uint : .int, start, length: end - start + (isUnsigned ? 1 : 0))
    }

    private mutating func quotedIdentifier(_ start: Int) -> Token {
        var end = start + 1
        while end < bytes.count, bytes[end] != UInt8(ascii: "`"), bytes[end] != 0x0A { end += 1 }
        guard end < bytes.count, bytes[end] == UInt8(ascii: "`") else {
            report(start, end, "a quoted field name has no closing '`'")
            return token(.invalid, start, length: end - start)
        }
        let name = bytes[(start + 1)..<end]
        let isAllowed = name.allSatisfy {
            Lexer.isLetter($0) || Lexer.isDigit($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "/")
                || $0 == 0x20
        }
        if name.isEmpty || !isAllowed {
            report(start, end + 1, "a quoted field name may hold letters, digits, '_', '.', '-', '/' and spaces")
        }
        var result = token(.quotedIdentifier, start, length: end + 1 - start)
        result.literal = texts.count
        texts.append(String(decoding: name, as: UTF8.self))
        return result
    }

    // MARK: strings

    /// Reads a string or bytes literal; `position` is at its opening quote, `start` at its prefix.
    private mutating func quoted(_ start: Int, isRaw: Bool, isBytes: Bool) -> Token {
        let quote = bytes[position]
        let isTriple = byte(1) == quote && byte(2) == quote
        position += isTriple ? 3 : 1
        var content: [UInt8] = []
        while true {
            guard position < bytes.count else {
                report(start, bytes.count, "a string has no closing quote")
                return token(.invalid, start, length: bytes.count - start)
            }
            let current = bytes[position]
            if current == quote, !isTriple || (byte(1) == quote && byte(2) == quote) {
                position += isTriple ? 3 : 1
                break
            }
            if !isTriple, current == 0x0A || current == 0x0D {
                report(start, position, "a string has no closing quote on its line", hint: "strings over several lines are written '''…'''")
                return token(.invalid, start, length: position - start)
            }
            if current == UInt8(ascii: "\\"), !isRaw {
                escape(into: &content, isBytes: isBytes)
            } else if current == 0x0D {
                // Ends of lines are LF, however the text was stored.
                content.append(0x0A)
                position += byte(1) == 0x0A ? 2 : 1
            } else {
                content.append(current)
                position += 1
            }
        }
        var result = Token(kind: isBytes ? .bytes : .string, start: start, end: position)
        if isBytes {
            result.literal = octets.count
            octets.append(content)
        } else {
            result.literal = texts.count
            texts.append(String(decoding: content, as: UTF8.self))
        }
        return result
    }

    private mutating func escape(into content: inout [UInt8], isBytes: Bool) {
        let start = position
        let letter = byte(1)
        position += 2
        switch letter {
        case UInt8(ascii: "\\"), UInt8(ascii: "?"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): content.append(letter)
        case UInt8(ascii: "a"): content.append(0x07)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "v"): content.append(0x0B)
        case UInt8(ascii: "x"), UInt8(ascii: "X"): codePoint(start, digits: 2, into: &content, isBytes: isBytes)
        case UInt8(ascii: "u") where !isBytes: codePoint(start, digits: 4, into: &content, isBytes: isBytes)
        case UInt8(ascii: "U") where !isBytes: codePoint(start, digits: 8, into: &content, isBytes: isBytes)
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            report(start, min(position, bytes.count), "'\\u' and '\\U' have no meaning in bytes", hint: "write the octets as '\\xHH'")
        case UInt8(ascii: "0")...UInt8(ascii: "3"):
            guard (0x30...0x37).contains(byte()), (0x30...0x37).contains(byte(1)) else {
                report(start, min(position, bytes.count), "an octal escape has exactly three digits")
                return
            }
            let value = UInt32(letter - 0x30) * 64 + UInt32(byte() - 0x30) * 8 + UInt32(byte(1) - 0x30)
            position += 2
            append(value, start, into: &content, isBytes: isBytes)
        default:
            position = min(position, bytes.count)
            report(start, position, "an unknown escape in a string", hint: letter == UInt8(ascii: "d") ? "write a pattern as r'…'" : nil)
        }
    }

    private mutating func codePoint(_ start: Int, digits: Int, into content: inout [UInt8], isBytes: Bool) {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard position < bytes.count, let digit = Lexer.hexValue(bytes[position]) else {
                report(start, min(position, bytes.count), "this escape needs \(digits) hexadecimal digits")
                return
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        append(value, start, into: &content, isBytes: isBytes)
    }

    private mutating func append(_ value: UInt32, _ start: Int, into content: inout [UInt8], isBytes: Bool) {
        if isBytes {
            content.append(UInt8(truncatingIfNeeded: value))
        } else if let scalar = Unicode.Scalar(value) {
            content.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        } else {
            report(start, position, "an escape must name a Unicode character: no surrogate, at most 10FFFF")
        }
    }

    static func isLetter(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
