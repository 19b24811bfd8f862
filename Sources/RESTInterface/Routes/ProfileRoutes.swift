import Hummingbird
import RuleEngine

/// `/api/v1/profiles`: configuration that devices share.
struct ProfileRoutes: Sendable {
    let operations: any ServerOperations
    let turns: Turns

    var routes: [Route] {
        [
            Route("/api/v1/profiles", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/profiles/{name}", .get(one), .put(.json, put), .delete(remove)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "profiles", request.query)
        return .json(page.document(of: try await operations.profiles(), at: { NamePosition($0.name) }, as: \.item))
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        guard let profile = try await operations.profile(named: name) else { throw Self.absent(name) }
        return .json(profile.item)
    }

    @Sendable private func put(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        let document = try request.object(of: ["name", "config"])
        try document.requireName(name, in: "name")
        let profile = ProfileRecord(name: name, config: try document.objectMember("config"))
        return try await turns.take {
            let isNew = try await operations.profile(named: name) == nil
            try await operations.put(profile)
            let headers: HTTPFields = isNew ? [.location: "/api/v1/profiles/" + PercentCoding.encode(name)] : [:]
            return .json(profile.item, status: isNew ? 201 : 200, headers: headers)
        }
    }

    @Sendable private func remove(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        return try await turns.take {
            guard try await operations.profile(named: name) != nil else { throw Self.absent(name) }
            try await operations.removeProfile(named: name)
            return .noContent
        }
    }

    private static func absent(_ name: String) -> Problem { Problem(.notFound, "there is no profile '\(name)'") }
}

extension ProfileRecord {
    var item: Document { ["name": .string(name), "config": config] }
}
