public import RuleEngine

/// A message to a topic: the Alertmanager document, or what the payload's template says.
public struct MQTTChannel: NotificationAttempting {
    public let kind = "mqtt"
    private let configuration: MQTTChannelConfiguration
    private let publisher: (any MessagePublisher)?
    private let rendering: any NotificationTextRendering

    public init(_ configuration: MQTTChannelConfiguration, publisher: (any MessagePublisher)?, rendering: any NotificationTextRendering) {
        self.configuration = configuration
        self.publisher = publisher
        self.rendering = rendering
    }

    public func attempt(_ notification: Notification) async -> AttemptResult {
        guard let publisher else { return AttemptResult(.failed(reason: "there is no MQTT connection to publish on", retryAfter: nil)) }
        guard let topic = rendering.render(configuration.topic, document: notification.document) else {
            return AttemptResult(.rejected(reason: "the topic's template cannot be filled in"))
        }
        if let reason = Self.refusal(of: topic) { return AttemptResult(.rejected(reason: reason)) }
        let payload: String
        if let text = configuration.payload {
            guard let filled = rendering.render(text, document: notification.document) else {
                return AttemptResult(.rejected(reason: "the payload's template cannot be filled in"))
            }
            payload = filled
        } else {
            payload = notification.document.json
        }
        do throws(PublishFailure) {
            try await publisher.publish(
                topic: topic, payload: Array(payload.utf8), qos: configuration.qos, retain: configuration.retain,
                properties: [(WebhookChannel.idHeader, notification.id)])
            return AttemptResult(.delivered)
        } catch {
            switch error {
            // It may have arrived, says the publisher's contract.
            case .unavailable(let reason): return AttemptResult(.failed(reason: reason, retryAfter: nil), mayHaveArrived: true)
            case .refused(let reason): return AttemptResult(.rejected(reason: reason))
            }
        }
    }

    /// MQTT 5 §4.7: a topic to publish to is not empty, has no wildcards and no null character, and fits 16 bits.
    private static func refusal(of topic: String) -> String? {
        if topic.isEmpty { return "the topic is empty" }
        if topic.utf8.count > 65_535 { return "the topic is longer than 65,535 bytes" }
        if topic.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
            return "the topic has a wildcard or a null character in it"
        }
        return nil
    }
}
