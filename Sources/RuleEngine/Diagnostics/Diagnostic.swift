/// A place in a file that a person wrote: lines and columns count from 1, columns in Unicode scalars.
public struct SourceLocation: Hashable, Comparable, Sendable {
    public var file: String
    public var line: Int
    public var column: Int
    /// How many columns the place covers; at least 1.
    public var length: Int

    public init(file: String, line: Int, column: Int, length: Int = 1) {
        self.file = file
        self.line = line
        self.column = column
        self.length = max(1, length)
    }

    public static func < (left: SourceLocation, right: SourceLocation) -> Bool {
        (left.file, left.line, left.column) < (right.file, right.line, right.column)
    }
}

/// What is wrong (or doubtful) in something that a person wrote, as a value.
public struct Diagnostic: Hashable, Sendable, Error {
    public enum Severity: String, Sendable { case error, warning }

    public var location: SourceLocation
    public var severity: Severity
    /// Stable, in words: `unknown-field`, `duplicate-key`.
    public var code: String
    /// Says the rule that was broken: "'for' must be a duration".
    public var message: String
    /// Stands behind the carets.
    public var label: String?
    /// Each a line of its own below the source line: "known fields: …".
    public var notes: [String]
    /// Only when it is nearly always right: "did you mean 'temperature'?".
    public var hint: String?

    public init(
        _ severity: Severity = .error, code: String, _ message: String, at location: SourceLocation, label: String? = nil,
        notes: [String] = [], hint: String? = nil
    ) {
        self.location = location
        self.severity = severity
        self.code = code
        self.message = message
        self.label = label
        self.notes = notes
        self.hint = hint
    }

    /// The form of `--json` and of the API.
    public var document: Document {
        [
            "file": .string(location.file), "line": .int(Int64(location.line)), "column": .int(Int64(location.column)),
            "severity": .string(severity.rawValue), "code": .string(code), "message": .string(message), "hint": Document(hint),
        ]
    }
}

extension Sequence<Diagnostic> {
    public var hasErrors: Bool { contains { $0.severity == .error } }
    /// By file, line and column, each cause once.
    public var inOrder: [Diagnostic] {
        var seen = Set<Diagnostic>()
        return sorted { ($0.location, $0.code) < ($1.location, $1.code) }.filter { seen.insert($0).inserted }
    }
}
