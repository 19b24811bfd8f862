/// How an alert stands for receivers. Two states with the same standing are no news: a relapse from recovering is none.
enum Standing: Hashable, Sendable {
    /// Firing or recovering, at a level when the rule has levels.
    case firing(level: String?)
    case nodata
    case over
    /// One event of a rule with `event: true`: said once, has no end.
    case occurrence

    var isLive: Bool {
        switch self {
        case .firing, .nodata: true
        case .over, .occurrence: false
        }
    }

    /// Nil for an alert that nobody needs to hear of: pending, or over without having fired.
    init(_ alert: AlertRecord, isOccurrence: Bool = false) {
        if isOccurrence || alert.reason == .occurrence {
            self = .occurrence
        } else if alert.state == .nodata {
            self = .nodata
        } else if alert.state.isFiring {
            self = .firing(level: alert.level)
        } else {
            self = .over
        }
    }

    /// The stored form.
    var text: String {
        switch self {
        case .firing(nil): "firing"
        case .firing(let level?): "firing:" + level
        case .nodata: "nodata"
        case .over: "over"
        case .occurrence: "occurrence"
        }
    }

    init?(text: String) {
        switch text {
        case "firing": self = .firing(level: nil)
        case "nodata": self = .nodata
        case "over": self = .over
        case "occurrence": self = .occurrence
        default:
            guard text.hasPrefix("firing:") else { return nil }
            self = .firing(level: String(text.dropFirst(7)))
        }
    }
}

/// Which of two states of one alert is the later one: by episode, then by transition.
struct AlertPosition: Comparable, Hashable, Sendable {
    var activeAt: Instant
    var ordinal: Int64
    var transition: Int64

    init(_ alert: AlertRecord) {
        activeAt = alert.activeAt
        ordinal = alert.ordinal
        transition = alert.transition
    }

    static func < (left: AlertPosition, right: AlertPosition) -> Bool {
        (left.activeAt, left.ordinal, left.transition) < (right.activeAt, right.ordinal, right.transition)
    }
}
