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
    public init(_ text: String, file: String = "<expression>") {
        var runs = [Run(offset: 0, line: 1, column: 1)]
        for (offset, byte) in text.utf8.enumerated() where byte == UInt8(ascii: "\n") {
            runs.append(Run(offset: offset + 1, line: runs.count + 1, column: 1))
        }
        self.init(text, file: file, runs: runs)
    }

    /// The place of a span; its length ends with the line it begins on.
    public func location(of span: Span) -> SourceLocation { location(of: span.start..<max(span.start, span.end)) }

    /// The place of a range of UTF-8 offsets; its length ends with the line it begins on.
    public func location(of range: Range<Int>) -> SourceLocation {
        let count = text.utf8.count
        let start = min(max(0, range.lowerBound), count)
        let end = min(max(start, range.upperBound), count)
        let first = lastRun(at: start)
        let from = column(of: start, in: runs[first])
        var last = first
        // A run that begins where the range ends says how wide the escape before it is.
        while last + 1 < runs.count, runs[last + 1].offset <= end, runs[last + 1].line == runs[first].line { last += 1 }
        var stop = end
        if last + 1 < runs.count, runs[last + 1].offset < end {
            // The text goes on in another line: what joins the lines (a space or line feed) is not in this one.
            stop = runs[last + 1].offset
            stop -= bytes(start..<stop).reversed().prefix { $0 == 32 || $0 == 10 }.count
        }
        return SourceLocation(file: file, line: runs[first].line, column: from, length: column(of: stop, in: runs[last]) - from)
    }

    /// Constant time in a text of Swift's own.
    private func bytes(_ range: Range<Int>) -> Substring.UTF8View {
        let start = text.utf8.index(text.utf8.startIndex, offsetBy: range.lowerBound)
        return text.utf8[start..<text.utf8.index(start, offsetBy: range.count)]
    }

    private func column(of offset: Int, in run: Run) -> Int {
        guard offset > run.offset else { return run.column }
        return bytes(run.offset..<offset).reduce(run.column) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) }
    }

    private func lastRun(at offset: Int) -> Int {
        var low = 0
        var high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].offset <= offset { low = middle } else { high = middle }
        }
        return low
    }

    /// A part of the text, which keeps its places.
    public func part(_ range: Range<Int>) -> SourceText {
        let range = range.clamped(to: 0..<text.utf8.count)
        let first = lastRun(at: range.lowerBound)
        var inner = [Run(offset: 0, line: runs[first].line, column: column(of: range.lowerBound, in: runs[first]))]
        for run in runs[(first + 1)...].prefix(while: { $0.offset < range.upperBound }) {
            inner.append(Run(offset: run.offset - range.lowerBound, line: run.line, column: run.column))
        }
        return SourceText(String(decoding: bytes(range), as: UTF8.self), file: file, runs: inner)
    }

    /// The place of the whole.
    public var location: SourceLocation { location(of: 0..<text.utf8.count) }

    public func diagnostic(_ found: CELDiagnostic) -> Diagnostic {
        Diagnostic(
            found.severity == .error ? .error : .warning, code: found.code, found.message, at: location(of: found.span),
            notes: found.notes.map { note in
                // The diagnostic's own place need not be said twice.
                guard note.span.start != found.span.start else { return note.text }
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
