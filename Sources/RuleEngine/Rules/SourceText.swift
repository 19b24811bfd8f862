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
    public func location(of span: Span) -> SourceLocation { location(of: span.start..<max(span.start, span.end)) }

    /// The place of a range of UTF-8 offsets; its length ends with the line it begins on.
    public func location(of range: Range<Int>) -> SourceLocation {
        let bytes = Array(text.utf8)
        let start = min(max(0, range.lowerBound), bytes.count)
        let end = min(max(start, range.upperBound), bytes.count)
        /// Column after so many bytes of a run's text.
        func column(_ run: Run, _ offset: Int) -> Int {
            guard offset > run.offset else { return run.column }
            return bytes[run.offset..<offset].reduce(run.column) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) }
        }
        let first = lastRun(at: start)
        let from = column(runs[first], start)
        var last = first
        // A run that begins where the range ends says how wide the escape before it is.
        while last + 1 < runs.count, runs[last + 1].offset <= end, runs[last + 1].line == runs[first].line { last += 1 }
        var stop = end
        if last + 1 < runs.count, runs[last + 1].offset < end {
            // The text goes on in another line: what joins the lines (a space or line feed) is not in this one.
            stop = runs[last + 1].offset
            while stop > start, bytes[stop - 1] == 32 || bytes[stop - 1] == 10 { stop -= 1 }
        }
        return SourceLocation(file: file, line: runs[first].line, column: from, length: column(runs[last], stop) - from)
    }

    private func lastRun(at offset: Int) -> Int { max(0, (runs.firstIndex { $0.offset > offset } ?? runs.count) - 1) }

    /// A part of the text, which keeps its places.
    public func part(_ range: Range<Int>) -> SourceText {
        let bytes = Array(text.utf8)
        let range = range.clamped(to: 0..<bytes.count)
        let place = location(of: range)
        var inner = [Run(offset: 0, line: place.line, column: place.column)]
        for run in runs where run.offset > range.lowerBound && run.offset < range.upperBound {
            inner.append(Run(offset: run.offset - range.lowerBound, line: run.line, column: run.column))
        }
        return SourceText(String(decoding: bytes[range], as: UTF8.self), file: file, runs: inner)
    }

    /// The place of the whole.
    public var location: SourceLocation { location(of: 0..<text.utf8.count) }

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
