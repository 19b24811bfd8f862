import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// `Mistakes/<code>[-variant].test.yaml` and what is said of it; `Golden/` the report, its JSON and its JUnit form. Recorded with `RECORD=1`.
@Suite struct RuleTestGoldenTests {
    static let here = URL(filePath: #filePath).deletingLastPathComponent()
    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: here.appending(path: "Mistakes").path)) ?? []
        return files.filter { $0.hasSuffix(".test.yaml") }.map { String($0.dropLast(10)) }.sorted()
    }()

    private func check(_ text: String, against file: URL) throws {
        if ProcessInfo.processInfo.environment["RECORD"] == "1" { try text.write(to: file, atomically: true, encoding: .utf8) }
        #expect(text == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test func `there are mistakes to tell`() { #expect(Self.names.count >= 12) }

    @Test(arguments: names) func `a mistake in a test is told as recorded`(_ name: String) throws {
        let folder = Self.here.appending(path: "Mistakes").path
        let path = "\(folder)/\(name).test.yaml"
        do {
            _ = try RuleTestSuite.load(path, environment: RuleLanguageEnvironment.standard, compile: { _ in nil })
            Issue.record("\(name) has no mistake")
        } catch {
            #expect(
                error.diagnostics.contains { name == $0.code || name.hasPrefix($0.code + "-") }, "\(error.diagnostics.map(\.code))")
            try check(
                error.text.replacingOccurrences(of: folder + "/", with: ""), against: Self.here.appending(path: "Mistakes/\(name).txt"))
        }
    }

    @Test func `the report is as recorded, for people, programs and build servers`() throws {
        let folder = Self.here.appending(path: "Golden").path
        let suite = try RuleTestSuite.load(
            folder + "/report.test.yaml", environment: RuleLanguageEnvironment.standard, compile: { _ in nil }
        ).suite
        var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes, coverage: RuleCoverage())
        let results = suite.file.tests.map { runner.run($0) }
        let report = RuleTestReport(
            files: [
                .init(name: "report.test.yaml", results: results),
                .init(name: "broken.test.yaml", obstacle: "broken.test.yaml:1:1: error: <&> [yaml]\n"),
            ], coverage: runner.coverage)
        func relative(_ text: String) -> String { text.replacingOccurrences(of: folder + "/", with: "") }
        try check(relative(report.text), against: Self.here.appending(path: "Golden/report.txt"))
        try check(relative(report.document.json) + "\n", against: Self.here.appending(path: "Golden/report.json"))
        try check(relative(report.junit), against: Self.here.appending(path: "Golden/report.xml"))
        #expect(report.passed == 1 && report.failed == 4)
    }

    @Test func `the tests of the shipped rules pass`() throws {
        let rules = Self.here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "rules")
        try expectPassing(rules, atLeast: 3)
    }

    @Test func `tests give InfluxDB's answers as rows`() throws { try expectPassing(Self.here.appending(path: "Influx"), atLeast: 1) }

    private func expectPassing(_ rules: URL, atLeast count: Int) throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: rules.path).filter(RuleTestFile.isTestFile).sorted()
        #expect(files.count >= count)
        for file in files {
            let suite = try RuleTestSuite.load(
                rules.appending(path: file).path, environment: RuleLanguageEnvironment.standard, compile: { _ in nil }
            ).suite
            var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes)
            for test in suite.file.tests {
                let result = runner.run(test)
                #expect(result.passed, "\(file): \(test.name)\n\(result.failures.map(\.message).joined())")
            }
        }
    }
}
