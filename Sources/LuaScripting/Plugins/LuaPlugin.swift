public import CEL
public import Logging
public import RuleEngine
import Synchronization

/// A plugin written in Lua. Every decoder has a state of its own, since it may remember; functions share one, and so do channels and actions.
public final class LuaPlugin: Plugin {
    /// What plugins may use of the server.
    public struct Services: Sendable {
        public var http: any HTTPRequesting
        public var publisher: (any MessagePublisher)?
        public var rendering: any NotificationTextRendering
        /// The content of a secret; nil when it cannot be had.
        public var secret: @Sendable (Secret) -> String?
        public var logger: Logger

        public init(
            http: any HTTPRequesting, publisher: (any MessagePublisher)?, rendering: any NotificationTextRendering,
            secret: @escaping @Sendable (Secret) -> String?, logger: Logger
        ) {
            self.http = http
            self.publisher = publisher
            self.rendering = rendering
            self.secret = secret
            self.logger = logger
        }
    }

    public let manifest: PluginManifest
    private let source: String
    private let config: LuaValue
    private let rights: PluginRights
    private let services: Services
    private let functions: Mutex<PluginState>
    private let handlers: SharedPluginState

    /// Reads `init.lua` and runs it once: a mistake in it is told here.
    public init(_ manifest: PluginManifest, settings: PluginValues, granted: PluginPermissions, services: Services) throws(PluginFailure) {
        let path = "\(manifest.folder)/init.lua"
        guard let source = TextFile.read(path, limit: 1 << 20) else {
            throw PluginFailure("'\(path)' cannot be read, or is no UTF-8", at: manifest.location)
        }
        self.manifest = manifest
        self.source = source
        self.services = services
        rights = PluginRights(plugin: manifest.name, asked: manifest.permissions, granted: granted)
        guard let config = settings.resolved(for: nil, nil, read: services.secret) else {
            throw PluginFailure("a secret's file of plugin '\(manifest.name)' cannot be read", at: manifest.location)
        }
        self.config = LuaValue(config)
        functions = Mutex(try Self.state(manifest, source, self.config, rights, services.logger))
        handlers = SharedPluginState(try Self.state(manifest, source, self.config, rights, services.logger))
    }

    /// A message or a call may use so much.
    private static let limits = LuaLimits(instructions: 2_000_000, wallTime: .milliseconds(200), memory: 16 << 20)

    private static func state(
        _ manifest: PluginManifest, _ source: String, _ config: LuaValue, _ rights: PluginRights, _ logger: Logger,
        limits: LuaLimits = limits
    ) throws(PluginFailure) -> sending PluginState {
        var logger = logger
        logger[metadataKey: "plugin"] = "\(manifest.name)"
        return try PluginState(
            manifest, source: source, config: config, rights: rights, limits: limits
        ) { [logger] level, message in
            logger.log(level: Logger.Level(rawValue: level) ?? .info, "\(message)")
        }
    }

    public func decoder(_ name: String) throws(PluginFailure) -> any TelemetryDecoder {
        let (manifest, source, config, rights, logger) = (manifest, source, config, rights, services.logger)
        return try LuaDecoder(name) { () throws(PluginFailure) in try Self.state(manifest, source, config, rights, logger) }
    }

    public func function(_ name: String) throws(PluginFailure) -> @Sendable ([Value]) throws(FunctionFailure) -> Value {
        guard let signature = manifest.provisions(.function).first(where: { $0.name == name })?.signature else {
            throw PluginFailure("the plugin has no function '\(name)'", at: manifest.location)
        }
        let function = functions.withLock { $0.function(.function, name) }
        guard let function else { throw PluginFailure("the plugin has no function '\(name)'", at: manifest.location) }
        return { [self] arguments throws(FunctionFailure) in
            let outcome: Result<LuaValue, LuaFailure> = functions.withLock { state in
                do throws(LuaFailure) {
                    let values = try state.lua.call(function) { writer in for argument in arguments { writer.value(argument) } }
                    return .success(values.first ?? .none)
                } catch { return .failure(error) }
            }
            switch outcome {
            case .failure(let failure): throw FunctionFailure("\(name): \(failure.reason)")
            case .success(let value): return try value.value(of: signature.result, from: name)
            }
        }
    }

    public func channel(_ configuration: PluginChannelConfiguration) throws(PluginFailure) -> any NotificationAttempting {
        guard let function = handlers.function(.channel, configuration.channel) else {
            throw PluginFailure("the plugin has no channel '\(configuration.channel)'", at: manifest.location)
        }
        return LuaChannel(configuration, function: function, state: handlers, services: services)
    }

    public func action(_ name: String) throws(PluginFailure) -> any PluginAction {
        guard let function = handlers.function(.action, name) else {
            throw PluginFailure("the plugin has no action '\(name)'", at: manifest.location)
        }
        return LuaAction("\(manifest.name).\(name)", function: function, state: handlers, services: services)
    }

    public func rehearsal() throws(PluginFailure) -> any PluginRehearsal {
        var limits = Self.limits
        limits.wallTime = nil
        let rights = PluginRights(plugin: manifest.name, asked: manifest.permissions, granted: manifest.permissions)
        return LuaRehearsal(try Self.state(manifest, source, config, rights, services.logger, limits: limits))
    }
}

extension LuaValue {
    /// As the type that the function's signature promises.
    fileprivate func value(of type: CELType, from name: String) throws(FunctionFailure) -> Value {
        switch type {
        case .double: if let number { return .double(number) }
        case .int: if let integer { return .int(integer) }
        case .string: if let text { return .string(text) }
        case .bool: if let flag { return .bool(flag) }
        default: return celValue
        }
        let types: [CELType: String] = [.double: "a number", .int: "a whole number", .string: "a string", .bool: "true or false"]
        throw FunctionFailure("\(name): the plugin must give \(types[type] ?? "a value"), not \(typeName)")
    }
}
