import RuleEngine
import Synchronization

/// A decoder of a Lua plugin.
final class LuaDecoder: TelemetryDecoder {
    private let name: String
    private let make: @Sendable () throws(PluginFailure) -> sending PluginState
    private let lock = Mutex(())
    // Touched only while `lock` is held. (Not inside the lock: what the engine hands over cannot be sent into it.)
    nonisolated(unsafe) private var running: Running

    /// The state, and the function in it.
    private struct Running {
        var state: PluginState
        var function: LuaFunction
    }

    var memory: DecoderMemory { lock.withLock { _ in running.state.memory } }
    func restore(_ memory: DecoderMemory) { lock.withLock { _ in running.state.memory = memory } }

    init(_ name: String, make: @escaping @Sendable () throws(PluginFailure) -> sending PluginState) throws(PluginFailure) {
        self.name = name
        self.make = make
        running = try Self.run(name, make)
    }

    private static func run(_ name: String, _ make: @Sendable () throws(PluginFailure) -> sending PluginState) throws(PluginFailure)
        -> sending Running
    {
        let state = try make()
        guard let function = state.function(.decoder, name) else {
            throw PluginFailure("the plugin has no decoder '\(name)'", at: SourceLocation(file: name, line: 1, column: 1))
        }
        return Running(state: state, function: function)
    }

    func decode(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, into fields: JSONBuffer) throws(TelemetryDecoderFailure)
        -> DecodedMessage
    {
        let outcome: Result<DecodedMessage, TelemetryDecoderFailure> = lock.withLock { _ in
            do throws(LuaFailure) {
                return try running.state.lua.decode(running.function, topic, payload, into: fields)
            } catch { return .failure(TelemetryDecoderFailure(error.reason)) }
        }
        return try outcome.get()
    }

    /// A state that has seen nothing; when it cannot be made any more, the old one stays.
    func forget() {
        guard let fresh = try? Self.run(name, make) else { return }
        lock.withLock { _ in running = fresh }
    }
}

extension LuaState {
    /// Calls `decode(topic, bytes)`: a table of fields and perhaps a time, or nil for a message that is no reading.
    fileprivate func decode(
        _ function: LuaFunction, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, into fields: JSONBuffer
    ) throws(LuaFailure) -> Result<DecodedMessage, TelemetryDecoderFailure> {
        try call(
            function,
            { writer in
                writer.string(topic)
                writer.string(payload)
            },
            read: { reader, count in
                guard count > 0, !reader.isAtNothing else { return .success(.nothing) }
                guard reader.isAtTable else {
                    let given = reader.values(1)[0].typeName
                    return .failure(TelemetryDecoderFailure("the decoder must give a table of fields, not a \(given)"))
                }
                guard reader.writeJSON(into: fields) else {
                    return .failure(TelemetryDecoderFailure("a field holds what is no UTF-8, or no value: encode bytes with base64.encode"))
                }
                guard count > 1 else { return .success(.reading(time: nil)) }
                let time = reader.values(1)[0]
                if time.isNone || time == .null { return .success(.reading(time: nil)) }
                guard let seconds = time.number, let instant = Instant(seconds: seconds) else {
                    return .failure(TelemetryDecoderFailure("the decoder's time must be a number of seconds, not a \(time.typeName)"))
                }
                return .success(.reading(time: instant))
            })
    }
}
