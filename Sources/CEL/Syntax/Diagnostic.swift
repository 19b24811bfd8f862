/// A half-open range of UTF-8 offsets into an expression's source text.
public struct Span: Hashable, Sendable {
    public var start: Int
    public var end: Int

    public init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }

    /// The smallest span that covers both.
    public func union(_ other: Span) -> Span {
        Span(start: min(start, other.start), end: max(end, other.end))
    }
}

/// Something wrong, or doubtful, in the text of an expression.
public struct CELDiagnostic: Sendable, Hashable {
    /// Whether the expression can be used all the same.
    public enum Severity: String, Sendable, Hashable { case error, warning }

    /// A place that belongs to the diagnostic, and what is there.
    public struct Note: Sendable, Hashable {
        public var span: Span
        public var text: String

        public init(span: Span, text: String) {
            self.span = span
            self.text = text
        }
    }

    public var span: Span
    public var severity: Severity
    /// A stable word: `syntax`, `unknown-name`, `no-such-overload`, `limit`, …; `docs/cel.md` lists them all.
    public var code: String
    public var message: String
    /// What to write instead; only given when it is nearly always right.
    public var hint: String?
    public var notes: [Note]

    public init(span: Span, severity: Severity = .error, code: String, message: String, hint: String? = nil, notes: [Note] = []) {
        self.span = span
        self.severity = severity
        self.code = code
        self.message = message
        self.hint = hint
        self.notes = notes
    }
}

extension CustomStringConvertible {
    /// With "a" or "an", as messages say it: "an int", but "a uint".
    var withArticle: String {
        let text = description
        return ("aeio".utf8.contains(text.utf8.first ?? 0) ? "an " : "a ") + text
    }
}
