import CNodeSpherePlugin
import RuleEngine
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What a call of a plugin wrote.
struct NativeOutput: Sendable {
    static let limit = 1 << 20
    var bytes: [UInt8] = []
    var isTooLong = false

    var reason: String {
        if isTooLong { return "the plugin wrote more than \(Self.limit) bytes" }
        return bytes.isEmpty ? "the plugin gives no reason" : String(decoding: bytes.prefix(1000), as: UTF8.self)
    }
}

/// A loaded shared library and the calls into it.
///
/// `@unchecked`: `table` points to memory of the library that its header says must stay and is only read; `state` is handed back to the library, under `lock`
/// but for `deliver`, which the header says is called from several threads.
final class NativeLibrary: @unchecked Sendable {
    private let table: UnsafePointer<nodesphere_plugin>
    private let state: UnsafeMutableRawPointer?
    private let lock = Mutex(())

    private typealias Entry = @convention(c) () -> UnsafePointer<nodesphere_plugin>?
    static let symbol = "nodesphere_plugin_entry"

    init(_ path: String, _ manifest: PluginManifest, settings: String) throws(PluginFailure) {
        func fail(_ message: String, _ notes: String...) -> PluginFailure { PluginFailure(message, at: manifest.location, notes: notes) }
        // Without a slash the system's folders would be searched.
        guard let handle = dlopen(path.contains("/") ? path : "./\(path)", RTLD_NOW | RTLD_LOCAL) else {
            throw fail("'\(path)' cannot be loaded: \(dlerror().map { String(cString: $0) } ?? "unknown")")
        }
        guard let address = dlsym(handle, Self.symbol) else {
            throw fail("'\(path)' has no function '\(Self.symbol)'", "it must be built with nodesphere_plugin.h")
        }
        guard let table = unsafeBitCast(address, to: Entry.self)() else { throw fail("'\(path)': '\(Self.symbol)' gives nothing") }
        guard table.pointee.version == UInt32(NODESPHERE_PLUGIN_VERSION) else {
            throw fail(
                "'\(path)' is built for version \(table.pointee.version) of nodesphere_plugin.h, and this server has \(NODESPHERE_PLUGIN_VERSION)",
                "build it again with this server's header")
        }
        let isThere: [(PluginManifest.Provision.Kind, Bool, String)] = [
            (.decoder, table.pointee.decode != nil, "decode"), (.function, table.pointee.call != nil, "call"),
            (.channel, table.pointee.deliver != nil, "deliver"), (.action, false, "actions, which native plugins have not"),
        ]
        for (kind, isThere, name) in isThere where !isThere {
            guard let promised = manifest.provisions(kind).first else { continue }
            throw PluginFailure(
                "the manifest promises the \(kind.rawValue) '\(promised.name)', and the library has no '\(name)'", at: promised.location)
        }
        self.table = table
        state = table.pointee.start.flatMap { start in Self.with(settings) { start($0) } }
    }

    private static func with<Result>(_ text: String, _ body: (nodesphere_bytes) -> Result) -> Result {
        var text = text
        return text.withUTF8 { body(nodesphere_bytes(bytes: $0.baseAddress, length: $0.count)) }
    }

    /// Gives a place to write to, and what was written there. What is too long is a failure, whatever the plugin says.
    private static func collecting(_ body: (UnsafePointer<nodesphere_output>) -> Int32) -> (result: Int32, output: NativeOutput) {
        var output = NativeOutput()
        let result = withUnsafeMutablePointer(to: &output) { place in
            var target = nodesphere_output(context: place) { context, bytes, length in
                guard let place = context?.assumingMemoryBound(to: NativeOutput.self), let bytes, length > 0 else { return }
                guard place.pointee.bytes.count + length <= NativeOutput.limit else {
                    place.pointee.isTooLong = true
                    return
                }
                place.pointee.bytes += UnsafeRawBufferPointer(start: bytes, count: length)
            }
            return body(&target)
        }
        return (output.isTooLong ? Int32(NODESPHERE_FAILED) : result, output)
    }

    func decode(_ name: String, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ time: inout Double) -> (
        Int32, NativeOutput
    ) {
        func view(_ bytes: UnsafeRawBufferPointer) -> nodesphere_bytes {
            nodesphere_bytes(bytes: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), length: bytes.count)
        }
        guard let decode = table.pointee.decode else { return (Int32(NODESPHERE_FAILED), NativeOutput()) }
        return lock.withLock { _ in Self.collecting { decode(state, name, view(topic), view(payload), &time, $0) } }
    }

    func forget() { lock.withLock { _ in table.pointee.forget?(state) } }

    func call(_ function: String, arguments: String) -> (Int32, NativeOutput) {
        guard let call = table.pointee.call else { return (Int32(NODESPHERE_FAILED), NativeOutput()) }
        return lock.withLock { _ in Self.collecting { output in Self.with(arguments) { call(state, function, $0, output) } } }
    }

    func deliver(_ channel: String, _ notification: String, _ configuration: String) -> (Int32, NativeOutput) {
        guard let deliver = table.pointee.deliver else { return (Int32(NODESPHERE_FAILED), NativeOutput()) }
        return Self.collecting { output in
            Self.with(notification) { notification in
                Self.with(configuration) { deliver(state, channel, notification, $0, output) }
            }
        }
    }
}
