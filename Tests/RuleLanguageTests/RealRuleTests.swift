import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// `RealRules/`: rules of real deployments with their tests, and `docs/expressiveness.md`, which says of each what became of it. Those that are
/// scripts, in `RealRules/automations`, are run by the tests of the scripts.
@Suite struct RealRuleTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "RealRules")
    static let page = folder.appending(path: "../../../docs/expressiveness.md").standardizedFileURL
    static let files: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return all.filter { $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml") }.map { String($0.dropLast(5)) }.sorted()
    }()

    static let scripts: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/automations")) ?? []
        return all.filter { $0.hasSuffix(".lua") }.map { "automations/" + $0.dropLast(4) }.sorted()
    }()

    /// A line of the page's table.
    struct Row {
        var rule: String
        var capabilities: [String]
        /// `thresholds`, `automations/doorbell`.
        var file: String?
        var alerts: [String]
        var text: String
    }

    static func rows() throws -> [Row] {
        try String(contentsOf: page, encoding: .utf8).matches(of: /\| (R\d{3}) \| ([C0-9 ]+) \| (.+) \|/).map { match in
            let text = String(match.3)
            let file = text.firstMatch(of: /^\[([a-z\/-]+)\.(yaml|lua)\]\(/).map { String($0.1) }
            let named = file == nil ? "" : text.split(separator: ") ", maxSplits: 1).last?.prefix { $0 != ":" } ?? ""
            return Row(
                rule: String(match.1), capabilities: match.2.split(separator: " ").map(String.init), file: file,
                alerts: named.matches(of: /`(\w+)`/).map { String($0.1) }, text: text)
        }
    }

    /// The alerts of a file, with the numbers behind them.
    static func alerts(in file: String) throws -> [(alert: String, rules: [String])] {
        try String(contentsOf: folder.appending(path: file + ".yaml"), encoding: .utf8)
            .matches(of: /- alert: (\w+)( *# (.*))?/).map { match in
                (String(match.1), (match.3 ?? "").matches(of: /R\d{3}/).map { String($0.0) })
            }
    }

    @Test(arguments: files) func `the tests of a file pass, and reach every branch of its rules`(_ file: String) throws {
        let path = Self.folder.appending(path: file + ".test.yaml").path
        do {
            let suite = try RuleTestSuite.load(path, environment: RuleLanguageEnvironment.standard, compile: { _ in nil }).suite
            var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes, coverage: RuleCoverage())
            for test in suite.file.tests {
                for failure in runner.run(test).failures { Issue.record("\(test.name): \(failure.message)") }
            }
            for entry in runner.coverage?.entries ?? [] where !entry.missed.isEmpty {
                Issue.record("\(entry.rule.alert): not reached: \(entry.missed.joined(separator: ", "))")
            }
        } catch {
            Issue.record("\(error.text)")
        }
    }

    @Test func `the page has each rule of the sources once`() throws {
        let sources = try String(contentsOf: Self.folder.appending(path: "README.md"), encoding: .utf8)
            .split(separator: "\n").filter { $0.hasPrefix("|") }.flatMap { $0.matches(of: /R\d{3}/).map { String($0.0) } }
        #expect(sources.count == 184)
        #expect(Set(sources).count == 184)
        #expect(try Self.rows().map(\.rule).sorted() == sources.sorted())
    }

    @Test func `what has no rule says why`() throws {
        for row in try Self.rows() where row.file == nil {
            #expect(["not sayable: ", "waits for "].contains { row.text.hasPrefix($0) }, "\(row.rule)")
        }
    }

    @Test func `every alert that the page names is there, tested under its number, and every alert that is there is named`() throws {
        let rows = try Self.rows()
        for file in Self.files {
            let alerts = try Self.alerts(in: file)
            let tests = try String(contentsOf: Self.folder.appending(path: file + ".test.yaml"), encoding: .utf8)
            let names = tests.matches(of: /- name: "([^"]*)"/).map { String($0.1) }
            for (alert, rules) in alerts {
                #expect(!rules.isEmpty, "\(file): \(alert) has no number behind it")
                #expect(tests.contains("alert: \(alert)"), "\(file): no test expects \(alert)")
                for rule in rules {
                    let row = rows.first { $0.rule == rule }
                    #expect(row?.file == file && row?.alerts.contains(alert) == true, "\(rule): the page does not name \(file), \(alert)")
                    #expect(names.contains { $0.prefix { $0 != ":" }.contains(rule) }, "\(file): no test is named after \(rule)")
                }
            }
            for row in rows where row.file == file {
                #expect(!row.alerts.isEmpty, "\(row.rule)")
                for alert in row.alerts {
                    #expect(alerts.contains { $0.alert == alert && $0.rules.contains(row.rule) }, "\(row.rule): no \(alert) in \(file)")
                }
            }
        }
        #expect(Set(rows.compactMap(\.file)).isSubset(of: Self.files + Self.scripts))
    }

    @Test(arguments: scripts) func `a script begins with its number, which its tests and the page have too`(_ script: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: script + ".lua"), encoding: .utf8)
        let rule = try #require(text.firstMatch(of: /^-- (R\d{3}):/)).1
        let tests = try String(contentsOf: Self.folder.appending(path: script + ".test.yaml"), encoding: .utf8)
        let names = tests.matches(of: /- name: "([^"]*)"/).map { $0.1 }
        #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("\(rule): ") })
        #expect(try Self.rows().filter { $0.file == script }.map(\.rule) == [String(rule)])
    }

    @Test func `each of the thirty capabilities has a rule`() throws {
        let reached = Set(try Self.rows().filter { $0.file != nil }.flatMap(\.capabilities))
        for number in 1...30 {
            let capability = number < 10 ? "C0\(number)" : "C\(number)"
            #expect(reached.contains(capability), "\(capability)")
        }
    }
}
