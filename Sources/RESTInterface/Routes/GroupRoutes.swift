import RuleEngine

/// `/api/v1/groups`: rule groups as YAML. Those from files are read-only here, those made here live in the state store.
struct GroupRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/api/v1/groups", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/groups/{group}", .get(one), .put(.yaml, query: ["dry_run"], put), .delete(remove)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "groups", request.query)
        return .json(
            page.document(of: await operations.groups(), at: { NamePosition($0.name) }) { group in
                ["name": .string(group.name), "file": Document(group.file), "yaml": .string(group.yaml)]
            })
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("group")
        guard let group = await operations.group(named: name) else { throw Self.absent(name) }
        return Answer(status: 200, contentType: "application/yaml", body: group.yaml)
    }

    @Sendable private func put(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("group")
        let outcome = try await operations.putGroup(named: name, yaml: request.body, isDryRun: try request.query.flag("dry_run"))
        func done(_ status: Int, _ warnings: [Diagnostic]) -> Answer {
            .json(["name": .string(name), "diagnostics": .array(warnings.inOrder.map(\.document))], status: status)
        }
        switch outcome {
        case .created(let warnings): return done(201, warnings)
        case .replaced(let warnings), .checked(let warnings): return done(200, warnings)
        case .readOnly(let file): throw Self.readOnly(name, file)
        case .invalid(let diagnostics): throw Problem.invalidRules(diagnostics)
        }
    }

    @Sendable private func remove(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("group")
        switch try await operations.removeGroup(named: name) {
        case .removed: return .noContent
        case .absent: throw Self.absent(name)
        case .readOnly(let file): throw Self.readOnly(name, file)
        case .invalid(let diagnostics): throw Problem.invalidRules(diagnostics)
        }
    }

    private static func absent(_ name: String) -> Problem { Problem(.notFound, "there is no group '\(name)'") }

    private static func readOnly(_ name: String, _ file: String) -> Problem {
        Problem(.readOnly, "the group '\(name)' comes from '\(file)': change it there", members: [.init("file", .string(file))])
    }
}
