import Foundation
import Testing

/// `nodesphere test --watch`.
@Suite struct TestWatchTests {
    private static let rules = "groups:\n  - name: g\n    on: a/{device}\n    rules:\n      - {alert: A, expr: x > 1}\n"
    private static func test(readings: String, at: Int, alert: String = "A") -> String {
        "rules: [rules.yaml]\ntests:\n  - name: t\n    readings: [{topic: a/d, every: 1s, x: \"\(readings)\"}]\n"
            + "    expect: [{at: \(at)s, alert: \(alert), state: inactive}]\n"
    }

    /// Runs it until something is so of what it has printed, and ends it.
    private func watch(_ folder: TestFolder, until isSo: (_ output: String, _ errors: String) -> Bool) async throws {
        let child = try Child(
            Binary.path(), ["test", "rules", "--watch"], folder: folder.path, environment: ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"],
            output: folder.path("out"), errors: folder.path("err"))
        let found = await eventually { isSo(folder.text("out"), folder.text("err")) ? true : nil }
        kill(child.id, SIGKILL)
        _ = await child.ended()
        #expect(found == true, "\(folder.text("out"))\(folder.text("err"))")
    }

    @Test func `a file that changes while the tests run is seen`() async throws {
        let folder = try TestFolder()
        folder.write("rules/rules.yaml", Self.rules)
        folder.write("rules/a.test.yaml", Self.test(readings: "0", at: 0, alert: "B"))
        // This one takes its time, after the mistake in the first has been told.
        folder.write("rules/b.test.yaml", Self.test(readings: "0x600000", at: 600_000))
        var isMended = false
        try await watch(folder) { output, errors in
            if !isMended, errors.contains("a.test.yaml") {
                folder.write("rules/a.test.yaml", Self.test(readings: "0", at: 0))
                isMended = true
            }
            return output.contains("2 passed, 0 failed")
        }
    }

    @Test func `a file that is named and not there is waited for`() async throws {
        let folder = try TestFolder()
        folder.write("rules/a.test.yaml", Self.test(readings: "0", at: 0))
        try await watch(folder) { output, errors in
            if errors.contains("rules.yaml"), output.contains("1 failed") { folder.write("rules/rules.yaml", Self.rules) }
            return output.contains("1 passed, 0 failed")
        }
    }

    @Test func `the code of a plugin is looked at`() async throws {
        let folder = try TestFolder()
        folder.write(
            "rules/p/plugin.yaml",
            "name: p\nversion: 1.0.0\ndescription: d\nprovides:\n  functions:\n    twice:\n      parameters: {x: double}\n      result: double\n      doc: d\n      example: {expr: 'twice(2.0)', value: 4}\n"
        )
        folder.write("rules/p/p.test.yaml", "tests:\n  - {name: t, expr: 'twice(3.0)', value: 6}\n")
        folder.write("rules/p/init.lua", "plugin { functions = { twice = function(x) return x + 2 end } }\n")
        try await watch(folder) { output, _ in
            if output.contains("1 failed") {
                folder.write("rules/p/init.lua", "plugin { functions = { twice = function(x) return x * 2 end } }\n")
            }
            return output.contains(", 0 failed")
        }
    }
}
