internal import CLuaSandbox

/// A message that scripts read: decoded once, in the form from which each handler's table is made.
public final class LuaMessage {
    fileprivate let message: UnsafeMutablePointer<sandbox_message>
    /// Members of the payload.
    public private(set) var count = 0

    public init() {
        message = .allocate(capacity: 1)
        message.initialize(to: sandbox_message())
    }

    deinit {
        sandbox_give_back_message(message)
        message.deallocate()
    }

    /// Takes a message in the place of the one before. False for a payload that cannot be decoded.
    ///
    /// - Parameter time: seconds since 1970.
    public func read(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool, time: Double) -> Bool {
        count = Int(
            sandbox_read_message(message, topic.baseAddress, topic.count, payload.baseAddress, payload.count, isRetained, time))
        return count >= 0
    }

    /// The payload's members as values, for conditions.
    public var members: [LuaValue.Member] {
        guard count > 0 else { return [] }
        let whole = UnsafeMutablePointer<sandbox_bytes>.allocate(capacity: 1)
        whole.initialize(to: sandbox_bytes())
        defer {
            sandbox_give_back(whole)
            whole.deallocate()
        }
        sandbox_put_count(whole, Int32(SANDBOX_OBJECT.rawValue), UInt32(clamping: count))
        sandbox_put_raw(whole, message.pointee.members.base, message.pointee.members.count)
        var reader = LuaReader(whole.pointee)
        return reader.values(1).first?.members ?? []
    }
}

/// What the route to a handler has captured of a topic, with the device whose configuration it may ask for.
public final class LuaCaptures {
    fileprivate let bytes: UnsafeMutablePointer<sandbox_bytes>

    public init(_ captures: [(name: String, value: String)], device: String?) {
        bytes = .allocate(capacity: 1)
        bytes.initialize(to: sandbox_bytes())
        let writer = LuaWriter(bytes: bytes)
        for (name, value) in captures {
            writer.name(name)
            writer.string(value)
        }
        var device = device ?? ""
        device.withUTF8 { sandbox_put_configuration(bytes, $0.baseAddress, UInt32(clamping: $0.count)) }
    }

    deinit {
        sandbox_give_back(bytes)
        bytes.deallocate()
    }
}

extension LuaWriter {
    /// As many members as the message has.
    func raw(_ message: LuaMessage) {
        sandbox_put_raw(bytes, message.message.pointee.members.base, message.message.pointee.members.count)
    }
}

extension LuaState {
    /// Calls a function as a handler of a message. Nil: it has ended.
    @inline(__always)
    func start(_ function: LuaFunction, _ message: LuaMessage, _ captures: LuaCaptures) throws(LuaFailure) -> LuaThread? {
        var thread: Int32 = 0
        let status = sandbox_call_with_message(sandbox, function.reference, message.message, captures.bytes, &thread)
        return try waiting(status, thread)
    }
}
