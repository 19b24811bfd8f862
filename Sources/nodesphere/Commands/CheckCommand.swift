import ArgumentParser
import Foundation
import Logging
import LuaScripting
import RuleEngine
import RuleLanguage

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check rules, their tests, notifications and plugins: every mistake, with its place.",
        discussion:
            "PATHs are rule files, test files (*.test.yaml), folders of them, notification files (recognised by 'route:'), plugins or folders of them (recognised by plugin.yaml). Without any: what the configuration names. Tests are read, not run."
    )

    @Argument(help: "Files and folders.") var paths: [String] = []
    @Flag(help: "Diagnostics as one JSON array.") var json = false
    @Option(help: "The configuration file.") var config: String?

    func run() throws {
        var rules: [RuleLoader.Source] = []
        var notifications: [RuleLoader.Source] = []
        var diagnostics: [Diagnostic] = []
        var configuration = try ConfigurationOptions.load(config, flags: [])
        // Without a file nobody has said what the server is like.
        if configuration.file == nil { configuration.surroundings.recorded.isKnown = false }
        // Rules may use what the configured plugins provide; those are told of when they are among the paths, or when all is looked at.
        let installed = InstalledPlugins.load(
            configuration, http: NoNetwork(), publisher: nil, logger: Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() })
        var plugins = PluginCheck()
        var automations: [(file: String, text: String)] = []
        // Which automations there are beside a file alone, nobody has said.
        var looksAtFolders = false
        var tests = RuleTestCheck()
        if paths.isEmpty { plugins.add(installed) }
        for path in wanted(configuration) {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                Output.talk("error: '\(path)' is not there")
                throw Ending(2)
            }
            if isFolder.boolValue, PluginFolder(path).holdsPlugins {
                plugins.add(folder: path, configuration)
            } else if isFolder.boolValue {
                let (sources, found) = RuleFolder(path).read()
                rules += sources
                diagnostics += found
                automations += AutomationFiles.read(rulesPath: path)
                looksAtFolders = true
                for file in RuleTestFiles.inFolder(path) where !PluginTestSuite.isOfPlugin(file) { tests.add(file, plugins: installed.set) }
            } else if RuleTestFile.isTestFile(String(path.split(separator: "/").last ?? "")), !PluginTestSuite.isOfPlugin(path) {
                tests.add(path, plugins: installed.set)
            } else {
                let (source, found) = RuleFolder.readFile(path)
                diagnostics += found
                if let source { if Self.isNotificationFile(source) { notifications.append(source) } else { rules.append(source) } }
            }
        }
        let (_, readable, found) = RuleReader.plan(
            files: rules, storeGroups: [], surroundings: configuration.surroundings, plugins: installed)
        diagnostics += found
        if looksAtFolders { diagnostics += Self.check(automations, readable, configuration) }
        for file in notifications { diagnostics += installed.notificationReader.read(file).diagnostics }
        diagnostics += plugins.diagnostics + tests.diagnostics(besides: (rules + notifications).map(\.name))
        let scripts = automations.map { RuleLoader.Source(name: $0.file, bytes: Array($0.text.utf8)) }
        report(diagnostics.inOrder, rules, notifications, plugins, scripts, tests)
        if diagnostics.hasErrors { throw Ending(1) }
    }

    /// What is wrong with automations, and what rules want of them in vain, whatever else is wrong with the rules.
    private static func check(
        _ automations: [(file: String, text: String)], _ rules: RuleCatalog, _ configuration: ServerConfiguration
    ) -> [Diagnostic] {
        let settings = configuration.automationSettings
        let (offers, _, faults) = AutomationRuntime.examine(automations, settings: settings)
        return faults.map { fault in
            Diagnostic(code: "automation", fault.message, at: SourceLocation(file: fault.file, line: max(1, fault.line), column: 1))
        } + rules.unknownScripts(among: offers, severity: .error)
    }

    private func wanted(_ configuration: ServerConfiguration) -> [String] {
        guard paths.isEmpty else { return paths }
        let file = configuration.text("notifications.file")
        return [configuration.text("rules.path")] + (FileManager.default.fileExists(atPath: file) ? [file] : [])
    }

    /// A file whose top has `route:` or `receivers:`.
    static func isNotificationFile(_ source: RuleLoader.Source) -> Bool {
        let lines = String(decoding: source.bytes, as: UTF8.self).split(separator: "\n")
        return lines.contains { $0.hasPrefix("route:") || $0.hasPrefix("receivers:") } && !lines.contains { $0.hasPrefix("groups:") }
    }

    private func report(
        _ diagnostics: [Diagnostic], _ rules: [RuleLoader.Source], _ notifications: [RuleLoader.Source], _ plugins: PluginCheck,
        _ automations: [RuleLoader.Source], _ tests: RuleTestCheck
    ) {
        if json {
            Output.result(Document.array(diagnostics.map(\.document)).json)
            return
        }
        let renderer = DiagnosticRenderer(sources: rules + notifications + plugins.sources + automations + tests.sources)
        for diagnostic in diagnostics { Output.talk(renderer.render(diagnostic)) }
        let files =
            "\(rules.count) rule \(rules.count == 1 ? "file" : "files")"
            + (notifications.isEmpty ? "" : " and \(notifications.count) for notifications")
            + (automations.isEmpty ? "" : " and \(automations.count) \(automations.count == 1 ? "automation" : "automations")")
            + (tests.count == 0 ? "" : " and \(tests.count) \(tests.count == 1 ? "test file" : "test files")")
            + (plugins.count == 0 ? "" : " and \(plugins.count) \(plugins.count == 1 ? "plugin" : "plugins")")
        Output.result("checked \(files): \(diagnostics.tally)")
    }
}
