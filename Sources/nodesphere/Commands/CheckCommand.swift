import ArgumentParser
import Foundation
import RuleEngine
import RuleLanguage

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check rules and notifications: every mistake, with its place.",
        discussion:
            "PATHs are rule files, folders of them, or notification files (recognised by 'route:'). Without any: what the configuration names."
    )

    @Argument(help: "Files and folders.") var paths: [String] = []
    @Flag(help: "Diagnostics as one JSON array.") var json = false
    @Option(help: "The configuration file.") var config: String?

    func run() throws {
        var rules: [RuleLoader.Source] = []
        var notifications: [RuleLoader.Source] = []
        var diagnostics: [Diagnostic] = []
        for path in try wanted() {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                Output.talk("error: '\(path)' is not there")
                throw Ending(2)
            }
            if isFolder.boolValue {
                let (sources, found) = RuleFolder(path).read()
                rules += sources
                diagnostics += found
            } else {
                let (source, found) = RuleFolder.readFile(path)
                diagnostics += found
                if let source { if Self.isNotificationFile(source) { notifications.append(source) } else { rules.append(source) } }
            }
        }
        diagnostics +=
            RuleReader.plan(files: rules, storeGroups: [], surroundings: try ConfigurationOptions.load(config, flags: []).surroundings).1
        for file in notifications {
            diagnostics +=
                NotificationFileReader(environment: RuleLanguageEnvironment.standard, compile: CELRegex.compiler).read(file).diagnostics
        }
        report(diagnostics.inOrder, rules, notifications)
        if diagnostics.hasErrors { throw Ending(1) }
    }

    private func wanted() throws -> [String] {
        guard paths.isEmpty else { return paths }
        let configuration = try ConfigurationOptions.load(config, flags: [])
        let file = configuration.text("notifications.file")
        return [configuration.text("rules.path")] + (FileManager.default.fileExists(atPath: file) ? [file] : [])
    }

    /// A file whose top has `route:` or `receivers:`.
    static func isNotificationFile(_ source: RuleLoader.Source) -> Bool {
        let lines = String(decoding: source.bytes, as: UTF8.self).split(separator: "\n")
        return lines.contains { $0.hasPrefix("route:") || $0.hasPrefix("receivers:") } && !lines.contains { $0.hasPrefix("groups:") }
    }

    private func report(_ diagnostics: [Diagnostic], _ rules: [RuleLoader.Source], _ notifications: [RuleLoader.Source]) {
        if json {
            Output.result(Document.array(diagnostics.map(\.document)).json)
            return
        }
        let renderer = DiagnosticRenderer(sources: rules + notifications)
        for diagnostic in diagnostics { Output.talk(renderer.render(diagnostic)) }
        let errors = diagnostics.count { $0.severity == .error }, warnings = diagnostics.count - errors
        let files =
            "\(rules.count) rule \(rules.count == 1 ? "file" : "files")"
            + (notifications.isEmpty ? "" : " and \(notifications.count) for notifications")
        let found =
            errors + warnings == 0
            ? "nothing to complain of"
            : "\(errors) \(errors == 1 ? "error" : "errors"), \(warnings) \(warnings == 1 ? "warning" : "warnings")"
        Output.result("checked \(files): \(found)")
    }
}
