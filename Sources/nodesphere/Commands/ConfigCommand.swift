import ArgumentParser
import Foundation
import RuleEngine

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Look at the configuration.", subcommands: [Print.self])

    struct Print: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "print", abstract: "Print the effective configuration and where each value comes from; secrets are hidden.")
        @Option(help: "The configuration file.") var config: String?
        @Flag(help: "As JSON.") var json = false

        func run() throws {
            let configuration = try ConfigurationOptions.load(config, flags: [])
            let shown = (ConfigurationKey.all + configuration.familyKeys).compactMap {
                key -> (key: String, value: String, origin: String)? in
                guard let entry = configuration.entries[key.name], !key.isLater || entry.origin != .builtIn else { return nil }
                return (key.name, key.isSecret ? "(hidden)" : entry.value, entry.origin.description)
            }
            if json {
                Output.result(
                    Document.object(shown.map { .init($0.key, ["value": .string($0.value), "origin": .string($0.origin)]) }).json)
                return
            }
            let wide = shown.map(\.key.count).max() ?? 0, wideValue = min(48, shown.map(\.value.count).max() ?? 0)
            for line in shown {
                Output.result(
                    line.key.padding(toLength: wide + 2, withPad: " ", startingAt: 0)
                        + line.value + String(repeating: " ", count: max(0, wideValue - line.value.count)) + "  # \(line.origin)")
            }
            for warning in configuration.warnings { Output.talk("warning: \(warning)") }
        }
    }
}

enum ConfigurationOptions {
    /// The configuration, or the end of the command with what is wrong.
    static func load(_ file: String?, flags: [(key: String, flag: String, value: String?)]) throws -> ServerConfiguration {
        do {
            return try ServerConfiguration(file: file, environment: ProcessInfo.processInfo.environment, flags: flags)
        } catch {
            Output.talk(error.text)
            throw Ending(2)
        }
    }
}
