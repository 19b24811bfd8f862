import Foundation
import RuleEngine

/// Results go to standard output, everything else to standard error.
enum Output {
    static func result(_ text: String) { write(text, to: .standardOutput) }
    static func talk(_ text: String) { write(text, to: .standardError) }

    private static func write(_ text: String, to handle: FileHandle) {
        // A closed pipe (`| head`) is no mistake of ours.
        try? handle.write(contentsOf: Data((text.hasSuffix("\n") || text.isEmpty ? text : text + "\n").utf8))
    }
}

extension [Diagnostic] {
    /// `2 errors, 1 warning`.
    var tally: String {
        let errors = count { $0.severity == .error }, warnings = count - errors
        guard errors + warnings > 0 else { return "nothing to complain of" }
        return "\(errors) \(errors == 1 ? "error" : "errors"), \(warnings) \(warnings == 1 ? "warning" : "warnings")"
    }
}

/// The end of a command with its exit status: 0 all well, 1 the thing looked at has errors, 2 used wrongly, 3 a server could not be reached.
struct Ending: Error {
    let status: Int32
    init(_ status: Int32) { self.status = status }
    func exit() -> Never { Foundation.exit(status) }
}

enum Version {
    static let text = "0.1.0"
}
