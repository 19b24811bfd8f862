import AMQPNotifications
import RuleEngine
import Synchronization

/// Stored transitions on their way to RabbitMQ's exchange for integrations. Nothing waits for it: what finds its queue full, or the broker away, is dropped and counted.
final class EventFeed: Sendable {
    struct Counts: Sendable {
        var published: Int64 = 0
        /// New ones, while `bound` waited.
        var droppedByQueue: Int64 = 0
        /// While the broker was away, or did not keep up.
        var droppedByBroker: Int64 = 0
    }

    private let scheduler: AMQPScheduler
    private let source: String
    private let transitions: AsyncStream<AlertTransition>
    private let submit: AsyncStream<AlertTransition>.Continuation
    private let tally = Mutex(Counts())

    private static let bound = 10_000

    init(scheduler: AMQPScheduler, source: String) {
        self.scheduler = scheduler
        self.source = source
        (transitions, submit) = AsyncStream.makeStream(of: AlertTransition.self, bufferingPolicy: .bufferingOldest(Self.bound))
    }

    var counts: Counts { tally.withLock { $0 } }

    /// Takes in what has been stored, in its order.
    func add(_ stored: [AlertTransition]) {
        for transition in stored {
            if case .dropped = submit.yield(transition) { tally.withLock { $0.droppedByQueue += 1 } }
        }
    }

    /// Ends `run` after what waits.
    func close() { submit.finish() }

    func run() async {
        for await transition in transitions {
            let isTaken = scheduler.publishEvent(
                id: transition.id, alertname: transition.alert.rule.alert, state: transition.alert.state.rawValue,
                body: Array(transition.event(source: source).json.utf8))
            tally.withLock { if isTaken { $0.published += 1 } else { $0.droppedByBroker += 1 } }
        }
    }
}
