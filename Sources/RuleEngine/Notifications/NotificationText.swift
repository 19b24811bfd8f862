/// Text of the notification configuration with `{{ CEL }}` in it, split: `alerts/{{ group_labels.alertname }}`.
public struct NotificationText: Sendable, Equatable {
    public enum Part: Sendable, Equatable {
        case literal(String)
        /// The CEL between the braces, without the white space around it.
        case expression(String)
    }
    public var parts: [Part]

    public init(_ parts: [Part]) { self.parts = parts }

    /// What an expression may name.
    public static let names = [
        "group_labels", "common_labels", "common_annotations", "status", "receiver", "alerts", "labels", "annotations",
    ]

    /// The values of `names` in a notification's Alertmanager document; nil where there is none: `labels` and `annotations` are those of
    /// a single alert.
    public static func values(of document: Document) -> [Document?] {
        let alerts = document["alerts"]
        let single = alerts?.array.flatMap { $0.count == 1 ? $0[0] : nil }
        return [
            document["groupLabels"], document["commonLabels"], document["commonAnnotations"], document["status"], document["receiver"],
            alerts, single?["labels"], single?["annotations"],
        ]
    }
    public init(literal: String) { parts = [.literal(literal)] }

    /// The text when there is no expression in it.
    public var constant: String? {
        var text = ""
        for part in parts {
            guard case .literal(let literal) = part else { return nil }
            text += literal
        }
        return text
    }
}

/// Fills in texts of the notification configuration. (A port of the core's own: expressions need CEL and the names above.)
public protocol NotificationTextRendering: Sendable {
    /// `document` is the notification's Alertmanager document. A part that cannot be evaluated is `<no value>`; nil where there is nobody to
    /// evaluate expressions.
    func render(_ text: NotificationText, document: Document) -> String?
}

/// Renders texts without expressions; what has some cannot be filled in.
public struct ConstantTextRendering: NotificationTextRendering {
    public init() {}
    public func render(_ text: NotificationText, document: Document) -> String? { text.constant }
}
