import Foundation
import LuaScripting
import RuleEngine

/// A reading that `lua run` and `lua repl` give to a script.
struct SampleReading {
    var topic: String
    var payload: [UInt8]

    /// Of a topic and a payload, with a space between them; nil when it is something else.
    init?(_ text: String) {
        guard let space = text.firstIndex(of: " "), space > text.startIndex else { return nil }
        topic = String(text[..<space])
        payload = Array(text[text.index(after: space)...].utf8)
    }

    /// Of an option `--reading`.
    static func option(_ text: String) throws -> SampleReading {
        guard let reading = SampleReading(text) else {
            Output.talk("error: '--reading' must be a topic and a payload with a space between them, not '\(text)'")
            throw Ending(2)
        }
        return reading
    }

    /// Gives it to a script, and says so when nothing listens to it.
    func give(to rehearsal: Rehearsal, at instant: Instant) {
        let filters = rehearsal.runtime.subscriptions.map(\.filter)
        if !filters.contains(where: { $0.matches(topic) }) {
            let others = filters.isEmpty ? "" : "; there are handlers for \(filters.map { "'\($0.subscription)'" }.joined(separator: ", "))"
            Output.talk("note: nothing listens to '\(topic)'\(others)")
        }
        rehearsal.apply(.reading(topic: topic, payload: payload, isRetained: false), at: instant)
    }
}

/// The text of a script.
func scriptText(_ file: String) throws -> String {
    guard let bytes = FileManager.default.contents(atPath: file) else {
        Output.talk("error: '\(file)' cannot be read")
        throw Ending(2)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
        Output.talk("error: '\(file)' is no UTF-8")
        throw Ending(2)
    }
    return text
}
