import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// Writes rules and a test into a folder of their own and runs them.
func runRuleTest(rules: String, test: String, coverage: Bool = false) throws -> RuleTestReport {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rule-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try rules.write(to: folder.appending(path: "r.yaml"), atomically: true, encoding: .utf8)
    let path = folder.appending(path: "r.test.yaml").path
    try test.write(toFile: path, atomically: true, encoding: .utf8)
    do {
        let suite = try RuleTestSuite.load(path, environment: RuleLanguageEnvironment.standard, compile: { _ in nil }).suite
        var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes, coverage: coverage ? RuleCoverage() : nil)
        let results = suite.file.tests.map { runner.run($0) }
        return RuleTestReport(files: [.init(name: "r.test.yaml", results: results)], coverage: runner.coverage)
    } catch {
        return RuleTestReport(files: [
            .init(name: "r.test.yaml", obstacle: error.text.replacingOccurrences(of: folder.path + "/", with: ""))
        ])
    }
}

/// The failures of a report without the folder they were in.
func failures(of report: RuleTestReport) -> [String] {
    report.files.flatMap { $0.results.flatMap { result in result.failures.map(\.message) } + ($0.obstacle.map { [$0] } ?? []) }
}
