import RuleEngine

/// `/api/v1/rules`: the rules that run, and how they fare.
struct RuleRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/api/v1/rules", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/rules/{group}/{name}", .get(one)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "rules", request.query)
        return .json(page.document(of: await operations.rules(), at: { NamePosition($0.group, $0.name) }, as: \.document))
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let group = try request.name("group"), name = try request.name("name")
        guard let rule = await operations.rule(group: group, name: name) else {
            throw Problem(.notFound, "there is no rule '\(name)' in a group '\(group)'")
        }
        return .json(rule.document)
    }
}

extension RuleStatus {
    var document: Document {
        let counts = AlertState.allCases.compactMap { state in instances[state].map { Document.Member(state.rawValue, .int(Int64($0))) } }
        return [
            "group": .string(group), "name": .string(name), "file": Document(file), "line": .int(Int64(line)), "enabled": .bool(isEnabled),
            "mode": .string(mode), "health": .string(health.rawValue), "lastError": Document(lastError),
            "lastEvaluationAt": Document(lastEvaluationAt), "evaluations": .int(evaluations), "instances": .object(counts),
            "source": .string(source),
        ]
    }
}
