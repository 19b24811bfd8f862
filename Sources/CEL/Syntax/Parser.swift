/// The result of parsing: an expression when there was no error, and all diagnostics, in source order.
public struct ParseResult: Sendable {
    public var expression: Expression?
    public var diagnostics: [CELDiagnostic]
}

/// Recursive descent over the grammar of the CEL specification. After an error it skips to where an operand could end and goes on,
/// so that one run reports every mistake once.
struct Parser {
    let source: String
    let limits: Limits
    let allowsOptionalSyntax: Bool
    private let lexer: Lexer
    private let tokens: [Token]
    private var index = 0
    private var depth = 0
    private var nodes = 0
    private var lastErrorAt = -1
    private var isOverLimit = false
    private var diagnostics: [CELDiagnostic]

    init(_ source: String, limits: Limits, allowsOptionalSyntax: Bool) {
        self.source = source
        self.limits = limits
        self.allowsOptionalSyntax = allowsOptionalSyntax
        lexer = Lexer(Array(source.utf8))
        tokens = lexer.tokens
        diagnostics = lexer.diagnostics
    }

    mutating func parse() -> ParseResult {
        var root = expression()
        while current.kind != .end, !isOverLimit {
            unexpected("an operator or the end")
            let before = index
            skip()
            // What joins the faulty part to the next one is no second mistake.
            if index == before || joinsOperands(current.kind) { advance() }
            if canBeginOperand(current.kind) { root = expression() }
        }
        // Nobody reads more; a text that is no expression at all could give one for every character.
        if diagnostics.count > 100 { diagnostics.removeSubrange(100...) }
        diagnostics.sort { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }
        let isFaulty = diagnostics.contains { $0.severity == .error }
        return ParseResult(expression: isFaulty ? nil : Expression(source: source, root: root), diagnostics: diagnostics)
    }

    // MARK: tokens and errors

    private var current: Token { tokens[index] }
    private var following: Token { tokens[min(index + 1, tokens.count - 1)] }

    private mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
    }

    private mutating func accept(_ kind: TokenKind) -> Bool {
        guard tokens[index].kind == kind else { return false }
        advance()
        return true
    }

    private mutating func expect(_ kind: TokenKind, _ name: String) {
        if accept(kind) { return }
        unexpected(name)
        skip()
        _ = accept(kind)
    }

    private func text(_ token: Token) -> String { String(decoding: lexer.bytes[token.start..<token.end], as: UTF8.self) }

    private mutating func error(_ span: Span, code: String = "syntax", _ message: String, hint: String? = nil) {
        diagnostics.append(CELDiagnostic(span: span, code: code, message: message, hint: hint))
    }

    /// Reports the current token, unless an error was already reported here.
    private mutating func unexpected(_ wanted: String) {
        guard index > lastErrorAt, !isOverLimit else { return }
        lastErrorAt = index
        let token = current
        switch token.kind {
        case .invalid: return
        case .end: error(token.span, "the expression ends where \(wanted) should stand")
        default:
            let shown = String(text(token).unicodeScalars.prefix(40))
            error(token.span, "'\(shown)' stands where \(wanted) should", hint: wordOperator(token))
        }
    }

    private func wordOperator(_ token: Token) -> String? {
        switch text(token) {
        case "and", "AND": "write '&&'"
        case "or", "OR": "write '||'"
        case "not", "NOT": "write '!'"
        default: index > 0 && ["not", "NOT"].contains(text(tokens[index - 1])) ? "write '!' for 'not'" : nil
        }
    }

    /// Moves to the next token at which an expression around this place can go on.
    private mutating func skip() {
        var nesting = 0
        while current.kind != .end {
            switch current.kind {
            case .leftParen, .leftBracket, .leftBrace: nesting += 1
            case .rightParen, .rightBracket, .rightBrace:
                if nesting == 0 { return }
                nesting -= 1
            case .comma, .colon, .question, .andAnd, .orOr:
                if nesting == 0 { return }
            default: break
            }
            advance()
        }
    }

    private func joinsOperands(_ kind: TokenKind) -> Bool {
        kind == .andAnd || kind == .orOr || kind == .question || kind == .colon || kind == .comma
    }

    private func canBeginOperand(_ kind: TokenKind) -> Bool {
        switch kind {
        case .identifier, .int, .uint, .double, .string, .bytes, .true, .false, .null, .leftParen, .leftBracket, .leftBrace, .minus, .not,
            .dot:
            true
        default: false
        }
    }

    private mutating func make(_ kind: Expression.Kind, _ start: Int, _ end: Int) -> Expression.Node {
        let node = Expression.Node(kind, span: Span(start: start, end: end))
        nodes += 1
        if node.height > limits.depth {
            overLimit(node.span, "an expression may be nested at most \(limits.depth) deep")
            return Expression.Node(.invalid, span: node.span)
        }
        if nodes > limits.nodes { overLimit(node.span, "an expression may have at most \(limits.nodes) parts") }
        return node
    }

    /// Gives the one diagnostic of a limit and ends the parse.
    private mutating func overLimit(_ span: Span, _ message: String) {
        if !isOverLimit { error(span, code: "limit", message) }
        isOverLimit = true
        index = tokens.count - 1
    }

    private var previousEnd: Int { index > 0 ? tokens[index - 1].end : 0 }

    // MARK: expressions

    private mutating func expression() -> Expression.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.depth else {
            overLimit(current.span, "an expression may be nested at most \(limits.depth) deep")
            return Expression.Node(.invalid, span: current.span)
        }
        let condition = disjunction()
        guard accept(.question) else { return condition }
        let yes = disjunction()
        expect(.colon, "':' of a conditional")
        let no = expression()
        return make(.conditional(condition, yes, no), condition.span.start, no.span.end)
    }

    private mutating func disjunction() -> Expression.Node {
        let first = conjunction()
        guard current.kind == .orOr else { return first }
        var terms = [first]
        while accept(.orOr) { terms.append(conjunction()) }
        return make(.logical(.or, terms), first.span.start, terms[terms.count - 1].span.end)
    }

    private mutating func conjunction() -> Expression.Node {
        let first = binary(3)
        guard current.kind == .andAnd else { return first }
        var terms = [first]
        while accept(.andAnd) { terms.append(binary(3)) }
        return make(.logical(.and, terms), first.span.start, terms[terms.count - 1].span.end)
    }

    private func binaryOperator(_ kind: TokenKind) -> BinaryOperator? {
        switch kind {
        case .plus: .add
        case .minus: .subtract
        case .star: .multiply
        case .slash: .divide
        case .percent: .remainder
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        case .equal: .equal
        case .notEqual: .notEqual
        case .in: .in
        default: nil
        }
    }

    private mutating func binary(_ precedence: Int) -> Expression.Node {
        var left = unary()
        while let found = binaryOperator(current.kind), found.precedence >= precedence {
            advance()
            let right = binary(found.precedence + 1)
            left = make(.binary(found, left, right), left.span.start, right.span.end)
        }
        return left
    }

    private mutating func unary() -> Expression.Node {
        let sign = current.kind
        guard sign == .not || sign == .minus else { return member() }
        var starts: [Int] = []
        while current.kind == sign {
            // A minus directly before a number is part of the literal: -9223372036854775808 is an int.
            if sign == .minus, [.int, .uint, .double].contains(following.kind) { break }
            starts.append(current.start)
            advance()
        }
        if current.kind != sign, current.kind == .not || current.kind == .minus {
            error(current.span, "'!' and '-' cannot be mixed", hint: "put the inner one in parentheses")
            lastErrorAt = index
            while current.kind == .not || current.kind == .minus { advance() }
        }
        var node = member()
        for start in starts.reversed() {
            node = make(sign == .not ? .not(node) : .negate(node), start, node.span.end)
            if isOverLimit { break }
        }
        return node
    }

    private mutating func member() -> Expression.Node {
        var node = primary()
        while !isOverLimit {
            switch current.kind {
            case .dot: node = selection(of: node)
            case .leftBracket:
                advance()
                let isOptional = optionalMark()
                let key = expression()
                expect(.rightBracket, "']'")
                node = make(.index(node, key, isOptional: isOptional), node.span.start, previousEnd)
            default: return node
            }
        }
        return node
    }

    private mutating func optionalMark() -> Bool {
        let mark = current
        guard accept(.question) else { return false }
        if !allowsOptionalSyntax { error(mark.span, "optional syntax is switched off here") }
        return true
    }

    private mutating func selection(of operand: Expression.Node) -> Expression.Node {
        let start = operand.span.start
        advance()
        let isOptional = optionalMark()
        let token = current
        guard token.kind == .identifier || token.kind == .quotedIdentifier else {
            switch token.kind {
            case .true, .false, .null, .in:
                error(token.span, "'\(text(token))' is a keyword and cannot be a field's name", hint: "write ['\(text(token))']")
                lastErrorAt = index
                advance()
            default:
                unexpected("a field's name")
            }
            return make(.invalid, start, previousEnd)
        }
        advance()
        let name = token.kind == .identifier ? text(token) : token.literal >= 0 ? lexer.texts[token.literal] : ""
        if current.kind == .leftParen, token.kind == .identifier, !isOptional {
            let arguments = callArguments()
            let call = Expression.Call(name: name, nameSpan: token.span, receiver: operand, arguments: arguments, isRooted: false)
            return make(.call(call), start, previousEnd)
        }
        if current.kind == .leftBrace, let path = messageName(operand) {
            return message(path + "." + name, start)
        }
        let field = Expression.Field(name: name, span: token.span, isOptional: isOptional, isQuoted: token.kind == .quotedIdentifier)
        return make(.select(operand, field), start, previousEnd)
    }

    private func messageName(_ node: Expression.Node) -> String? {
        switch node.kind {
        case .name(let name, let isRooted): (isRooted ? "." : "") + name
        case .select(let operand, let field) where !field.isOptional: messageName(operand).map { $0 + "." + field.name }
        default: nil
        }
    }

    private mutating func callArguments() -> [Expression.Node] {
        advance()
        var arguments: [Expression.Node] = []
        if accept(.rightParen) { return arguments }
        repeat { arguments.append(expression()) } while accept(.comma) && !isOverLimit
        expect(.rightParen, "')'")
        return arguments
    }

    // MARK: primaries

    private mutating func primary() -> Expression.Node {
        let token = current
        switch token.kind {
        case .identifier: return name(token, isRooted: false)
        case .dot where following.kind == .identifier:
            advance()
            return name(current, isRooted: true, start: token.start)
        case .leftParen: return parenthesized()
        case .leftBracket: return list()
        case .leftBrace: return map()
        case .minus where [.int, .uint, .double].contains(following.kind):
            advance()
            return number(current, isNegative: true, start: token.start)
        case .int, .uint, .double: return number(token, isNegative: false, start: token.start)
        case .string:
            advance()
            return make(.literal(.string(lexer.texts[token.literal])), token.start, token.end)
        case .bytes:
            advance()
            return make(.literal(.bytes(lexer.octets[token.literal])), token.start, token.end)
        case .true, .false:
            advance()
            return make(.literal(.bool(token.kind == .true)), token.start, token.end)
        case .null:
            advance()
            return make(.literal(.null), token.start, token.end)
        case .invalid:
            lastErrorAt = index
            advance()
            return make(.invalid, token.start, token.end)
        default:
            unexpected("an operand")
            skip()
            return make(.invalid, token.start, token.end)
        }
    }

    private static let reserved: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return",
        "var", "void", "while",
    ]

    private mutating func name(_ token: Token, isRooted: Bool, start: Int? = nil) -> Expression.Node {
        let name = text(token)
        let begin = start ?? token.start
        advance()
        if Parser.reserved.contains(name) {
            error(token.span, "'\(name)' is a reserved word")
        }
        if current.kind == .leftParen {
            let arguments = callArguments()
            let call = Expression.Call(name: name, nameSpan: token.span, receiver: nil, arguments: arguments, isRooted: isRooted)
            return make(.call(call), begin, previousEnd)
        }
        if current.kind == .leftBrace { return message((isRooted ? "." : "") + name, begin) }
        return make(.name(name, isRooted: isRooted), begin, token.end)
    }

    /// Keeps the parenthesised node's own span: parentheses are not part of the tree.
    private mutating func parenthesized() -> Expression.Node {
        let open = current
        advance()
        // `((((…` is common enough in generated text to be worth a message of its own before the closing ones are missed.
        let node = expression()
        if current.kind == .end, index > lastErrorAt, !isOverLimit {
            lastErrorAt = index
            error(open.span, "this parenthesis is never closed")
            return node
        }
        expect(.rightParen, "')'")
        return node
    }

    private mutating func list() -> Expression.Node {
        let start = current.start
        advance()
        var elements: [Expression.Element] = []
        // The grammar has a comma that nothing follows, even where nothing stands before it: `[,]`.
        if current.kind == .comma, following.kind == .rightBracket { advance() }
        while current.kind != .rightBracket, current.kind != .end {
            let isOptional = optionalMark()
            elements.append(Expression.Element(node: expression(), isOptional: isOptional))
            if !accept(.comma) { break }
        }
        expect(.rightBracket, "']'")
        return make(.list(elements), start, previousEnd)
    }

    private mutating func map() -> Expression.Node {
        let start = current.start
        let entries = entries { parser in parser.expression() }
        return make(.map(entries), start, previousEnd)
    }

    private mutating func message(_ name: String, _ start: Int) -> Expression.Node {
        let entries = entries { parser in
            let token = parser.current
            guard token.kind == .identifier || token.kind == .quotedIdentifier else {
                parser.unexpected("a field's name")
                parser.skip()
                return parser.make(.invalid, token.start, token.end)
            }
            parser.advance()
            return parser.make(.literal(.string(parser.text(token))), token.start, token.end)
        }
        return make(.message(name, entries), start, previousEnd)
    }

    private mutating func entries(key: (inout Parser) -> Expression.Node) -> [Expression.Entry] {
        advance()
        var entries: [Expression.Entry] = []
        if current.kind == .comma, following.kind == .rightBrace { advance() }
        while current.kind != .rightBrace, current.kind != .end {
            let isOptional = optionalMark()
            let key = key(&self)
            expect(.colon, "':'")
            entries.append(Expression.Entry(key: key, value: expression(), isOptional: isOptional))
            if !accept(.comma) { break }
        }
        expect(.rightBrace, "'}'")
        return entries
    }

    /// `5m`: the word is passed over, so that it is one mistake.
    private mutating func numberRunsIntoWord(_ token: Token) {
        let word = current.start == token.end ? String(decoding: lexer.bytes[current.start..<current.end], as: UTF8.self) : ""
        let isUnit = token.kind == .int && ["ms", "s", "m", "h", "d", "w"].contains(word)
        error(
            Span(start: token.end, end: token.end + 1), "a number runs into a word",
            hint: isUnit ? "a duration stands in quotes: '\(text(token))\(word)'" : nil)
        if current.kind == .identifier, current.start == token.end { advance() }
    }

    private mutating func number(_ token: Token, isNegative: Bool, start: Int) -> Expression.Node {
        advance()
        let span = Span(start: start, end: token.end)
        if token.end < lexer.bytes.count, Lexer.isLetter(lexer.bytes[token.end]) {
            numberRunsIntoWord(token)
        }
        if token.kind == .double {
            let text = (isNegative ? "-" : "") + text(token)
            return make(.literal(.double(Double(text) ?? .nan)), start, token.end)
        }
        let digits = lexer.bytes[token.start..<(token.kind == .uint ? token.end - 1 : token.end)]
        let isHex = digits.count > 2 && digits[digits.startIndex + 1] | 0x20 == UInt8(ascii: "x")
        guard let magnitude = Parser.magnitude(isHex ? digits.dropFirst(2) : digits, radix: isHex ? 16 : 10) else {
            error(span, "a whole number too large for 64 bits", hint: token.kind == .int ? "write it as a double: add '.0'" : nil)
            return make(.invalid, start, token.end)
        }
        if token.kind == .uint {
            if isNegative, magnitude > 0 { error(span, "an unsigned number cannot be negative") }
            return make(.literal(.uint(magnitude)), start, token.end)
        }
        let value = isNegative ? Int64(exactly: -Int128(magnitude)) : Int64(exactly: magnitude)
        guard let value else {
            error(span, "a whole number too large for 64 bits", hint: "write it as a double: add '.0'")
            return make(.invalid, start, token.end)
        }
        return make(.literal(.int(value)), start, token.end)
    }

    private static func magnitude(_ digits: ArraySlice<UInt8>, radix: UInt64) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            let (product, isOver) = value.multipliedReportingOverflow(by: radix)
            let (sum, isCarried) = product.addingReportingOverflow(UInt64(Lexer.hexValue(digit) ?? 0))
            if isOver || isCarried { return nil }
            value = sum
        }
        return value
    }
}
