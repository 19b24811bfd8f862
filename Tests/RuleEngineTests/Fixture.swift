import Foundation

@testable import RuleEngine

/// Files beside the tests, found by the place of this source file.
enum Fixture {
    /// The lines of `Data/<name>.jsonl`.
    static func lines(_ name: String) throws -> [Document] {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let text = try String(contentsOfFile: "/\(folder)/Data/\(name).jsonl", encoding: .utf8)
        return try text.split(separator: "\n").map { try Document(json: String($0)) }
    }
}
