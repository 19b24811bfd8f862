import ArgumentParser
import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run tests of rules in virtual time, and of plugins.",
        discussion:
            "PATHs are test files and folders with *.test.yaml in them. Without any: the folder of rules that the configuration names.")

    @Argument(help: "Files and folders.") var paths: [String] = []
    @Flag(help: "Results as JSON.") var json = false
    @Option(help: "Write results in JUnit's form to this file.") var junit: String?
    @Flag(help: "Show which branches of which rules the tests reach.") var coverage = false
    @Option(help: "Only tests with this in their name.") var filter: String?
    @Flag(help: "Run again whenever one of the files changes, until interrupted.") var watch = false
    @Option(help: "The configuration file.") var config: String?

    func run() async throws {
        while true {
            let files = try testFiles()
            let plugins = files.allSatisfy(PluginTestSuite.isOfPlugin) ? .none : try InstalledPlugins.forCommand(config)
            let watched = watch ? WatchedFiles(files, plugins: plugins.set) : nil
            let (report, used) = try await run(files, plugins)
            guard let watched else {
                if report.failed > 0 { throw Ending(1) }
                return
            }
            // What only this run has read may have changed since.
            if used.isSubset(of: watched.names) { watched.waitForChange { (try? testFiles()) ?? [] } }
        }
    }

    /// The results, and the files that have been read.
    private func run(_ files: [String], _ plugins: InstalledPlugins) async throws -> (RuleTestReport, files: Set<String>) {
        var report = RuleTestReport(files: [], coverage: coverage ? RuleCoverage() : nil)
        var used = Set(files)
        let clock = ContinuousClock.now
        var examined: Set<String> = []
        for path in files {
            if PluginTestSuite.isOfPlugin(path) {
                used.formUnion(PluginTestSuite.files(of: path))
                report.files += try await runPlugin(path, isFirst: examined.insert(PluginTestSuite.folder(of: path)).inserted)
                continue
            }
            do {
                let (suite, sources) = try RuleTestSuite.load(
                    path, environment: RuleLanguageEnvironment.standard, compile: CELRegex.compiler, plugins: plugins.set)
                used.formUnion(sources.map(\.name))
                var runner = RuleTestRunner(plan: suite.plan, routes: suite.routes, coverage: report.coverage)
                runner.makeScripts = Self.scripts(of: suite)
                runner.makeActions = { (name) throws(PluginFailure) in try plugins.set.rehearsal(of: name) }
                let wanted = suite.file.tests.filter { test in filter.map { test.name.contains($0) } ?? true }
                if !wanted.isEmpty || filter == nil { report.files.append(.init(name: path, results: wanted.map { runner.run($0) })) }
                report.coverage = runner.coverage
            } catch {
                used.formUnion(error.files)
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

    /// The tests of one file, and with a plugin's first file the examples of its functions.
    private func runPlugin(_ path: String, isFirst: Bool) async throws -> [RuleTestReport.File] {
        do {
            let folder = PluginTestSuite.folder(of: path)
            let granted = try nativePluginsGranted()
            let suite = try PluginTestSuite(folder: folder) { granted.contains($0) }
            if suite.manifest.code != .lua, !granted.contains(suite.manifest.name) {
                Output.talk("\(path): left out: the configuration does not grant 'native' to '\(suite.manifest.name)'")
                return []
            }
            var files: [RuleTestReport.File] = []
            let groups = (isFirst ? [("\(folder)/\(PluginFolder.manifestName)", suite.examples)] : []) + [(path, try suite.tests(in: path))]
            for (name, tests) in groups {
                var results: [RuleTestResult] = []
                for test in tests where filter.map({ test.name.contains($0) }) ?? true { results.append(await suite.runner.run(test)) }
                if !results.isEmpty { files.append(.init(name: name, results: results)) }
            }
            return files
        } catch let obstacle as PluginTestSuite.Obstacle {
            if !json { Output.talk(obstacle.text) }
            return [.init(name: path, obstacle: obstacle.text)]
        }
    }

    private func nativePluginsGranted() throws -> Set<String> {
        let configuration = try ConfigurationOptions.load(config, flags: [])
        guard let file = configuration.file, let bytes = FileManager.default.contents(atPath: file) else { return [] }
        let (catalog, _) = PluginFolder(configuration.text("plugins.path")).catalog(environment: RuleLanguageEnvironment.standard)
        let said = PluginConfigurationReader(catalog: catalog, environment: RuleLanguageEnvironment.standard)
            .read(name: file, bytes: Array(bytes)).configuration
        return Set(said.grants.filter(\.value.isNative).keys)
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
                found += RuleTestFiles.inFolder(path)
            } else {
                found.append(path)
            }
        }
        var seen = Set<String>()
        return found.filter { seen.insert($0).inserted }
    }
}
