import CEL
import Foundation
import Logging
import LuaScripting
import NativePlugins
import NotificationChannels
import OutgoingHTTP
import RuleEngine
import RuleLanguage

/// The plugins of `plugins.path`, loaded, and the language with their functions: made once and passed to whoever needs it.
struct InstalledPlugins: Sendable {
    let set: PluginSet
    let environment: Environment
    let settings: [String: PluginValues]
    /// What is wrong with them, and the texts to show it in.
    let diagnostics: [Diagnostic]
    let sources: [RuleLoader.Source]
    /// Native ones that the configuration does not allow: they are there and not loaded.
    let notGranted: [String]
    /// Texts of notifications, the server's own and those for plugins, that have not got a value.
    var failedTexts = FailedTexts()

    static let none = InstalledPlugins(
        set: .empty, environment: RuleLanguageEnvironment.standard, settings: [:], diagnostics: [], sources: [], notGranted: [])

    var rendering: CELNotificationRendering { CELNotificationRendering(environment: environment, failures: failedTexts) }

    var text: String { diagnostics.map(DiagnosticRenderer(sources: sources).render).joined() }

    var notificationReader: NotificationFileReader {
        NotificationFileReader(environment: environment, compile: CELRegex.compiler, plugins: set.catalog, settings: settings)
    }

    /// Makes a channel of a receiver.
    @Sendable func channel(_ configuration: PluginChannelConfiguration) -> any NotificationAttempting {
        do throws(PluginFailure) { return try set.channel(configuration) } catch {
            return MissingChannel(kind: configuration.channel, reason: error.message)
        }
    }

    /// Reads and loads everything. A plugin with a mistake is left out, and the mistake told.
    static func load(
        _ configuration: ServerConfiguration, folder: String? = nil, http: any HTTPRequesting, publisher: (any MessagePublisher)?,
        logger: Logger
    ) -> InstalledPlugins {
        let base = RuleLanguageEnvironment.standard
        let (all, contents) = PluginFolder(folder ?? configuration.text("plugins.path")).catalog(environment: base)
        var diagnostics = contents.diagnostics
        var sources = contents.sources
        var said = PluginConfiguration()
        if let file = configuration.file, let bytes = FileManager.default.contents(atPath: file) {
            // With a folder of its own it is looked at alone: that the configuration speaks of others is no mistake.
            let read = PluginConfigurationReader(catalog: all, environment: base).read(name: file, bytes: Array(bytes))
            said = read.configuration
            diagnostics += read.diagnostics.filter { folder == nil || $0.code != "unknown-plugin" }
            sources.append(RuleLoader.Source(name: file, bytes: Array(bytes)))
        }
        let failedTexts = FailedTexts()
        let rendering = CELNotificationRendering(environment: base, failures: failedTexts)
        var loaded: [any Plugin] = []
        var notGranted: [String] = []
        let broken = Set(diagnostics.filter { $0.severity == .error }.map(\.location.file))
        for manifest in all.manifests where manifest.code == .lua {
            let (code, _) = RuleFolder.readFile("\(manifest.folder)/init.lua")
            if let code { sources.append(code) }
        }
        for manifest in all.manifests where !broken.contains("\(manifest.folder)/\(PluginFolder.manifestName)") {
            let granted = said.grants[manifest.name] ?? PluginPermissions()
            let settings = said.settings[manifest.name] ?? .defaults(of: manifest.settings)
            if manifest.code != .lua, !granted.isNative {
                notGranted.append(manifest.name)
                continue
            }
            do throws(PluginFailure) {
                loaded.append(
                    try PluginLoading.load(
                        manifest, settings: settings, granted: granted, http: http, publisher: publisher, rendering: rendering,
                        logger: logger)
                )
            } catch { diagnostics.append(error.diagnostic) }
        }
        let active = Set(loaded.map(\.manifest.name))
        let (catalog, _) = PluginCatalog.assembling(all.manifests.filter { active.contains($0.name) }, environment: base)
        let (set, found) = PluginSet.assembling(catalog, loaded)
        return InstalledPlugins(
            set: set, environment: set.environment(base), settings: said.settings, diagnostics: (diagnostics + found).inOrder,
            sources: sources, notGranted: notGranted, failedTexts: failedTexts)
    }

    /// For a command that looks at files: nothing is sent anywhere. Plugins with mistakes are told on standard error and left out.
    static func forCommand(_ config: String?) throws -> InstalledPlugins {
        let configuration = try ConfigurationOptions.load(config, flags: [])
        let plugins = load(
            configuration, http: NoNetwork(), publisher: nil, logger: Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() })
        if plugins.diagnostics.hasErrors { Output.talk(plugins.text) }
        return plugins
    }
}

/// Where a manifest becomes a plugin that runs: the one place that knows the ways to write one.
enum PluginLoading {
    static func load(
        _ manifest: PluginManifest, settings: PluginValues, granted: PluginPermissions, http: any HTTPRequesting,
        publisher: (any MessagePublisher)?, rendering: CELNotificationRendering, logger: Logger
    ) throws(PluginFailure) -> any Plugin {
        switch manifest.code {
        case .lua:
            return try LuaPlugin(
                manifest, settings: settings, granted: granted,
                services: LuaPlugin.Services(
                    http: http, publisher: publisher, rendering: rendering, secret: { $0.read() }, logger: logger))
        case .native:
            return try NativePlugin(
                manifest, settings: settings, granted: granted, rendering: rendering, secret: { $0.read() })
        }
    }
}

/// For commands that must not reach out.
struct NoNetwork: HTTPRequesting {
    func send(_ call: HTTPCall) async -> HTTPReply { .refused(reason: "this command sends nothing") }
}

/// In the place of a channel whose plugin could not be loaded.
private struct MissingChannel: NotificationAttempting {
    let kind: String
    let reason: String
    func attempt(_ notification: RuleEngine.Notification) async -> AttemptResult { AttemptResult(.rejected(reason: reason)) }
}
