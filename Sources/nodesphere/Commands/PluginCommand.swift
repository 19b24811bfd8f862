import ArgumentParser
import Foundation
import Logging
import RuleEngine
import RuleLanguage

struct PluginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugin", abstract: "Look at plugins, check them, begin a new one.", subcommands: [List.self, Check.self, New.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the installed plugins and what they provide.")
        @Option(help: "The configuration file.") var config: String?
        @Flag(help: "As JSON.") var json = false

        func run() throws {
            let configuration = try ConfigurationOptions.load(config, flags: [])
            let plugins = InstalledPlugins.load(
                configuration, http: NoNetwork(), publisher: nil, logger: Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() })
            let (catalog, _) = PluginFolder(configuration.text("plugins.path")).catalog(environment: RuleLanguageEnvironment.standard)
            if json {
                Output.result(Document.array(catalog.manifests.map { document($0, plugins) }).json)
            } else {
                table(catalog.manifests, plugins)
            }
            if plugins.diagnostics.hasErrors {
                Output.talk(plugins.text)
                throw Ending(1)
            }
        }

        private func state(_ manifest: PluginManifest, _ plugins: InstalledPlugins) -> String {
            if plugins.notGranted.contains(manifest.name) { return "not granted" }
            return plugins.set.catalog.manifest(manifest.name) == nil ? "broken" : "loaded"
        }

        private func document(_ manifest: PluginManifest, _ plugins: InstalledPlugins) -> Document {
            let provides = PluginManifest.Provision.Kind.allCases.map { kind -> Document.Member in
                .init("\(kind.rawValue)s", .array(manifest.provisions(kind).map { .string($0.name) }))
            }
            return [
                "name": .string(manifest.name), "version": .string(manifest.version), "description": .string(manifest.description),
                "folder": .string(manifest.folder), "state": .string(state(manifest, plugins)), "provides": .object(provides),
                "permissions": [
                    "http": .array(manifest.permissions.hosts.map { .string($0.description) }),
                    "mqtt.publish": .array(manifest.permissions.topics.map { .string($0.subscription) }),
                    "native": .bool(manifest.permissions.isNative),
                ],
            ]
        }

        private func table(_ manifests: [PluginManifest], _ plugins: InstalledPlugins) {
            var rows = [["NAME", "VERSION", "STATE", "PROVIDES", "DESCRIPTION"]]
            for manifest in manifests {
                let provides = PluginManifest.Provision.Kind.allCases.compactMap { kind -> String? in
                    let names = manifest.provisions(kind).map(\.name)
                    guard !names.isEmpty else { return nil }
                    return "\(kind.rawValue) \(names.count > 3 ? "\(names[0]) and \(names.count - 1) more" : names.joined(separator: ", "))"
                }
                rows.append(
                    [
                        manifest.name, manifest.version, state(manifest, plugins), provides.joined(separator: "; "), manifest.description,
                    ])
            }
            let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
            for row in rows {
                let cells = zip(row, widths).dropLast().map { $0.padding(toLength: $1 + 2, withPad: " ", startingAt: 0) }
                Output.result(cells.joined() + row[row.count - 1])
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Check plugins: manifests, code, settings and the form of their tests.")
        @Argument(help: "Plugins or folders of them; default: plugins.path.") var paths: [String] = []
        @Option(help: "The configuration file.") var config: String?
        @Flag(help: "Diagnostics as one JSON array.") var json = false

        func run() throws {
            let configuration = try ConfigurationOptions.load(config, flags: [])
            var check = PluginCheck()
            for path in paths.isEmpty ? [configuration.text("plugins.path")] : paths {
                guard PluginFolder(path).holdsPlugins else {
                    Output.talk("error: there are no plugins in '\(path)'")
                    throw Ending(2)
                }
                check.add(folder: path, configuration)
            }
            let diagnostics = check.diagnostics.inOrder
            if json {
                Output.result(Document.array(diagnostics.map(\.document)).json)
            } else {
                let renderer = DiagnosticRenderer(sources: check.sources)
                for diagnostic in diagnostics { Output.talk(renderer.render(diagnostic)) }
                Output.result("checked \(check.count) \(check.count == 1 ? "plugin" : "plugins"): \(diagnostics.tally)")
            }
            if diagnostics.hasErrors { throw Ending(1) }
        }
    }

    struct New: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "new", abstract: "Begin a plugin: a folder with a manifest, code and a test that passes.")
        @Argument(help: "decoder, function, channel or action.") var kind: String
        @Argument(help: "Its name: lower-case letters, digits and '-'.") var name: String
        @Option(help: "The configuration file.") var config: String?

        func run() throws {
            guard let kind = PluginManifest.Provision.Kind(rawValue: kind) else {
                Output.talk("error: a plugin is a decoder, function, channel or action, not '\(self.kind)'")
                throw Ending(2)
            }
            guard let draft = PluginDraft(kind, name) else {
                Output.talk("error: a plugin's name must be lower-case letters, digits and '-', a letter first, not '\(name)'")
                throw Ending(2)
            }
            let folder = try ConfigurationOptions.load(config, flags: []).text("plugins.path") + "/" + name
            guard !FileManager.default.fileExists(atPath: folder) else {
                Output.talk("error: '\(folder)' is there already")
                throw Ending(1)
            }
            do {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for file in draft.files {
                    try Data(file.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(file.name)"))
                    Output.result("\(folder)/\(file.name)")
                }
            } catch {
                Output.talk("error: '\(folder)' cannot be written: \(error.localizedDescription)")
                throw Ending(1)
            }
            Output.talk("try it: nodesphere test \(folder)")
        }
    }
}
