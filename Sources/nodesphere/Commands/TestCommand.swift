import ArgumentParser
import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage

struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run tests of rules in virtual time.",
        discussion:
            "PATHs are test files and folders with *.test.yaml in them. Without any: the folder of rules that the configuration names.")

    @Argument(help: "Files and folders.") var paths: [String] = []
    @Flag(help: "Results as JSON.") var json = false
    @Option(help: "Write results in JUnit's form to this file.") var junit: String?
    @Flag(help: "Show which branches of which rules the tests reach.") var coverage = false
    @Option(help: "Only tests with this in their name.") var filter: String?
    @Flag(help: "Run again whenever one of the files changes, until interrupted.") var watch = false
    @Option(help: "The configuration file.") var config: String?

    func run() throws {
        while true {
            let (report, used) = try runOnce()
            guard watch else {
                if report.failed > 0 { throw Ending(1) }
                return
            }
            wait(whileUnchanged: used)
        }
    }

    private func runOnce() throws -> (RuleTestReport, files: Set<String>) {
        let files = try testFiles()
        var report = RuleTestReport(files: [], coverage: coverage ? RuleCoverage() : nil)
        var used = Set(files)
        let clock = ContinuousClock.now
        for path in files {
            do {
                let (suite, sources) = try RuleTestSuite.load(
                    path, environment: RuleLanguageEnvironment.standard, compile: CELRegex.compiler)
                used.formUnion(sources.map(\.name))
                var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes, coverage: report.coverage)
                runner.makeScripts = Self.scripts(of: suite)
                let wanted = suite.file.tests.filter { test in filter.map { test.name.contains($0) } ?? true }
                if !wanted.isEmpty || filter == nil { report.files.append(.init(name: path, results: wanted.map { runner.run($0) })) }
                report.coverage = runner.coverage
            } catch {
                used.formUnion(error.sources.map(\.name))
                let text = error.text
                if !json { Output.talk(text) }
                report.files.append(.init(name: path, obstacle: text))
            }
        }
        guard report.passed + report.failed > 0 || watch else {
            Output.talk("error: \(filter.map { "no test has '\($0)' in its name" } ?? "there are no tests: no file ends with .test.yaml")")
            throw Ending(2)
        }
        try show(report, took: ContinuousClock.now - clock)
        return (report, used)
    }

    /// Makes the scripts of a test anew; nil when it names none.
    private static func scripts(of suite: RuleTestSuite) -> ((ScriptWorld, Instant) -> any ScriptRuntime)? {
        guard !suite.automations.isEmpty else { return nil }
        var settings = AutomationSettings()
        settings.surroundings = suite.file.surroundings
        // Nothing may depend on how fast the machine is.
        settings.limits.wallTime = nil
        return { world, start in
            let runtime = AutomationRuntime(settings: settings, world: world)
            for source in suite.automations {
                runtime.load(file: source.name, text: String(decoding: source.bytes, as: UTF8.self), at: start)
            }
            return runtime
        }
    }

    private func show(_ report: RuleTestReport, took: Duration) throws {
        Output.result(json ? report.document.json : report.text)
        if !json {
            Output.talk(
                "\(report.readings) readings in \(took.formatted(.units(allowed: [.seconds, .milliseconds], fractionalPart: .hide)))")
        }
        guard let junit else { return }
        do {
            try Data(report.junit.utf8).write(to: URL(fileURLWithPath: junit))
        } catch {
            Output.talk("error: '\(junit)' cannot be written: \(error.localizedDescription)")
            throw Ending(2)
        }
    }

    /// In the order of their paths, each once.
    private func testFiles() throws -> [String] {
        let wanted = paths.isEmpty ? [try ConfigurationOptions.load(config, flags: []).text("rules.path")] : paths
        var found: [String] = []
        for path in wanted {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                Output.talk("error: '\(path)' is not there")
                throw Ending(2)
            }
            if isFolder.boolValue {
                let inside = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
                found += inside.filter { RuleTestFile.isTestFile(String($0.split(separator: "/").last ?? "")) }.sorted().map {
                    path.hasSuffix("/") ? path + $0 : "\(path)/\($0)"
                }
            } else {
                found.append(path)
            }
        }
        var seen = Set<String>()
        return found.filter { seen.insert($0).inserted }
    }

    private struct Stamp: Equatable {
        var modifiedAt: Date?
        var size: Int?
    }

    private static func stamps(_ files: some Sequence<String>) -> [String: Stamp] {
        var stamps: [String: Stamp] = [:]
        for file in files {
            let attributes = try? FileManager.default.attributesOfItem(atPath: file)
            stamps[file] = Stamp(modifiedAt: attributes?[.modificationDate] as? Date, size: (attributes?[.size] as? NSNumber)?.intValue)
        }
        return stamps
    }

    private func wait(whileUnchanged files: Set<String>) {
        let before = Self.stamps(files)
        while Self.stamps(files) == before, Set((try? testFiles()) ?? []).isSubset(of: files) { Thread.sleep(forTimeInterval: 0.3) }
    }
}
