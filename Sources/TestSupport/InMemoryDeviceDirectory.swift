public import RuleEngine
internal import Synchronization

/// A directory that lives as long as the value. Its streams keep every change until it is read.
public final class InMemoryDeviceDirectory: DeviceDirectory {
    private struct State {
        var devices: [[UInt8]: DeviceRecord] = [:]
        var profiles: [[UInt8]: ProfileRecord] = [:]
        var streams: [Int: AsyncStream<[DirectoryChange]>.Continuation] = [:]
        var nextStream = 0
        var failure: String?
    }
    private let state = Mutex(State())

    public init(devices: [DeviceRecord] = [], profiles: [ProfileRecord] = []) {
        state.withLock { state in
            for device in devices { state.devices[Array(device.id.utf8)] = device }
            for profile in profiles { state.profiles[Array(profile.name.utf8)] = profile }
        }
    }

    /// While a reason is set every call throws `unavailable` with it.
    public func setUnavailable(_ reason: String?) { state.withLock { $0.failure = reason } }

    public func snapshot() async throws(StoreFailure) -> (devices: [DeviceRecord], profiles: [ProfileRecord]) {
        try check()
        return state.withLock { state in
            (
                state.devices.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value),
                state.profiles.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
            )
        }
    }

    public func put(_ device: DeviceRecord) async throws(StoreFailure) {
        guard device.config.members != nil else { throw .refused("the configuration of device '\(device.id)' must be an object") }
        try change(.device(id: device.id, device)) { $0.devices[Array(device.id.utf8)] = device }
    }

    public func removeDevice(id: String) async throws(StoreFailure) {
        try change(.device(id: id, nil)) { $0.devices[Array(id.utf8)] = nil }
    }

    public func put(_ profile: ProfileRecord) async throws(StoreFailure) {
        guard profile.config.members != nil else { throw .refused("the configuration of profile '\(profile.name)' must be an object") }
        try change(.profile(name: profile.name, profile)) { $0.profiles[Array(profile.name.utf8)] = profile }
    }

    public func removeProfile(name: String) async throws(StoreFailure) {
        try change(.profile(name: name, nil)) { $0.profiles[Array(name.utf8)] = nil }
    }

    public func changes() -> AsyncStream<[DirectoryChange]> {
        let (stream, continuation) = AsyncStream.makeStream(of: [DirectoryChange].self)
        let number = state.withLock { state in
            state.nextStream += 1
            state.streams[state.nextStream] = continuation
            return state.nextStream
        }
        continuation.onTermination = { _ in self.state.withLock { _ = $0.streams.removeValue(forKey: number) } }
        return stream
    }

    private func change(_ change: DirectoryChange, _ body: (inout State) -> Void) throws(StoreFailure) {
        try check()
        state.withLock { state in
            body(&state)
            for stream in state.streams.values { stream.yield([change]) }
        }
    }

    private func check() throws(StoreFailure) {
        if let reason = state.withLock({ $0.failure }) { throw .unavailable(reason) }
    }
}
