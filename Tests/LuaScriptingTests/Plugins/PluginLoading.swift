import CEL
import Foundation
import Logging
import LuaScripting
import RuleEngine
import RuleLanguage
import Testing

/// Plugins for tests: the shipped ones, and ones that are written into a temporary folder.
enum PluginLoading {
    static let shipped = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../plugins").standardized.path

    static func services(http: any HTTPRequesting = Nowhere(), publisher: (any MessagePublisher)? = nil) -> LuaPlugin.Services {
        LuaPlugin.Services(
            http: http, publisher: publisher, rendering: ConstantTextRendering(),
            secret: { if case .text(let text) = $0 { text } else { nil } },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The shipped plugin of a name; `hosts` are asked for and granted beside what its manifest says.
    static func load(
        _ name: String, settings: PluginValues? = nil, hosts: [String] = [], granted: PluginPermissions? = nil,
        http: any HTTPRequesting = Nowhere()
    ) throws -> LuaPlugin {
        let contents = PluginFolder("\(shipped)/\(name)").read(environment: RuleLanguageEnvironment.standard)
        var manifest = try #require(contents.manifests.first)
        manifest.permissions.hosts += hosts.compactMap(HostPattern.init)
        return try LuaPlugin(
            manifest, settings: settings ?? .defaults(of: manifest.settings), granted: granted ?? manifest.permissions,
            services: services(http: http))
    }

    /// A plugin of this text, in a folder that is gone when `body` returns.
    static func with<Result>(
        provides: String = "{decoders: [sample]}", more: String = "", code: String, http: any HTTPRequesting = Nowhere(),
        publisher: (any MessagePublisher)? = nil, _ body: (LuaPlugin) async throws -> Result
    ) async throws -> Result {
        let parent = FileManager.default.temporaryDirectory.appending(path: "plugin-\(UUID().uuidString)")
        let folder = parent.appending(path: "sample")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let yaml = "name: sample\nversion: 1.0.0\ndescription: x\nprovides: \(provides)\n\(more)"
        try yaml.write(to: folder.appending(path: "plugin.yaml"), atomically: true, encoding: .utf8)
        try code.write(to: folder.appending(path: "init.lua"), atomically: true, encoding: .utf8)
        let contents = PluginFolder(folder.path).read(environment: RuleLanguageEnvironment.standard)
        #expect(contents.diagnostics == [])
        let manifest = try #require(contents.manifests.first)
        let plugin = try LuaPlugin(
            manifest, settings: .defaults(of: manifest.settings), granted: manifest.permissions,
            services: services(http: http, publisher: publisher))
        return try await body(plugin)
    }

    /// What is said of a plugin that cannot be loaded: line and message.
    static func failure(provides: String = "{decoders: [sample]}", more: String = "", code: String) async throws -> String {
        do {
            return try await with(provides: provides, more: more, code: code) { _ in "loaded" }
        } catch let failure as PluginFailure { return "\(failure.location.line): \(failure.message)" }
    }
}

struct Nowhere: HTTPRequesting {
    func send(_ call: HTTPCall) async -> HTTPReply { .refused(reason: "there is no network here") }
}
