/// A condition on one label: `severity = critical`, `site =~ "oslo|bergen"`. A label that an alert lacks counts as empty.
public struct Matcher: Sendable, Hashable {
    public enum Operation: String, Sendable, CaseIterable {
        case equal = "="
        case notEqual = "!="
        /// The regular expression matches the whole value.
        case matches = "=~"
        case doesNotMatch = "!~"

        public var isRegularExpression: Bool { self == .matches || self == .doesNotMatch }
    }
    public var name: String
    public var operation: Operation
    public var value: String

    public init(_ name: String, _ operation: Operation, _ value: String) {
        self.name = name
        self.operation = operation
        self.value = value
    }
}

extension Matcher: CustomStringConvertible {
    /// As Alertmanager writes it: `severity="critical"`.
    public var description: String {
        var text = name + operation.rawValue
        Document.quote(value, into: &text)
        return text
    }
}

/// A compiled regular expression in RE2's syntax that runs in linear time.
public protocol RegexMatching: Sendable {
    /// Whether it matches the whole text, from its first to its last character.
    func matchesWhole(_ text: String) -> Bool
}

/// Compiles a pattern; nil when it is none.
public typealias RegexCompiler = @Sendable (String) -> (any RegexMatching)?
