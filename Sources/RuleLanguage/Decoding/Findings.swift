import RuleEngine

/// Collects what is wrong in the files of one load.
final class Findings {
    private(set) var diagnostics: [Diagnostic] = []
    private(set) var errorCount = 0
    /// Functions of automations that rules name, also those of rules with mistakes.
    var scriptCalls: [CallAction] = []

    func add(_ diagnostic: Diagnostic) {
        diagnostics.append(diagnostic)
        if diagnostic.severity == .error { errorCount += 1 }
    }

    func report(
        _ code: String, _ message: String, at location: SourceLocation, label: String? = nil, notes: [String] = [], hint: String? = nil
    ) {
        add(Diagnostic(code: code, message, at: location, label: label, notes: notes, hint: hint))
    }
}
