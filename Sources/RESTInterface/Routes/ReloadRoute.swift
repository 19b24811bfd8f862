import RuleEngine

/// `POST /api/v1/reload`: reads the rule files again, all or nothing.
struct ReloadRoute: Sendable {
    let operations: any ServerOperations

    var routes: [Route] { [Route("/api/v1/reload", .post(reload))] }

    @Sendable private func reload(_ request: APIRequest) async throws -> Answer {
        switch try await operations.reload() {
        case .reloaded(let changed): return .json(["changed": .array(changed.map(Document.string))])
        case .invalid(let diagnostics): throw Problem.invalidRules(diagnostics)
        }
    }
}
