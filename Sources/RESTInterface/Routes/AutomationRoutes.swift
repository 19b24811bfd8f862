public import RuleEngine

/// `/api/v1/automations`: the scripts that run, and how they fare.
struct AutomationRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/api/v1/automations", .get(query: ["limit", "cursor"], list)),
            Route("/api/v1/automations/{name}", .get(one)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "automations", request.query)
        return .json(page.document(of: await operations.automations(), at: { NamePosition($0.name, $0.file) }, as: \.document))
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let name = try request.name("name")
        guard let automation = await operations.automations().first(where: { $0.name == name }) else {
            throw Problem(.notFound, "there is no automation '\(name)'")
        }
        return .json(automation.document)
    }
}

/// An automation as the API shows it.
public struct AutomationStatus: Sendable, Equatable {
    public var name: String
    public var file: String
    public var description: String
    /// `running`, `disabled` (it rests after faults) or `failed` (its file could not be loaded).
    public var state: String
    /// `file:line: message` of the last fault.
    public var lastError: String?
    /// Since it was loaded.
    public var faults: Int
    /// When a disabled one goes on.
    public var disabledUntil: Instant?
    public var runs: Int
    /// Handlers that wait.
    public var waiting: Int
    /// Bytes that its Lua holds.
    public var memory: Int

    public init(
        name: String, file: String, description: String = "", state: String, lastError: String? = nil, faults: Int = 0,
        disabledUntil: Instant? = nil, runs: Int = 0, waiting: Int = 0,
        memory: Int = 0
    ) {
        self.name = name
        self.file = file
        self.description = description
        self.state = state
        self.lastError = lastError
        self.faults = faults
        self.disabledUntil = disabledUntil
        self.runs = runs
        self.waiting = waiting
        self.memory = memory
    }

    var document: Document {
        [
            "name": .string(name), "file": .string(file), "description": .string(description), "state": .string(state),
            "lastError": Document(lastError), "faults": .int(Int64(faults)),
            "disabledUntil": disabledUntil.map { .instant($0) } ?? .null, "runs": .int(Int64(runs)), "waiting": .int(Int64(waiting)),
            "memory": .int(Int64(memory)),
        ]
    }
}
