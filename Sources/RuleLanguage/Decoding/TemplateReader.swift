import RuleEngine

/// Text with `{{ CEL }}` in it.
extension FileReading {
    func template(_ node: YAMLNode, _ key: String) -> Template? {
        guard let text = text(node, key), case .scalar(_, let style) = node.content else { return nil }
        return template(file.sourceText(text, style, at: node.range))
    }

    /// Without the expressions that are wrong, which are reported; nil when the text as a whole is.
    func template(_ source: SourceText) -> Template? {
        let bytes = Array(source.text.utf8)
        guard isShortEnough(source) else { return nil }
        var parts: [Template.Part] = []
        var literalStart = 0
        var at = 0
        while let open = Self.find(opening, in: bytes, from: at) {
            if open > literalStart { parts.append(.literal(String(decoding: bytes[literalStart..<open], as: UTF8.self))) }
            guard let close = Self.expressionEnd(in: bytes, from: open + 2) else {
                findings.report("template", "'{{' must be closed with '}}'", at: source.location(of: open..<open + 2))
                return nil
            }
            if let part = expressionPart(source, bytes, open + 2..<close) { parts.append(.expression(part)) }
            at = close + 2
            literalStart = at
        }
        if literalStart < bytes.count || parts.isEmpty { parts.append(.literal(String(decoding: bytes[literalStart...], as: UTF8.self))) }
        return Template(parts, source: source)
    }

    private func expressionPart(_ source: SourceText, _ bytes: [UInt8], _ range: Range<Int>) -> RuleExpression? {
        let inner = Self.trimmed(bytes, range)
        guard !inner.isEmpty else {
            findings.report(
                "template", "an expression must stand between '{{' and '}}'",
                at: source.location(of: range.lowerBound - 2..<range.upperBound + 2))
            return nil
        }
        let text = String(decoding: bytes[inner], as: UTF8.self)
        if let go = GoTemplate(text) {
            findings.report(
                "go-template", "text between '{{' and '}}' is CEL, not a Go template", at: source.location(of: inner),
                notes: go.note.map { [$0] } ?? [], hint: go.replacement.map { "write '{{ \($0) }}'" })
            return nil
        }
        return expression(source.part(inner))
    }

    private var opening: UInt8 { UInt8(ascii: "{") }

    /// The offset of two equal bytes in a row.
    private static func find(_ byte: UInt8, in bytes: [UInt8], from start: Int) -> Int? {
        var at = start
        while at + 1 < bytes.count {
            if bytes[at] == byte, bytes[at + 1] == byte { return at }
            at += 1
        }
        return nil
    }

    /// Where the `}}` stands that ends an expression: not one in a string, nor one that closes maps. When quotes or braces do not pair, the
    /// first `}}` ends it, and the expression's own syntax error is what the writer sees.
    private static func expressionEnd(in bytes: [UInt8], from start: Int) -> Int? {
        // What does not pair would otherwise be looked for to the end of the text, for each expression.
        let limit = min(bytes.count, start + 2048)
        var at = start
        var depth = 0
        var quote: UInt8?
        while at < limit {
            let byte = bytes[at]
            if let open = quote {
                if byte == UInt8(ascii: "\\") { at += 1 } else if byte == open { quote = nil }
            } else {
                switch byte {
                case UInt8(ascii: "'"), UInt8(ascii: "\""): quote = byte
                case UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "}"):
                    if depth > 0 { depth -= 1 } else if at + 1 < bytes.count, bytes[at + 1] == byte { return at }
                default: break
                }
            }
            at += 1
        }
        return find(UInt8(ascii: "}"), in: bytes, from: start)
    }

    private static func trimmed(_ bytes: [UInt8], _ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        while start < end, isSpace(bytes[start]) { start += 1 }
        while end > start, isSpace(bytes[end - 1]) { end -= 1 }
        return start..<end
    }
}

/// The syntax of Prometheus' and Alertmanager's templates, recognised so that it can be refused by name.
struct GoTemplate {
    /// The CEL form, where it is certain.
    var replacement: String?
    var note: String?

    init?(_ text: String) {
        let keywords: Set<Substring> = [
            "range", "end", "if", "else", "with", "template", "define", "block", "printf", "query", "reReplaceAll",
        ]
        let words = text.split { $0 == " " || $0 == "\t" || $0 == "\n" }
        guard let first = words.first else { return nil }
        let isPiped = words.contains("|")
        let isCall = keywords.contains(first) && (words.count > 1 || first == "end" || first == "else")
        guard text.hasPrefix(".") || text.hasPrefix("$") || text.hasPrefix("- ") || isPiped || isCall else { return nil }
        let subject = String(first)
        replacement = words.count == 1 ? Self.celName(subject) : nil
        if isPiped, words.count == 3, words[1] == "|", let name = Self.celName(subject),
            ["humanize", "humanizeDuration"].contains(words[2])
        {
            replacement = "\(words[2])(\(name))"
        }
        if replacement == nil {
            note =
                isPiped
                ? "functions are called: {{ humanize(x) }}" : "names stand without '.' and '$': {{ labels.device }}"
        }
    }

    private static func celName(_ text: String) -> String? {
        let roots = [
            (".Labels.", "labels."), ("$labels.", "labels."), (".GroupLabels.", "group_labels."), (".CommonLabels.", "common_labels."),
            (".CommonAnnotations.", "common_annotations."),
        ]
        if text == ".Value" || text == "$value" { return "alert.value" }
        for (go, cel) in roots where text.hasPrefix(go) {
            let rest = text.dropFirst(go.count)
            guard !rest.isEmpty,
                rest.utf8.allSatisfy({ $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) })
            else { return nil }
            return cel + rest
        }
        return nil
    }
}
