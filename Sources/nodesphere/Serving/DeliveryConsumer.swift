import Logging
import NotificationChannels
import RuleEngine
import Synchronization

/// The server's side of the scheduler: wakes groups, and tries deliveries on their channels.
final class DeliveryConsumer: ScheduledMessageConsumer {
    private let host: EngineHost
    private let channels: Mutex<ChannelSet>
    private let logger: Logger

    /// For what cannot be stored because the server ends: it is offered again at the next start.
    private static let pause = Duration.seconds(1)

    init(host: EngineHost, channels: ChannelSet, logger: Logger) {
        self.host = host
        self.channels = Mutex(channels)
        self.logger = logger
    }

    func setChannels(_ new: ChannelSet) { channels.withLock { $0 = new } }

    func due(_ message: ScheduledMessage) async -> DueDecision {
        do {
            switch message.kind {
            case .wake(let groupKey):
                return try await host.withPipelineStored { pipeline, now in (.done, pipeline.wake(groupKey: groupKey, at: now)) }
            case .delivery:
                return try await host.withPipelineStored { pipeline, now in pipeline.mayDeliver(message, at: now) }
            }
        } catch { return .later(Self.pause) }
    }

    func deliver(_ message: ScheduledMessage) async -> DeliveryOutcome {
        let decision = host.withPipeline { pipeline, now in pipeline.beginDelivery(message, at: now) }
        switch decision {
        case .done: return .done
        case .later(let wait): return .later(wait)
        case .attempt(let integration, let notification):
            let channels = channels.withLock { $0 }
            let result = await channels.attempt(integration, notification)
            log(message, integration, result)
            do { return try await host.withPipelineStored { pipeline, now in pipeline.deliveryEnded(message, result, at: now) } } catch {
                return .later(Self.pause)
            }
        }
    }

    private func log(_ message: ScheduledMessage, _ integration: Integration, _ result: AttemptResult) {
        switch result.result {
        case .delivered:
            logger.debug(
                "notification delivered",
                metadata: ["receiver": "\(integration.receiver)", "channel": "\(integration.kind)", "id": "\(message.id)"])
        case .failed(let reason, _):
            logger.warning(
                "a notification could not be delivered and will be tried again: \(reason)",
                metadata: [
                    "receiver": "\(integration.receiver)", "channel": "\(integration.kind)", "id": "\(message.id)",
                    "attempt": "\(message.attempt + 1)",
                ])
        case .rejected(let reason):
            logger.error(
                "a notification was rejected and is now a dead letter: \(reason)",
                metadata: ["receiver": "\(integration.receiver)", "channel": "\(integration.kind)", "id": "\(message.id)"])
        }
    }
}
