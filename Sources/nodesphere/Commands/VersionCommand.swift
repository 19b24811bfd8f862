import ArgumentParser

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")
    @Flag(help: "As JSON.") var json = false

    func run() throws { Output.result(json ? "{\"version\":\"\(Version.text)\"}" : "nodesphere \(Version.text)") }
}
