import Hummingbird
import RuleEngine

/// `/api/v1/vars`: values that rules read as `vars.<name>`.
struct VariableRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/api/v1/vars", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/vars/{name}", .get(one), .put(.json, put), .delete(remove)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "vars", request.query)
        return .json(page.document(of: try await operations.variables(), at: { NamePosition($0.name) }, as: \.item))
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        guard let variable = try await operations.variable(named: name) else { throw Self.absent(name) }
        return .json(variable.item)
    }

    @Sendable private func put(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        let document = try request.object(of: ["name", "value"])
        try document.requireName(name, in: "name")
        guard let value = document["value"] else { throw Problem.invalid("'value' is missing") }
        let variable = RuleVariable(name: name, value: value)
        switch try await operations.put(variable) {
        case .created: return .json(variable.item, status: 201, headers: [.location: "/api/v1/vars/" + PercentCoding.encode(name)])
        case .replaced: return .json(variable.item)
        }
    }

    @Sendable private func remove(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        guard try await operations.removeVariable(named: name) else { throw Self.absent(name) }
        return .noContent
    }

    private static func absent(_ name: String) -> Problem { Problem(.notFound, "there is no variable '\(name)'") }
}

extension RuleVariable {
    var item: Document { ["name": .string(name), "value": value] }
}
