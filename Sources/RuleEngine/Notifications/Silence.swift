/// For some time nothing is said of the alerts that agree with all matchers. Alertmanager's silence; `silences` in the state store.
public struct Silence: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable { case pending, active, expired }

    public var id: String
    /// Never empty, and never such that an alert without labels agrees.
    public var matchers: [Matcher]
    public var startsAt: Instant
    /// The first instant at which it hides nothing any more.
    public var endsAt: Instant
    public var createdBy: String
    public var comment: String
    public var updatedAt: Instant

    public init(
        id: String, matchers: [Matcher], startsAt: Instant, endsAt: Instant, createdBy: String = "", comment: String = "",
        updatedAt: Instant
    ) {
        self.id = id
        self.matchers = matchers
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.createdBy = createdBy
        self.comment = comment
        self.updatedAt = updatedAt
    }

    public func state(at now: Instant) -> State { now >= endsAt ? .expired : now < startsAt ? .pending : .active }
}

/// Why a silence is not taken.
public enum SilenceMistake: Error, Sendable, Equatable, CustomStringConvertible {
    case noMatcher
    case tooManyMatchers
    /// Of a matcher that is no regular expression.
    case pattern(String)
    /// It would hide an alert that has none of the labels, which means everything.
    case hidesEverything
    case endsBeforeItStarts
    /// It was over before it was made.
    case isOver
    case textTooLong(String)
    case tooMany

    public var description: String {
        switch self {
        case .noMatcher: "a silence must have at least one matcher"
        case .tooManyMatchers: "a silence has at most \(Silence.mostMatchers) matchers"
        case .pattern(let text): "'\(text)' must be a regular expression"
        case .hidesEverything: "one matcher at least must not agree with an empty label, or the silence would hide every alert"
        case .endsBeforeItStarts: "a silence must end after it starts"
        case .isOver: "a silence must end in the future"
        case .textTooLong(let name): "'\(name)' is too long"
        case .tooMany: "there are \(SilenceBook.most) silences already"
        }
    }
}

extension Silence {
    static let mostMatchers = 50
    static let longestText = 4_096
    static let formatVersion: Int64 = 1

    /// The stored form.
    public var document: Document {
        [
            "version": .int(Self.formatVersion),
            "matchers": .array(matchers.map { .array([.string($0.name), .string($0.operation.rawValue), .string($0.value)]) }),
            "startsAt": .int(startsAt.nanoseconds), "endsAt": .int(endsAt.nanoseconds), "createdBy": .string(createdBy),
            "comment": .string(comment), "updatedAt": .int(updatedAt.nanoseconds),
        ]
    }

    /// Nil for a document that is not of this form or of a version that this build does not know.
    public init?(id: String, document: Document) {
        guard document["version"]?.int == Self.formatVersion, let entries = document["matchers"]?.array,
            let startsAt = document["startsAt"]?.int, let endsAt = document["endsAt"]?.int, let updatedAt = document["updatedAt"]?.int
        else { return nil }
        let matchers = entries.compactMap { entry -> Matcher? in
            guard let parts = entry.array, parts.count == 3, let name = parts[0].string, let value = parts[2].string,
                let operation = parts[1].string.flatMap(Matcher.Operation.init)
            else { return nil }
            return Matcher(name, operation, value)
        }
        guard matchers.count == entries.count, !matchers.isEmpty else { return nil }
        self.init(
            id: id, matchers: matchers, startsAt: Instant(nanoseconds: startsAt), endsAt: Instant(nanoseconds: endsAt),
            createdBy: document["createdBy"]?.string ?? "", comment: document["comment"]?.string ?? "",
            updatedAt: Instant(nanoseconds: updatedAt))
    }
}
