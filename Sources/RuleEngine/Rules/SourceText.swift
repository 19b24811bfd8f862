public import CEL

/// A piece of text inside a file (an expression in YAML), with the place of each of its bytes.
public struct SourceText: Hashable, Sendable {
    public let text: String
    public let file: String
    /// Where runs of the text begin: from UTF-8 offset `offset` on, the text stands at `line`, `column` and goes on there.
    /// A block scalar has a run a line, a plain scalar one.
    public struct Run: Hashable, Sendable {
        public var offset: Int
        public var line: Int
        public var column: Int
        public init(offset: Int, line: Int, column: Int) {
            self.offset = offset
            self.line = line
            self.column = column
        }
    }
    public let runs: [Run]

    public init(_ text: String, file: String, runs: [Run]) {
        self.text = text
        self.file = file
        self.runs = runs.isEmpty ? [Run(offset: 0, line: 1, column: 1)] : runs
    }

    /// Text that stands in no file; `file` names where it came from.
    public init(_ text: String, file: String = "<expression>") { self.init(text, file: file, runs: []) }

    /// The place of a span; its length ends with the line it begins on.
    public func location(of span: Span) -> SourceLocation {
        let bytes = Array(text.utf8)
        let start = min(max(0, span.start), bytes.count)
        let end = min(max(start, span.end), bytes.count)
        let run = runs.last { $0.offset <= start } ?? runs[0]
        let next = runs.first { $0.offset > start }?.offset ?? bytes.count
        func columns(_ range: Range<Int>) -> Int { range.isEmpty ? 0 : String(decoding: bytes[range], as: UTF8.self).unicodeScalars.count }
        return SourceLocation(
            file: file, line: run.line, column: run.column + columns(min(run.offset, start)..<start),
            length: columns(start..<max(start, min(end, next))))
    }

    /// The place of the whole.
    public var location: SourceLocation { location(of: Span(start: 0, end: text.utf8.count)) }

    public func diagnostic(_ found: CELDiagnostic) -> Diagnostic {
        Diagnostic(
            found.severity == .error ? .error : .warning, code: found.code, found.message, at: location(of: found.span),
            notes: found.notes.map { note in
                let place = location(of: note.span)
                return "\(place.line):\(place.column): \(note.text)"
            }, hint: found.hint)
    }
}

/// A parsed CEL expression and where it stands. Equal when the text's meaning is: spans do not count.
public struct RuleExpression: Sendable {
    public let source: SourceText
    public let expression: Expression

    public init(_ source: SourceText, _ expression: Expression) {
        self.source = source
        self.expression = expression
    }
    /// The expression printed in one form, whatever its white space was.
    public var canonical: String { expression.description }
}

/// Text with `{{ CEL }}` in it.
public struct Template: Sendable {
    public enum Part: Sendable {
        case literal(String)
        case expression(RuleExpression)
    }
    public let parts: [Part]
    public let source: SourceText

    public init(_ parts: [Part], source: SourceText) {
        self.parts = parts
        self.source = source
    }

    /// The text when there is no expression in it.
    public var constant: String? {
        var text = ""
        for part in parts {
            guard case .literal(let literal) = part else { return nil }
            text += literal
        }
        return text
    }
}
