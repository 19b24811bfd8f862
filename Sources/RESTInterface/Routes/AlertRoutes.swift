import RuleEngine

/// `/api/v1/alerts`: alerts by state and label, the newest first.
struct AlertRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] { [Route("/api/v1/alerts", .get(query: ["state", "label", "limit", "cursor"], list))] }

    @Sendable private func list(_ request: APIRequest) async throws -> Answer {
        let page = try PageRequest<AlertPosition>(of: "alerts", request.query)
        let filter = try AlertFilter(request.query)
        // The filter holds for the answer, whatever the operations gave.
        let alerts = await operations.alerts(matching: filter).filter(filter.matches)
        let hushes = await operations.hushes()
        return .json(page.document(of: alerts, at: AlertPosition.init, as: { $0.item(hushes) }))
    }
}

extension AlertFilter {
    private static let states = AlertState.allCases.filter { $0 != .inactive }

    /// Reads `state` and `label=NAME=VALUE`, both repeatable: any of the states, all of the labels.
    init(_ query: Query) throws(Problem) {
        self.init()
        for text in query.values(of: "state") where !text.isEmpty {
            guard let state = Self.states.first(where: { $0.rawValue == text }) else {
                throw .invalid("'state' must be one of \(Self.states.map(\.rawValue).joined(separator: ", ")), not '\(text.prefix(100))'")
            }
            states.insert(state)
        }
        for text in query.values(of: "label") where !text.isEmpty {
            guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "=")), mark > text.startIndex else {
                throw .invalid("'label' must be NAME=VALUE, not '\(text.prefix(100))'")
            }
            labels.append(Label(String(text[..<mark]), String(text[text.utf8.index(after: mark)...])))
        }
    }
}

/// Newest episodes first: those that begin while somebody pages through are before the cursor, so that none is given twice.
struct AlertPosition: ListPosition {
    var activeAt: Instant
    var id: String
    var ordinal: Int64

    init(_ alert: AlertRecord) {
        activeAt = alert.activeAt
        id = alert.id
        ordinal = alert.ordinal
    }

    static func < (left: AlertPosition, right: AlertPosition) -> Bool {
        if left.activeAt != right.activeAt { return left.activeAt > right.activeAt }
        if left.id != right.id { return left.id.utf8.lexicographicallyPrecedes(right.id.utf8) }
        return left.ordinal < right.ordinal
    }

    var parts: [Document] { [.int(activeAt.nanoseconds), .string(id), .int(ordinal)] }

    init?(parts: [Document]) {
        guard parts.count == 3, let activeAt = parts[0].int, let id = parts[1].string, let ordinal = parts[2].int else { return nil }
        self.activeAt = Instant(nanoseconds: activeAt)
        self.id = id
        self.ordinal = ordinal
    }
}

extension AlertRecord {
    /// The form of the API, which is not the stored one.
    func item(_ hushes: AlertHushes) -> Document {
        [
            "id": .string(id), "rule": ["group": .string(rule.group), "name": .string(rule.alert)], "labels": Document(labels),
            "annotations": Document(annotations), "state": .string(state.rawValue), "level": Document(level), "value": value,
            "activeAt": .instant(activeAt), "firedAt": Document(firedAt), "resolvedAt": Document(resolvedAt), "shadow": .bool(isShadow),
            "silencedBy": .array(hushes.silences(hiding: self).map(Document.string)),
            "acknowledged": hushes.acknowledgement(of: self)?.item ?? .null,
        ]
    }
}
