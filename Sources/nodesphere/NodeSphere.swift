import ArgumentParser
import RuleEngine

@main
struct NodeSphere: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodesphere", abstract: "Alerting and automation for fleets of MQTT devices.",
        subcommands: [
            ServeCommand.self, CheckCommand.self, EvalCommand.self, DecodeCommand.self, CronCommand.self, TestCommand.self,
            LuaCommand.self, PluginCommand.self, ConfigCommand.self, VersionCommand.self,
        ])

    /// Exit status 2 for a command that was used wrongly, as every command promises.
    static func main() async {
        do {
            var command = try parseAsRoot(EvalCommand.arranged(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let end as Ending {
            end.exit()
        } catch {
            let code = exitCode(for: error)
            if code == .success || code == .validationFailure {
                let text = unknownCommand(CommandLine.arguments) ?? fullMessage(for: error)
                if code == .success { Output.result(text) } else { Output.talk(text) }
                Ending(code == .success ? 0 : 2).exit()
            }
            Output.talk("error: \(message(for: error))")
            Ending(1).exit()
        }
    }

    /// What to say of a command that there is none of; the parser would take it for an argument too many.
    private static func unknownCommand(_ arguments: [String]) -> String? {
        let names = configuration.subcommands.compactMap { $0.configuration.commandName }
        guard let first = arguments.dropFirst().first, !first.hasPrefix("-"), first != "help", !names.contains(first) else { return nil }
        let hint = nearestName(to: first, in: names).map { "; did you mean '\($0)'?" } ?? " (there are \(names.joined(separator: ", ")))"
        return "error: unknown command '\(first)'\(hint)\nSee 'nodesphere --help' for more information."
    }
}
