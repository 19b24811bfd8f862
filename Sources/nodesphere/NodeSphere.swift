import ArgumentParser

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
            var command = try parseAsRoot()
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
                let text = fullMessage(for: error)
                if code == .success { Output.result(text) } else { Output.talk(text) }
                Ending(code == .success ? 0 : 2).exit()
            }
            Output.talk("error: \(message(for: error))")
            Ending(1).exit()
        }
    }
}
