import Hummingbird
import RuleEngine

/// `/api/v1/alerts/{id}/acknowledgement`: somebody takes an alert upon themselves.
struct AcknowledgementRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] { [Route("/api/v1/alerts/{id}/acknowledgement", .get(one), .put(.json, put), .delete(remove))] }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        let alert = try await alert(id)
        guard let found = await operations.hushes().acknowledgement(of: alert) else { throw Self.absent(id) }
        return .json(found.item)
    }

    @Sendable private func put(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        let document = try request.object(of: ["by", "comment", "until", "duration", "at"])
        let now = await operations.hushes().at
        var until: Instant?
        if document["duration"] != nil || document["until"] ?? .null != .null { until = try document.end("until", from: now) }
        let (by, comment) = (try document.text("by"), try document.text("comment"))
        _ = try await alert(id)
        switch try await operations.acknowledge(alert: id, by: by, comment: comment, until: until) {
        case .success(let acknowledgement): return .json(acknowledgement.item)
        case .failure(.notFiring): throw Problem(.conflict, AcknowledgementMistake.notFiring.description)
        case .failure(.shadow): throw Problem(.conflict, AcknowledgementMistake.shadow.description)
        case .failure(let mistake): throw Problem.invalid(mistake.description)
        }
    }

    @Sendable private func remove(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        guard try await operations.unacknowledge(alert: id) else { throw Self.absent(id) }
        return .noContent
    }

    /// The latest episode under an id.
    private func alert(_ id: String) async throws(Problem) -> AlertRecord {
        var filter = AlertFilter()
        filter.id = id
        guard let found = await operations.alerts(matching: filter).max(by: { $0.activeAt < $1.activeAt }) else {
            throw Problem(.notFound, "there is no alert '\(id)'")
        }
        return found
    }

    private static func absent(_ id: String) -> Problem { Problem(.notFound, "the alert '\(id)' is not acknowledged") }
}
