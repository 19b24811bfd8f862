public import CEL

/// Why a plugin, or something that it provides, cannot be used.
public struct PluginFailure: Error, Sendable, Equatable {
    public var location: SourceLocation
    public var message: String
    public var notes: [String]

    public init(_ message: String, at location: SourceLocation, notes: [String] = []) {
        self.message = message
        self.location = location
        self.notes = notes
    }

    public var diagnostic: Diagnostic { Diagnostic(code: "plugin-code", message, at: location, notes: notes) }
}

/// A plugin whose code is loaded.
///
/// Contract: each call gives something of its own; what is given may be used from any thread, bounds its own time and memory, and does no more than the
/// plugin's rights allow. A failure inside never ends the process.
public protocol Plugin: Sendable {
    var manifest: PluginManifest { get }
    func decoder(_ name: String) throws(PluginFailure) -> any TelemetryDecoder
    /// The arguments have the types of the function's signature, and so has the result.
    func function(_ name: String) throws(PluginFailure) -> @Sendable ([Value]) throws(FunctionFailure) -> Value
    func channel(_ configuration: PluginChannelConfiguration) throws(PluginFailure) -> any NotificationAttempting
    func action(_ name: String) throws(PluginFailure) -> any PluginAction
    /// Its actions for a test, which may do what the manifest asks for.
    func rehearsal() throws(PluginFailure) -> any PluginRehearsal
}

/// What an action of a plugin came to.
public enum PluginActionResult: Sendable, Equatable {
    case done
    /// May work later.
    case retry(reason: String)
    /// Will not.
    case failed(reason: String)
}

/// Something that a rule does when it fires or resolves.
///
/// Contract: one call is one attempt; calls may be under way at once.
public protocol PluginAction: Sendable {
    func run(alert: Document, arguments: Document) async -> PluginActionResult
}
