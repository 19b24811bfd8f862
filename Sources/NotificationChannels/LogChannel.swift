public import Logging
public import RuleEngine

/// A line an alert in the server's log: `firing TooWarm device=f1 site=oslo: f1 is warm (value -9.5)`.
public struct LogChannel: NotificationAttempting {
    public let kind = "log"
    private let logger: Logger

    public init(logger: Logger) { self.logger = logger }

    public func attempt(_ notification: Notification) async -> AttemptResult {
        for (level, line) in Self.lines(notification) {
            logger.log(level: level, "\(line)", metadata: ["notification": "\(notification.id)"])
        }
        return AttemptResult(.delivered)
    }

    static func lines(_ notification: Notification) -> [(Logger.Level, String)] {
        let own = notification.document["nodesphere"]?["alerts"]?.array ?? []
        return (notification.document["alerts"]?.array ?? []).enumerated().map { index, alert in
            let status = alert["status"]?.string ?? "firing"
            let value = own.indices.contains(index) ? own[index]["value"] : nil
            return (status == "resolved" ? .notice : .warning, line(status, alert, value: value))
        }
    }

    private static func line(_ status: String, _ alert: Document, value: Document?) -> String {
        let labels = alert["labels"]?.strings ?? [:]
        var text = "\(status) \(labels["alertname"] ?? "alert")"
        for (name, label) in labels.sorted(by: { $0.key < $1.key }) where name != "alertname" { text += " \(name)=\(label)" }
        let annotations = alert["annotations"]?.strings ?? [:]
        if let summary = annotations["summary"] ?? annotations["description"] { text += ": \(summary)" }
        if let value, value != .null { text += " (value \(value.string ?? value.json))" }
        return oneLine(text)
    }

    /// Labels come from topics and payloads: they must not begin a line of their own in the log, nor colour it.
    private static func oneLine(_ text: String) -> String {
        var clean = ""
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
            clean.unicodeScalars.append(isControl ? " " : scalar)
        }
        return clean
    }
}
