import RuleEngine

/// A request as routes see it: parts of the path decoded and checked, the body whole.
struct APIRequest: Sendable {
    /// Decoded parts of the path by the names that the route gives them.
    var parameters: [String: String]
    var query: Query
    var body: [UInt8]

    init(parameters: [String: String] = [:], query: Query = Query(), body: [UInt8] = []) {
        self.parameters = parameters
        self.query = query
        self.body = body
    }

    /// A name or id out of the path.
    func name(_ parameter: String) throws(Problem) -> String {
        guard let name = parameters[parameter], !name.isEmpty else { throw .invalid("the path has no \(parameter)") }
        guard name.utf8.count <= 512 else { throw .invalid("a name must not be longer than 512 bytes") }
        guard !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw .invalid("a name must not have control characters")
        }
        return name
    }

    /// The body as JSON.
    func document() throws(Problem) -> Document {
        do {
            return try Document(json: body)
        } catch {
            throw Problem(
                .invalidJSON, "\(error.message) (at byte \(error.offset))", members: [.init("offset", .int(Int64(error.offset)))])
        }
    }

    /// The body as a JSON object with no members but these.
    func object(of members: [String]) throws(Problem) -> Document {
        let document = try document()
        try document.requireObject(of: members)
        return document
    }
}

extension Document {
    /// Throws unless this is an object with no members but these.
    func requireObject(of known: [String]) throws(Problem) { try requireMembers(of: known, in: "the body") }

    /// The same for a part of the body, by its name.
    func requireMembers(of known: [String], in subject: String) throws(Problem) {
        guard let members else { throw .invalid("\(subject) must be a JSON object") }
        let unknown = members.map(\.name).filter { !known.contains($0) }
        guard let first = unknown.first else { return }
        let names = unknown.map { "'\($0.prefix(100))'" }.joined(separator: ", ")
        let hint = nearestName(to: first, in: known).map { "; did you mean '\($0)'?" } ?? ""
        throw .invalid("unknown member\(unknown.count == 1 ? "" : "s") \(names)\(hint) (known: \(known.joined(separator: ", ")))")
    }

    /// The member as an object; an empty one when there is none.
    func objectMember(_ name: String) throws(Problem) -> Document {
        guard let value = self[name] else { return .emptyObject }
        guard value.members != nil else { throw .invalid("'\(name)' must be an object") }
        return value
    }

    /// The member as a text; an empty one when there is none.
    func text(_ name: String) throws(Problem) -> String {
        switch self[name] {
        case nil, .null: return ""
        case .string(let text): return text
        default: throw .invalid("'\(name)' must be a string")
        }
    }

    func flag(_ name: String, default value: Bool) throws(Problem) -> Bool {
        guard let member = self[name] else { return value }
        guard let flag = member.bool else { throw .invalid("'\(name)' must be true or false") }
        return flag
    }

    /// The member as an instant of RFC 3339; nil when there is none.
    func instant(_ name: String) throws(Problem) -> Instant? {
        guard let member = self[name], member != .null else { return nil }
        guard let instant = member.string.flatMap({ Instant(rfc3339: $0) }) else {
            throw .invalid("'\(name)' must be an instant of RFC 3339, as 2026-01-31T20:00:00Z")
        }
        return instant
    }

    /// An end that is given as an instant under `name`, or as a `duration` from `start`.
    func end(_ name: String, from start: Instant) throws(Problem) -> Instant {
        switch (try instant(name), self["duration"]) {
        case (let end?, nil): return end
        case (nil, let text?):
            guard let duration = text.string.flatMap({ Duration(ruleText: $0) }), duration > .zero else {
                throw .invalid("'duration' must be a duration such as 2h or 1h30m")
            }
            return start + duration.inNanoseconds
        case (nil, nil): throw .invalid("'\(name)' or 'duration' is missing")
        case (_?, _?): throw .invalid("'\(name)' and 'duration' say the same: give one of them")
        }
    }

    /// A body may repeat the name that stands in the path, and no other.
    func requireName(_ name: String, in member: String) throws(Problem) {
        guard let value = self[member] else { return }
        guard let text = value.string, text.utf8.elementsEqual(name.utf8) else {
            throw .invalid("'\(member)' must be the one of the path, '\(name)'")
        }
    }
}
