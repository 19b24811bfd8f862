/// Somebody has taken an alert upon themselves: no reminders, and nothing said of what is no worse, until it resolves or the time is over.
/// Of one episode; `acknowledgements` in the state store, under the alert's id.
public struct Acknowledgement: Sendable, Equatable {
    /// Id of the alert (`AlertRecord.id`).
    public var alert: String
    public var episode: String
    public var by: String
    public var comment: String
    public var at: Instant
    /// Nil: until the alert is over.
    public var until: Instant?
    /// How the alert stood when it was acknowledged.
    var standing: Standing
    /// The place of its level among the rule's levels then.
    var levelPlace: Int?

    static let formatVersion: Int64 = 1

    /// Until when it covers the alert as it stands now; nil when it does not. Worse than what was acknowledged is not covered, nor is a level of which nobody knows whether it is worse.
    func covers(_ alert: AlertRecord, _ standing: Standing, at now: Instant) -> Instant? {
        guard alert.episode == episode, now < until ?? .distantFuture else { return nil }
        if standing == self.standing { return until ?? .distantFuture }
        switch (self.standing, standing) {
        case (.firing, .nodata): break
        case (.firing, .firing):
            guard let place = alert.levelPlace, let known = levelPlace, place <= known else { return nil }
        default: return nil
        }
        return until ?? .distantFuture
    }

    /// The form that people and programs see.
    public var item: Document {
        ["by": .string(by), "comment": .string(comment), "at": .instant(at), "until": Document(until)]
    }

    /// The stored form.
    public var document: Document {
        [
            "version": .int(Self.formatVersion), "episode": .string(episode), "by": .string(by), "comment": .string(comment),
            "at": .int(at.nanoseconds), "until": until.map { .int($0.nanoseconds) } ?? .null, "standing": .string(standing.text),
            "levelPlace": levelPlace.map { .int(Int64($0)) } ?? .null,
        ]
    }
}

extension Acknowledgement {
    /// Nil for a document that is not of this form or of a version that this build does not know.
    public init?(alert: String, document: Document) {
        guard document["version"]?.int == Self.formatVersion, let episode = document["episode"]?.string, let at = document["at"]?.int,
            let standing = document["standing"]?.string.flatMap(Standing.init(text:))
        else { return nil }
        self.init(
            alert: alert, episode: episode, by: document["by"]?.string ?? "", comment: document["comment"]?.string ?? "",
            at: Instant(nanoseconds: at), until: document["until"]?.int.map(Instant.init(nanoseconds:)), standing: standing,
            levelPlace: document["levelPlace"]?.int.flatMap(Int.init(exactly:)))
    }
}

/// Why an alert cannot be acknowledged.
public enum AcknowledgementMistake: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no such alert, or it does not fire.
    case notFiring
    /// Its rule runs in the shadow: nobody is told of it.
    case shadow
    case isOver
    case textTooLong(String)

    public var description: String {
        switch self {
        case .notFiring: "only an alert that fires can be acknowledged"
        case .shadow: "an alert of a rule in the shadow needs no acknowledgement: nobody is told of it"
        case .isOver: "the acknowledgement must end in the future"
        case .textTooLong(let name): "'\(name)' is too long"
        }
    }
}
