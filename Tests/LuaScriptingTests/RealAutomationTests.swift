import CEL
import Foundation
import LuaScripting
import RuleEngine
import Testing

@testable import RuleLanguage

/// The rules of real deployments that are scripts, and the scripts that Node Sphere is shipped with, by the tests that lie beside them.
@Suite struct RealAutomationTests {
    static let repository = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL
    static let files: [String] = ["Tests/RuleLanguageTests/RealRules/automations", "rules/automations"].flatMap { folder in
        let all = (try? FileManager.default.contentsOfDirectory(atPath: repository.appending(path: folder).path)) ?? []
        return all.filter { $0.hasSuffix(".test.yaml") }.map { "\(folder)/\($0)" }.sorted()
    }

    @Test func `there are tests of both`() { #expect(Self.files.count >= 19) }

    @Test(arguments: files) func `the tests of a script pass`(_ file: String) throws {
        do {
            let suite = try RuleTestSuite.load(
                Self.repository.appending(path: file).path, environment: RuleLanguageEnvironment.standard, compile: { _ in nil }
            ).suite
            #expect(!suite.automations.isEmpty)
            var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes)
            runner.makeScripts = Self.scripts(of: suite)
            for test in suite.file.tests {
                for failure in runner.run(test).failures { Issue.record("\(test.name): \(failure.message)") }
            }
        } catch {
            Issue.record("\(error.text)")
        }
    }

    private static func scripts(of suite: RuleTestSuite) -> (ScriptWorld, Instant) -> any ScriptRuntime {
        var settings = AutomationSettings()
        settings.surroundings = suite.file.surroundings
        settings.limits.wallTime = nil
        return { world, start in
            let runtime = AutomationRuntime(settings: settings, world: world)
            for source in suite.automations {
                runtime.load(file: source.name, text: String(decoding: source.bytes, as: UTF8.self), at: start)
            }
            return runtime
        }
    }
}
