import Hummingbird
import RuleEngine

/// `/api/v1/silences`: what is not told for some time.
struct SilenceRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/api/v1/silences", .get(query: ["state", "limit", "cursor"], list), .post(.json, create)),
            Route("/api/v1/silences/{id}", .get(one), .put(.json, replace), .delete(expire)),
        ]
    }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<NamePosition>(of: "silences", request.query)
        let wanted = try request.query.values(of: "state").filter { !$0.isEmpty }.map(Self.state)
        let hushes = await operations.hushes()
        let silences = hushes.silences.all.filter { wanted.isEmpty || wanted.contains($0.state(at: hushes.at)) }
        let counts = await hidden(hushes)
        return .json(page.document(of: silences, at: { NamePosition($0.id) }, as: { $0.item(hides: counts[$0.id] ?? 0, at: hushes.at) }))
    }

    @Sendable private func one(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        let hushes = await operations.hushes()
        guard let silence = hushes.silences[id] else { throw Self.absent(id) }
        return .json(silence.item(hides: await hidden(hushes)[id] ?? 0, at: hushes.at))
    }

    @Sendable private func create(_ request: APIRequest) async throws -> Answer {
        let silence = try await put(request, id: "")
        return .json(try await item(silence), status: 201, headers: [.location: "/api/v1/silences/" + PercentCoding.encode(silence.id)])
    }

    @Sendable private func replace(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        guard await operations.hushes().silences[id] != nil else { throw Self.absent(id) }
        return .json(try await item(put(request, id: id)))
    }

    @Sendable private func expire(_ request: APIRequest) async throws -> Answer {
        let id = try request.name("id")
        guard try await operations.expireSilence(id: id) else { throw Self.absent(id) }
        return .noContent
    }

    private func put(_ request: APIRequest, id: String) async throws -> Silence {
        let draft = try Silence(id: id, try request.document(), now: await operations.hushes().at)
        switch try await operations.put(draft) {
        case .success(let silence): return silence
        case .failure(let mistake): throw Problem.invalid(mistake.description)
        }
    }

    private func item(_ silence: Silence) async throws -> Document {
        let hushes = await operations.hushes()
        return silence.item(hides: await hidden(hushes)[silence.id] ?? 0, at: hushes.at)
    }

    /// How many alerts each silence hides now.
    private func hidden(_ hushes: AlertHushes) async -> [String: Int] {
        guard !hushes.silences.isEmpty else { return [:] }
        var filter = AlertFilter()
        filter.states = Set(AlertState.allCases.filter(\.isFiring))
        var counts: [String: Int] = [:]
        for alert in await operations.alerts(matching: filter) { for id in hushes.silences(hiding: alert) { counts[id, default: 0] += 1 } }
        return counts
    }

    private static func state(_ text: String) throws(Problem) -> Silence.State {
        guard let state = Silence.State(rawValue: text) else {
            throw .invalid("'state' must be one of pending, active, expired, not '\(text.prefix(100))'")
        }
        return state
    }

    private static func absent(_ id: String) -> Problem { Problem(.notFound, "there is no silence '\(id)'") }
}

extension Silence {
    private static let members = ["id", "matchers", "startsAt", "endsAt", "duration", "createdBy", "comment"]

    /// Reads what POST and PUT take. What GET gives besides may be there and is not read.
    init(id: String, _ document: Document, now: Instant) throws(Problem) {
        try document.requireObject(of: Self.members + ["state", "updatedAt", "hides"])
        if !id.isEmpty { try document.requireName(id, in: "id") }
        let start = try document.instant("startsAt") ?? now
        self.init(
            id: id, matchers: try Self.matchers(document["matchers"]), startsAt: start,
            endsAt: try document.end("endsAt", from: start), createdBy: try document.text("createdBy"),
            comment: try document.text("comment"),
            updatedAt: now)
    }

    /// `{"name","value","isRegex","isEqual"}` as in Alertmanager's API, or texts such as `site=~"oslo|bergen"`.
    private static func matchers(_ document: Document?) throws(Problem) -> [Matcher] {
        let entries: [Document]
        switch document {
        case .array(let list): entries = list
        case .string: entries = [document ?? .null]
        default:
            throw .invalid("'matchers' must be a list of {\"name\", \"value\", \"isRegex\", \"isEqual\"} or of texts such as site=\"oslo\"")
        }
        var found: [Matcher] = []
        for entry in entries {
            if let text = entry.string {
                do { found += try MatcherText.parse(text).map(\.0) } catch {
                    throw .invalid("'matchers': \(error.message): '\(text.prefix(200))'")
                }
                continue
            }
            try entry.requireMembers(of: ["name", "value", "isRegex", "isEqual"], in: "a matcher")
            guard let name = entry["name"]?.string, MatcherText.isLabelName(name), let value = entry["value"]?.string else {
                throw .invalid("'matchers' must have a 'name' that is a label's and a 'value' that is a string")
            }
            let isRegex = try entry.flag("isRegex", default: false), isEqual = try entry.flag("isEqual", default: true)
            found.append(Matcher(name, isRegex ? isEqual ? .matches : .doesNotMatch : isEqual ? .equal : .notEqual, value))
        }
        return found
    }

    func item(hides: Int, at now: Instant) -> Document {
        [
            "id": .string(id), "matchers": .array(matchers.map(\.item)), "startsAt": .instant(startsAt), "endsAt": .instant(endsAt),
            "createdBy": .string(createdBy), "comment": .string(comment), "updatedAt": .instant(updatedAt),
            "state": .string(state(at: now).rawValue), "hides": .int(Int64(hides)),
        ]
    }
}

extension Matcher {
    fileprivate var item: Document {
        [
            "name": .string(name), "value": .string(value), "isRegex": .bool(operation.isRegularExpression),
            "isEqual": .bool(operation == .equal || operation == .matches),
        ]
    }
}
