public import CEL

/// The loaded plugins, ready to use: a value that is passed in wherever decoders, functions, channels or actions are needed.
public struct PluginSet: Sendable {
    public let catalog: PluginCatalog
    /// By the name that rules give.
    public let decoders: [String: any TelemetryDecoder]
    private let functions: [Function]
    private let plugins: [String: any Plugin]

    public static let empty = PluginSet(catalog: .empty, decoders: [:], functions: [], plugins: [:])

    private init(catalog: PluginCatalog, decoders: [String: any TelemetryDecoder], functions: [Function], plugins: [String: any Plugin]) {
        self.catalog = catalog
        self.decoders = decoders
        self.functions = functions
        self.plugins = plugins
    }

    /// Takes from each plugin what the catalogue says it provides. What cannot be had is told, and left out.
    public static func assembling(_ catalog: PluginCatalog, _ loaded: [any Plugin]) -> (PluginSet, [Diagnostic]) {
        let plugins = Dictionary(loaded.map { ($0.manifest.name, $0) }, uniquingKeysWith: { first, _ in first })
        var diagnostics: [Diagnostic] = []
        var decoders: [String: any TelemetryDecoder] = [:]
        var functions: [Function] = []
        for kind in PluginManifest.Provision.Kind.allCases {
            for name in catalog.names(kind) {
                guard let found = catalog.find(kind, name), let plugin = plugins[found.manifest.name] else { continue }
                do throws(PluginFailure) {
                    switch kind {
                    case .decoder: decoders[name] = try plugin.decoder(name)
                    case .function:
                        guard let signature = found.provision.signature else { continue }
                        functions += signature.functions(name, try plugin.function(name))
                    case .channel:
                        _ = try plugin.channel(PluginChannelConfiguration(channel: name, plugin: found.manifest.name, values: .init()))
                    case .action: _ = try plugin.action(found.provision.name)
                    }
                } catch { diagnostics.append(error.diagnostic) }
            }
        }
        return (PluginSet(catalog: catalog, decoders: decoders, functions: functions, plugins: plugins), diagnostics.inOrder)
    }

    /// A language with the functions of all plugins.
    public func environment(_ base: Environment) -> Environment {
        functions.reduce(into: base) { $0.add($1) }
    }

    public func channel(_ configuration: PluginChannelConfiguration) throws(PluginFailure) -> any NotificationAttempting {
        guard let plugin = plugins[configuration.plugin] else {
            throw PluginFailure(
                "there is no plugin '\(configuration.plugin)'", at: SourceLocation(file: configuration.plugin, line: 1, column: 1))
        }
        return try plugin.channel(configuration)
    }

    /// - Parameter name: `plugin.action`.
    public func action(_ name: String) throws(PluginFailure) -> any PluginAction {
        guard let found = catalog.find(.action, name), let plugin = plugins[found.manifest.name] else {
            throw PluginFailure("there is no action '\(name)'", at: SourceLocation(file: name, line: 1, column: 1))
        }
        return try plugin.action(found.provision.name)
    }

    /// The actions of a plugin for a test.
    public func rehearsal(of name: String) throws(PluginFailure) -> any PluginRehearsal {
        guard let plugin = plugins[name] else {
            throw PluginFailure("there is no plugin '\(name)'", at: SourceLocation(file: name, line: 1, column: 1))
        }
        return try plugin.rehearsal()
    }
}

extension PluginFunctionSignature {
    /// A CEL function for each way in which numbers can be given: a parameter that is a double takes an int as well.
    func functions(_ name: String, _ body: @escaping @Sendable ([Value]) throws(FunctionFailure) -> Value) -> [Function] {
        let doubles = parameters.indices.filter { parameters[$0].type == .double }
        // Beyond this the overloads would be too many, and the check is left to the evaluation.
        let isGradual = doubles.count > 4
        let types = parameters.map { isGradual && $0.type == .double ? .dyn : $0.type }
        let converted: @Sendable ([Value]) throws(FunctionFailure) -> Value = { [parameters] arguments throws(FunctionFailure) in
            var values = arguments
            for (place, parameter) in parameters.enumerated() where parameter.type == .double {
                switch arguments[place] {
                case .double: continue
                case .int(let number): values[place] = .double(Double(number))
                case .uint(let number): values[place] = .double(Double(number))
                default: throw FunctionFailure("\(name): '\(parameter.name)' must be a number")
                }
            }
            return try body(values)
        }
        guard !isGradual else { return [Function(name, .global, types, result, body: converted)] }
        return (0..<(1 << doubles.count)).map { choice in
            var chosen = types
            for (bit, place) in doubles.enumerated() where choice >> bit & 1 == 1 { chosen[place] = .int }
            return Function(name, .global, chosen, result, body: converted)
        }
    }
}
