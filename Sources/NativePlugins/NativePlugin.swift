public import CEL
import CNodeSpherePlugin
import Dispatch
public import RuleEngine

/// A plugin that is a shared library. It is never unloaded: code of it may still be running.
public final class NativePlugin: Plugin {
    public let manifest: PluginManifest
    private let rendering: any NotificationTextRendering
    private let secret: @Sendable (Secret) -> String?
    private let library: NativeLibrary

    /// Loads the library when `rights` allow it. A wrong version, a missing symbol and a missing function are told here.
    public init(
        _ manifest: PluginManifest, settings: PluginValues, granted: PluginPermissions, rendering: any NotificationTextRendering,
        secret: @escaping @Sendable (Secret) -> String?
    ) throws(PluginFailure) {
        self.manifest = manifest
        self.rendering = rendering
        self.secret = secret
        let rights = PluginRights(plugin: manifest.name, asked: manifest.permissions, granted: granted)
        if let refusal = rights.nativeRefusal { throw PluginFailure(refusal, at: manifest.location) }
        guard case .native(let file) = manifest.code else { throw PluginFailure("the plugin has no 'library'", at: manifest.location) }
        guard let settings = settings.resolved(for: nil, nil, read: secret) else {
            throw PluginFailure("a secret's file of plugin '\(manifest.name)' cannot be read", at: manifest.location)
        }
        library = try NativeLibrary("\(manifest.folder)/\(file)", manifest, settings: settings.json)
    }

    public func decoder(_ name: String) throws(PluginFailure) -> any TelemetryDecoder { NativeDecoder(name, library) }

    public func function(_ name: String) throws(PluginFailure) -> @Sendable ([Value]) throws(FunctionFailure) -> Value {
        guard let type = manifest.provisions(.function).first(where: { $0.name == name })?.signature?.result else {
            throw PluginFailure("the plugin has no function '\(name)'", at: manifest.location)
        }
        return { [library] arguments throws(FunctionFailure) in
            let (result, output) = library.call(name, arguments: Document.array(arguments.map(Document.init)).json)
            guard result == NODESPHERE_OK else { throw FunctionFailure("\(name): \(output.reason)") }
            guard let document = try? Document(json: output.bytes) else { throw FunctionFailure("\(name): the plugin's value is no JSON") }
            switch (type, document) {
            case (.double, _): if let number = document.number { return .double(number) }
            case (.int, _): if let number = document.int { return .int(number) }
            case (.string, .string(let text)): return .string(text)
            case (.bool, .bool(let flag)): return .bool(flag)
            case (.dyn, _): return document.celValue
            default: break
            }
            throw FunctionFailure("\(name): the plugin's value has not the type that its manifest promises: \(document.json)")
        }
    }

    public func channel(_ configuration: PluginChannelConfiguration) throws(PluginFailure) -> any NotificationAttempting {
        NativeChannel(configuration, library, rendering, secret)
    }

    public func action(_ name: String) throws(PluginFailure) -> any PluginAction {
        throw PluginFailure("a native plugin cannot provide actions", at: manifest.location)
    }

    public func rehearsal() throws(PluginFailure) -> any PluginRehearsal {
        throw PluginFailure("a native plugin cannot provide actions", at: manifest.location)
    }
}

/// A decoder of a native plugin; the library's lock keeps its calls apart.
final class NativeDecoder: TelemetryDecoder {
    private let name: String
    private let library: NativeLibrary

    init(_ name: String, _ library: NativeLibrary) {
        self.name = name
        self.library = library
    }

    func decode(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, into fields: JSONBuffer) throws(TelemetryDecoderFailure)
        -> DecodedMessage
    {
        var time = Double.nan
        let (result, output) = library.decode(name, topic, payload, &time)
        switch result {
        case Int32(NODESPHERE_IGNORED): return .nothing
        case Int32(NODESPHERE_OK):
            output.bytes.withUnsafeBytes { fields.append($0) }
            // Instants end in the year 2262.
            guard time.magnitude < 9.2e9 else { return .reading(time: nil) }
            return .reading(time: Instant(nanoseconds: Int64((time * 1e9).rounded())))
        default: throw TelemetryDecoderFailure(output.reason)
        }
    }

    func forget() { library.forget() }
}

/// A channel of a native plugin: it may block, so each attempt has a thread of its own.
struct NativeChannel: NotificationAttempting {
    var kind: String { configuration.channel }
    private let configuration: PluginChannelConfiguration
    private let library: NativeLibrary
    private let rendering: any NotificationTextRendering
    private let secret: @Sendable (Secret) -> String?
    private static let queue = DispatchQueue(label: "native-channels", attributes: .concurrent)

    init(
        _ configuration: PluginChannelConfiguration, _ library: NativeLibrary, _ rendering: any NotificationTextRendering,
        _ secret: @escaping @Sendable (Secret) -> String?
    ) {
        self.secret = secret
        self.configuration = configuration
        self.library = library
        self.rendering = rendering
    }

    func attempt(_ notification: Notification) async -> AttemptResult {
        guard let config = configuration.values.resolved(for: notification.document, rendering, read: secret) else {
            return AttemptResult(.rejected(reason: "a text of its configuration cannot be filled in, or a secret's file not be read"))
        }
        let (result, output) = await withCheckedContinuation { continuation in
            Self.queue.async { [library] in
                continuation.resume(returning: library.deliver(kind, notification.document.json, config.json))
            }
        }
        switch result {
        case Int32(NODESPHERE_OK): return AttemptResult(.delivered)
        case Int32(NODESPHERE_RETRY): return AttemptResult(.failed(reason: output.reason, retryAfter: nil), mayHaveArrived: true)
        default: return AttemptResult(.rejected(reason: output.reason))
        }
    }
}
