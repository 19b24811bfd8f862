public import Logging
public import OutgoingHTTP
public import RuleEngine

/// The channels of all receivers. Each channel of a receiver is an integration with intents, retries and dead letters of its own, so an
/// attempt concerns one channel, and what went through on one is never repeated for another's sake.
public struct ChannelSet: Sendable {
    private let channels: [Integration: any NotificationAttempting]

    public init(_ channels: [Integration: any NotificationAttempting]) { self.channels = channels }

    /// `plugins` makes the channels that plugins provide. `publisher` nil: there is no MQTT connection to publish on, and `mqtt` channels fail until there is.
    public init(
        receivers: some Sequence<Receiver>, http: HTTPClient, publisher: (any MessagePublisher)?, rendering: any NotificationTextRendering,
        plugins: (PluginChannelConfiguration) -> any NotificationAttempting, logger: Logger
    ) {
        var channels: [Integration: any NotificationAttempting] = [:]
        for receiver in receivers {
            for (index, configuration) in receiver.channels.enumerated() {
                let integration = Integration(receiver: receiver.name, kind: configuration.kind, index: index)
                channels[integration] =
                    switch configuration {
                    case .webhook(let webhook): WebhookChannel(webhook, http: http)
                    case .log: LogChannel(logger: logger)
                    case .mqtt(let mqtt): MQTTChannel(mqtt, publisher: publisher, rendering: rendering)
                    case .plugin(let plugin): plugins(plugin)
                    }
            }
        }
        self.channels = channels
    }

    public func attempt(_ integration: Integration, _ notification: Notification) async -> AttemptResult {
        guard let channel = channels[integration] else {
            return AttemptResult(
                .rejected(reason: "receiver '\(integration.receiver)' has no channel \(integration.kind)[\(integration.index)]"))
        }
        return await channel.attempt(notification)
    }
}
