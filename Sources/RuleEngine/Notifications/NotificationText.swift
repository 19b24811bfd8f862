/// Text of the notification configuration with `{{ CEL }}` in it, split: `alerts/{{ group_labels.alertname }}`.
///
/// Names in it: `group_labels`, `common_labels`, `common_annotations`, `status`, `receiver`, `alerts`.
public struct NotificationText: Sendable, Equatable {
    public enum Part: Sendable, Equatable {
        case literal(String)
        /// The CEL between the braces, without the white space around it.
        case expression(String)
    }
    public var parts: [Part]

    public init(_ parts: [Part]) { self.parts = parts }
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
    /// `document` is the notification's Alertmanager document. Nil when some part cannot be evaluated.
    func render(_ text: NotificationText, document: Document) -> String?
}

/// Renders texts without expressions; what has some cannot be filled in.
public struct ConstantTextRendering: NotificationTextRendering {
    public init() {}
    public func render(_ text: NotificationText, document: Document) -> String? { text.constant }
}
