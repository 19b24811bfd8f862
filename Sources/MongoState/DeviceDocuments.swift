import RuleEngine

/// The collections `devices` and `profiles` as other programs see them:
/// `{_id, config, profile?, labels?, location?, updatedAt: date, deleted?: bool}`.
enum DirectoryCollection: String, CaseIterable, Sendable {
    case devices, profiles
}

/// What a document of the directory says.
enum DirectoryEntry: Sendable, Equatable {
    case device(DeviceRecord)
    case profile(ProfileRecord)

    /// The change that makes it known.
    var change: DirectoryChange {
        switch self {
        case .device(let device): .device(id: device.id, device)
        case .profile(let profile): .profile(name: profile.name, profile)
        }
    }
}

/// A document as it was read, by whoever it was written.
enum DirectoryReading: Sendable {
    case entry(id: String, DirectoryEntry)
    case deleted(id: String)
    /// `id` is nil when it is no text; `name` is for messages.
    case misshapen(id: String?, name: String, reason: String)

    init(_ bytes: UnsafeRawBufferPointer, in collection: DirectoryCollection) {
        let content: Document
        do {
            content = .object(try BSON.decode(bytes))
        } catch {
            self = .misshapen(id: nil, name: "?", reason: "it \(error)")
            return
        }
        guard let id = content["_id"]?.string else {
            self = .misshapen(id: nil, name: (content["_id"] ?? .null).json, reason: "'_id' must be text")
            return
        }
        do throws(Misshape) {
            if try Self.member("deleted", of: content, "true or false", \.bool) == true {
                self = .deleted(id: id)
                return
            }
            self = .entry(id: id, try Self.entry(content, id: id, in: collection))
        } catch {
            self = .misshapen(id: id, name: id, reason: error.reason)
        }
    }

    private struct Misshape: Error {
        var reason: String
    }

    private static func entry(_ content: Document, id: String, in collection: DirectoryCollection) throws(Misshape) -> DirectoryEntry {
        guard let config = try member("config", of: content, "an object", { $0.members == nil ? nil : $0 }) else {
            throw Misshape(reason: "it has no 'config'")
        }
        guard collection == .devices else { return .profile(ProfileRecord(name: id, config: config)) }
        let labels = try member("labels", of: content, "an object", { $0.members == nil ? nil : $0 })
        for label in labels?.members ?? [] where label.value.string == nil {
            throw Misshape(reason: "'labels.\(label.name)' must be text")
        }
        return .device(
            DeviceRecord(
                id: id, profile: try member("profile", of: content, "text", \.string), config: config, labels: labels?.strings ?? [:],
                location: try member("location", of: content, "an object", { $0.members == nil ? nil : $0 })))
    }

    /// nil when it is missing or null.
    private static func member<Value>(
        _ name: String, of content: Document, _ kind: String, _ value: (Document) -> Value?
    ) throws(Misshape) -> Value? {
        guard let found = content[name], found != .null else { return nil }
        guard let value = value(found) else { throw Misshape(reason: "'\(name)' must be \(kind)") }
        return value
    }
}

/// A write of ours to the directory.
struct DirectoryWrite: Sendable {
    var collection: DirectoryCollection
    var id: String
    /// nil marks the document as deleted.
    var entry: DirectoryEntry?
    /// Our fields only: what else other programs keep in a document stays.
    var encoded: MongoClient.Write

    init(_ collection: DirectoryCollection, id: String, _ entry: DirectoryEntry?) throws(StoreFailure) {
        self.collection = collection
        self.id = id
        self.entry = entry
        var set: [Document.Member] = []
        var unset: [Document.Member] = []
        switch entry {
        case .device(let device):
            set = [.init("config", device.config), .init("labels", Document(device.labels))]
            if let profile = device.profile { set.append(.init("profile", .string(profile))) } else { unset.append(.init("profile", "")) }
            if let location = device.location { set.append(.init("location", location)) } else { unset.append(.init("location", "")) }
            unset.append(.init("deleted", ""))
        case .profile(let profile):
            set = [.init("config", profile.config)]
            unset = [.init("deleted", "")]
        case nil:
            set = [.init("deleted", true)]
        }
        var update: [Document.Member] = [.init("$set", .object(set))]
        if !unset.isEmpty { update.append(.init("$unset", .object(unset))) }
        // The server's clock, so that writers' clocks do not matter.
        update.append(.init("$currentDate", ["updatedAt": true]))
        encoded = MongoClient.Write(
            filter: try BSON.encode([.init("_id", .string(id))]),
            change: .update(try BSON.encodeForStoring(update), upsert: entry != nil))
    }
}

extension DirectoryCollection {
    func removal(of id: String) -> DirectoryChange {
        switch self {
        case .devices: .device(id: id, nil)
        case .profiles: .profile(name: id, nil)
        }
    }
}
