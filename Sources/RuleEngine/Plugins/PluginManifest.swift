public import CEL

/// What `plugin.yaml` says, checked.
public struct PluginManifest: Sendable {
    /// Something that the plugin provides.
    public struct Provision: Sendable {
        public enum Kind: String, Sendable, CaseIterable { case decoder, function, channel, action }
        public var kind: Kind
        public var name: String
        public var location: SourceLocation
        /// Of functions.
        public var signature: PluginFunctionSignature?
        /// Of actions: what `arguments` may hold.
        public var arguments: [PluginSetting]

        public init(
            _ kind: Kind, _ name: String, at location: SourceLocation, signature: PluginFunctionSignature? = nil,
            arguments: [PluginSetting] = []
        ) {
            self.kind = kind
            self.name = name
            self.location = location
            self.signature = signature
            self.arguments = arguments
        }
    }

    /// What runs.
    public enum Code: Sendable, Equatable {
        /// `init.lua`
        case lua
        /// A shared library, by its name in the plugin's folder.
        case native(String)
    }

    public var name: String
    public var version: String
    public var description: String
    /// The plugin's folder.
    public var folder: String
    /// Where its name stands.
    public var location: SourceLocation
    public var code: Code
    public var provisions: [Provision]
    /// What it asks for.
    public var permissions: PluginPermissions
    /// What it can be told, by `plugins.settings` and, for a channel, in a receiver.
    public var settings: [PluginSetting]

    public init(name: String, folder: String, location: SourceLocation) {
        self.name = name
        self.folder = folder
        self.location = location
        version = ""
        description = ""
        code = .lua
        provisions = []
        permissions = PluginPermissions()
        settings = []
    }

    public func provisions(_ kind: Provision.Kind) -> [Provision] { provisions.filter { $0.kind == kind } }
}

/// What a function of a plugin takes and gives.
public struct PluginFunctionSignature: Sendable {
    public struct Example: Sendable {
        public var expression: String
        public var value: Document
        /// How far a number may be off.
        public var within: Double
        public var location: SourceLocation

        public init(expression: String, value: Document, within: Double, location: SourceLocation) {
            self.expression = expression
            self.value = value
            self.within = within
            self.location = location
        }
    }
    public var parameters: [(name: String, type: CELType)]
    public var result: CELType
    public var documentation: String
    public var example: Example

    public init(parameters: [(name: String, type: CELType)], result: CELType, documentation: String, example: Example) {
        self.parameters = parameters
        self.result = result
        self.documentation = documentation
        self.example = example
    }

    /// `dew_point(temperature: double, humidity: double) -> double`
    public func text(_ name: String) -> String {
        let types = parameters.map { "\($0.name): \(Self.name(of: $0.type))" }
        return "\(name)(\(types.joined(separator: ", "))) -> \(Self.name(of: result))"
    }

    /// The types that a manifest can name.
    public static let types: [(name: String, value: CELType)] = [
        ("double", .double), ("int", .int), ("string", .string), ("bool", .bool), ("any", .dyn),
    ]

    static func name(of type: CELType) -> String { types.first { $0.value == type }?.name ?? "any" }
}
