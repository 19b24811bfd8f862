import Foundation
import GRDB
public import Logging
public import RuleEngine

/// Devices and profiles in SQLite. The file has one server (`FolderLock`), so every change goes through here.
public final class EmbeddedDeviceDirectory: DeviceDirectory {
    private let database: EmbeddedDatabase
    private let logger: Logger
    private let feed = DirectoryChangeFeed()

    private static let devices = DocumentTable(name: "devices")
    private static let profiles = DocumentTable(name: "profiles")

    public init(_ database: EmbeddedDatabase, logger: Logger) {
        self.database = database
        self.logger = logger
    }

    public func snapshot() async throws(StoreFailure) -> (devices: [DeviceRecord], profiles: [ProfileRecord]) {
        let (devices, profiles) = try await database.read { db in (try Self.devices.all(db), try Self.profiles.all(db)) }
        return (
            devices.compactMap { stored in
                let record = DeviceRecord(id: stored.id, document: stored.document)
                if record == nil { logger.error("device left out: its document has a wrong shape", metadata: ["device": "\(stored.id)"]) }
                return record
            },
            profiles.compactMap { stored in
                guard let config = stored.document["config"], config.members != nil else {
                    logger.error("profile left out: its document has a wrong shape", metadata: ["profile": "\(stored.id)"])
                    return nil
                }
                return ProfileRecord(name: stored.id, config: config)
            }
        )
    }

    public func put(_ device: DeviceRecord) async throws(StoreFailure) {
        guard device.config.members != nil else { throw .refused("the configuration of device '\(device.id)' must be an object") }
        try await put(device.document, id: device.id, in: Self.devices, change: .device(id: device.id, device))
    }

    public func removeDevice(id: String) async throws(StoreFailure) {
        try await remove(id: id, from: Self.devices, change: .device(id: id, nil))
    }

    public func put(_ profile: ProfileRecord) async throws(StoreFailure) {
        guard profile.config.members != nil else { throw .refused("the configuration of profile '\(profile.name)' must be an object") }
        try await put(["config": profile.config], id: profile.name, in: Self.profiles, change: .profile(name: profile.name, profile))
    }

    public func removeProfile(name: String) async throws(StoreFailure) {
        try await remove(id: name, from: Self.profiles, change: .profile(name: name, nil))
    }

    public func changes() -> AsyncStream<[DirectoryChange]> { feed.stream() }

    private func put(_ document: Document, id: String, in table: DocumentTable, change: DirectoryChange) async throws(StoreFailure) {
        let id = Data(bytesOf: id)
        let content = Data(try DocumentEncoding.encode(document))
        try await database.write({ try table.put(id, content, $0) }, committed: { [feed] in feed.publish([change]) })
    }

    private func remove(id: String, from table: DocumentTable, change: DirectoryChange) async throws(StoreFailure) {
        let id = Data(bytesOf: id)
        try await database.write({ try table.remove(id, $0) }, committed: { [feed] in feed.publish([change]) })
    }
}

extension DeviceRecord {
    fileprivate var document: Document {
        var members: [Document.Member] = [.init("config", config), .init("labels", Document(labels))]
        if let profile { members.append(.init("profile", .string(profile))) }
        if let location { members.append(.init("location", location)) }
        return .object(members)
    }

    fileprivate init?(id: String, document: Document) {
        guard let config = document["config"], config.members != nil else { return nil }
        self.init(
            id: id, profile: document["profile"]?.string, config: config, labels: document["labels"]?.strings ?? [:],
            location: document["location"])
    }
}
