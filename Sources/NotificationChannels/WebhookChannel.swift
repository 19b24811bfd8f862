public import OutgoingHTTP
public import RuleEngine

/// POST of the Alertmanager document. Redirects are not followed: a receiver that moved is to be written down anew, not found by whoever answers.
public struct WebhookChannel: NotificationAttempting {
    /// Carries the intent's id, the same at every attempt.
    public static let idHeader = "Nodesphere-Notification-Id"

    public let kind = "webhook"
    private let configuration: WebhookConfiguration
    private let http: HTTPClient

    public init(_ configuration: WebhookConfiguration, http: HTTPClient) {
        self.configuration = configuration
        self.http = http
    }

    public func attempt(_ notification: Notification) async -> AttemptResult {
        let document = Self.truncated(notification.document, to: configuration.maxAlerts)
        let answer = await http.send(
            HTTPRequest(
                url: configuration.url, configuration: configuration.http,
                headers: [("Content-Type", "application/json"), (Self.idHeader, notification.id)], body: Array(document.json.utf8),
                timeout: configuration.timeout))
        switch answer {
        case .response(let status, let retryAfter): return Self.result(of: status, retryAfter: retryAfter)
        case .refused(let reason): return AttemptResult(.rejected(reason: reason))
        case .noResponse(let reason, let mayHaveArrived):
            return AttemptResult(.failed(reason: reason, retryAfter: nil), mayHaveArrived: mayHaveArrived)
        }
    }

    static func result(of status: Int, retryAfter: Duration?) -> AttemptResult {
        switch status {
        case 200...299: AttemptResult(.delivered)
        case 300...399: AttemptResult(.rejected(reason: "the receiver answered \(status): redirects are not followed"))
        case 408, 429, 500...: AttemptResult(.failed(reason: "the receiver answered \(status)", retryAfter: retryAfter))
        case 400...499: AttemptResult(.rejected(reason: "the receiver answered \(status)"))
        default: AttemptResult(.failed(reason: "the receiver answered \(status)", retryAfter: nil))
        }
    }

    /// `max_alerts`: what is left out is counted.
    static func truncated(_ document: Document, to limit: Int) -> Document {
        guard limit > 0, let alerts = document["alerts"]?.array, alerts.count > limit, var members = document.members else {
            return document
        }
        for index in members.indices {
            switch members[index].name {
            case "alerts": members[index].value = .array(Array(alerts.prefix(limit)))
            case "truncatedAlerts":
                let already = members[index].value.int ?? 0
                members[index].value = .int(already + Int64(alerts.count - limit))
            case "nodesphere":
                guard let own = members[index].value["alerts"]?.array else { continue }
                members[index].value = members[index].value.merging(patch: ["alerts": .array(Array(own.prefix(limit)))])
            default: continue
            }
        }
        return .object(members)
    }
}
