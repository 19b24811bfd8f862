import ArgumentParser
import Foundation
import Logging

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Run the server.")

    @Option(help: "The configuration file; otherwise nodesphere.yaml in the working directory when it is there.") var config: String?
    @Option(help: "The folder with rules.") var rules: String?
    @Option(help: "The folder for data.") var data: String?
    @Option(help: "HOST:PORT of the HTTP interface.") var http: String?
    @Option(help: "URL of the MQTT broker.") var mqtt: String?

    @Flag(help: "Go on with what is whole of a damaged journal, and say what was lost.") var repair = false

    func run() async throws {
        let configuration = try ConfigurationOptions.load(
            config,
            flags: [
                ("rules.path", "--rules", rules), ("data.path", "--data", data), ("http.listen", "--http", http),
                ("mqtt.url", "--mqtt", mqtt),
            ])
        let isJSON = configuration.text("log.format") == "json"
        LoggingSystem.bootstrap { label in OperatorLog(label: label, isJSON: isJSON) }
        var logger = Logger(label: "nodesphere")
        logger.logLevel = Logger.Level(rawValue: configuration.text("log.level")) ?? .info
        signal(SIGPIPE, SIG_IGN)
        do {
            try await Server(configuration: configuration, logger: logger, isRepairing: repair).run()
        } catch let failure as StartFailure {
            Output.talk("error: \(failure.description)")
            throw Ending(failure.status)
        } catch {
            Output.talk("error: \(error)")
            throw Ending(1)
        }
    }
}
