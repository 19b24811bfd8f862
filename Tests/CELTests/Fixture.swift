import Foundation

/// Files beside the tests, found by the place of this source file.
enum Fixture {
    static func text(_ path: String, from file: String = #filePath) throws -> String {
        let folder = file.split(separator: "/").dropLast().joined(separator: "/")
        return try String(contentsOfFile: "/" + folder + "/" + path, encoding: .utf8)
    }

    static func lines(_ path: String) throws -> [String] {
        try text(path).split(separator: "\n").map { String($0) }
    }
}
