import Logging
import RuleEngine

/// Carries out what rules publish at transitions: after the transition is stored, in order, again after a crash with the same ids.
final class ActionRunner: Sendable {
    private let publisher: any MessagePublisher
    private let board: AlertBoard
    private let queue: CommitQueue
    private let logger: Logger
    private let alerts: AsyncStream<AlertRecord>
    private let submit: AsyncStream<AlertRecord>.Continuation

    /// Alerts whose actions may wait; the oldest are dropped from here beyond it, but stay stored and are carried out at the next start.
    private static let bound = 10_000

    init(publisher: any MessagePublisher, board: AlertBoard, queue: CommitQueue, logger: Logger) {
        self.publisher = publisher
        self.board = board
        self.queue = queue
        self.logger = logger
        (alerts, submit) = AsyncStream.makeStream(of: AlertRecord.self, bufferingPolicy: .bufferingOldest(Self.bound))
    }

    func run(_ alert: AlertRecord) {
        if case .dropped = submit.yield(alert) {
            logger.error(
                "too many actions wait; those of \(alert.rule) are carried out at the next start", metadata: ["alert": "\(alert.id)"])
        }
    }

    func runAll() async {
        for await alert in alerts {
            for action in alert.pendingActions { await carryOut(action, of: alert) }
            if Task.isCancelled { return }
            if let done = board.actionsDone(of: alert) {
                queue.add(CommitWork(writes: [StateWrite(.alerts, id: done.storageID, done.document)]))
            }
        }
    }

    private func carryOut(_ action: PublishRequest, of alert: AlertRecord) async {
        var wait = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(PublishFailure) {
                try await publisher.publish(
                    topic: action.topic, payload: Array(action.payload.utf8), qos: action.qos, retain: action.retain,
                    properties: [("nodesphere-id", action.id)])
                return
            } catch {
                guard case .refused(let reason) = error else {
                    try? await Task.sleep(for: wait)
                    wait = min(wait * 2, .seconds(5))
                    continue
                }
                logger.error("an action of \(alert.rule) cannot be carried out: \(reason)", metadata: ["topic": "\(action.topic)"])
                return
            }
        }
    }
}
