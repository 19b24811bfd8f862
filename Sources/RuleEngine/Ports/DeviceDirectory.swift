/// A registered device: its own configuration lies over its profile's defaults.
public struct DeviceRecord: Sendable, Equatable {
    public var id: String
    public var profile: String?
    /// An object.
    public var config: Document
    public var labels: [String: String]
    /// `{latitude, longitude}`, when known.
    public var location: Document?

    public init(
        id: String, profile: String? = nil, config: Document = .emptyObject, labels: [String: String] = [:], location: Document? = nil
    ) {
        self.id = id
        self.profile = profile
        self.config = config
        self.labels = labels
        self.location = location
    }
}

/// Defaults that devices share.
public struct ProfileRecord: Sendable, Equatable {
    public var name: String
    /// An object.
    public var config: Document
    public init(name: String, config: Document) {
        self.name = name
        self.config = config
    }
}

/// What changed in the directory: the new content, nil when it is gone.
public enum DirectoryChange: Sendable, Equatable {
    case device(id: String, DeviceRecord?)
    case profile(name: String, ProfileRecord?)
}

/// Devices and profiles. Other programs may write them too (`design: Device documents in MongoDB`): collections `devices` and `profiles`,
/// `{_id, config, profile?, labels?, location?, updatedAt: date, deleted?: bool}`.
///
/// Contract
/// * `put…` and `remove…` are durable when they return, like `StateStore.commit`. Removing what is not there is no error.
/// * `snapshot` is everything there is, in the order of ids' bytes; a document that cannot be understood is left out and logged with its id and reason.
/// * `changes` gives every change by anybody, this process included, within 2 s while the store can be reached; changes of one document come in order, the
///   same change may come twice (callers compare), and after an outage what was missed comes when the store is back. The first element comes
///   only after a change that `snapshot`, called before it, did not show. The stream ends when its task is cancelled.
public protocol DeviceDirectory: Sendable {
    func snapshot() async throws(StoreFailure) -> (devices: [DeviceRecord], profiles: [ProfileRecord])
    func put(_ device: DeviceRecord) async throws(StoreFailure)
    func removeDevice(id: String) async throws(StoreFailure)
    func put(_ profile: ProfileRecord) async throws(StoreFailure)
    func removeProfile(name: String) async throws(StoreFailure)
    func changes() -> AsyncStream<[DirectoryChange]>
}
