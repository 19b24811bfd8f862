import Hummingbird
import RuleEngine

/// `/api/v1/devices`: registered devices and their configuration.
struct DeviceRoutes: Sendable {
    let operations: any ServerOperations
    let turns: Turns

    var routes: [Route] {
        [
            Route("/api/v1/devices", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/devices/{id}", .get(one), .put(.json, put), .patch(patch), .delete(remove)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "devices", request.query)
        let devices = try await operations.devices()
        let defaults = Dictionary(try await operations.profiles().map { ($0.name, $0.config) }) { first, _ in first }
        return .json(page.document(of: devices, at: { NamePosition($0.id) }) { $0.item(over: $0.profile.flatMap { defaults[$0] }) })
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        guard let device = try await operations.device(id: id) else { throw Self.absent(id) }
        return .json(try await item(device))
    }

    @Sendable private func put(_ request: APIRequest) async throws -> Answer {
        let device = try DeviceRecord(id: try request.name("id"), try request.document())
        return try await turns.take {
            let isNew = try await operations.device(id: device.id) == nil
            try await operations.put(device)
            let headers: HTTPFields = isNew ? [.location: "/api/v1/devices/" + PercentCoding.encode(device.id)] : [:]
            return .json(try await item(device), status: isNew ? 201 : 200, headers: headers)
        }
    }

    @Sendable private func patch(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        let changes = try request.object(of: DeviceRecord.writableMembers)
        try changes.requireName(id, in: "id")
        return try await turns.take {
            guard let device = try await operations.device(id: id) else { throw Self.absent(id) }
            let changed = try DeviceRecord(id: id, device.writable.merging(patch: changes))
            try await operations.put(changed)
            return .json(try await item(changed))
        }
    }

    @Sendable private func remove(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        return try await turns.take {
            guard try await operations.device(id: id) != nil else { throw Self.absent(id) }
            try await operations.removeDevice(id: id)
            return .noContent
        }
    }

    private func item(_ device: DeviceRecord) async throws -> Document {
        guard let profile = device.profile else { return device.item(over: nil) }
        return device.item(over: try await operations.profile(named: profile)?.config)
    }

    private static func absent(_ id: String) -> Problem { Problem(.notFound, "there is no device '\(id)'") }
}

extension DeviceRecord {
    /// `id` may be repeated, and no more than that.
    static let writableMembers = ["id", "profile", "config", "labels", "location"]

    /// Reads what PUT takes. `effectiveConfig` is computed: it may be there, as in what GET gave, and is not read.
    init(id: String, _ document: Document) throws(Problem) {
        try document.requireObject(of: Self.writableMembers + ["effectiveConfig"])
        try document.requireName(id, in: "id")
        self.init(id: id, config: try document.objectMember("config"))
        switch document["profile"] {
        case .null, nil: break
        case .string(let name) where !name.isEmpty: profile = name
        default: throw .invalid("'profile' must be the name of a profile, or null")
        }
        for label in try document.objectMember("labels").members ?? [] {
            guard let value = label.value.string else { throw .invalid("'labels.\(label.name.prefix(100))' must be a string") }
            labels[label.name] = value
        }
        location = try Self.location(document["location"] ?? .null)
    }

    private static func location(_ document: Document) throws(Problem) -> Document? {
        guard document != .null else { return nil }
        guard let members = document.members, members.count == 2, let latitude = document["latitude"]?.number,
            let longitude = document["longitude"]?.number, (-90...90).contains(latitude), (-180...180).contains(longitude)
        else { throw .invalid("'location' must be {\"latitude\": -90 … 90, \"longitude\": -180 … 180}, or null") }
        return document
    }

    /// What a merge patch is applied to.
    var writable: Document {
        var members: [Document.Member] = [
            .init("id", .string(id)), .init("profile", Document(profile)), .init("config", config), .init("labels", Document(labels)),
        ]
        if let location { members.append(.init("location", location)) }
        return .object(members)
    }

    /// - Parameter defaults: the profile's configuration; nil when the device has no profile, or one that is not there.
    func item(over defaults: Document?) -> Document {
        .object((writable.members ?? []) + [.init("effectiveConfig", (defaults ?? .emptyObject).overlaid(by: config))])
    }
}
