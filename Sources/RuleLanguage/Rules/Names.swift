import RuleEngine

/// Which names a rule's author may give to captures, `let` and labels.
enum Names {
    /// What an expression knows already; captures and lets cannot hide it.
    static let builtIn: Set<String> = ["config", "vars", "labels", "payload", "topic", "time", "received_at", "now", "alert", "members"]

    /// Words that CEL keeps for itself, so that they could never be read as names.
    static let reservedWords: Set<String> = [
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace", "null",
        "package", "return", "true", "var", "void", "while",
    ]

    static func isIdentifier(_ text: String) -> Bool { MatcherText.isLabelName(text) }

    /// Why a name cannot be given, if it cannot.
    static func refusal(_ name: String, of subject: String) -> String? {
        if builtIn.contains(name) { return "\(subject) cannot be named '\(name)': every expression has that name already" }
        if reservedWords.contains(name) { return "\(subject) cannot be named '\(name)': it is a word of CEL" }
        return nil
    }
}
