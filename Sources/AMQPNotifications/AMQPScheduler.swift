internal import Dispatch
public import Logging
public import RuleEngine
internal import Synchronization

/// Carries scheduled messages through RabbitMQ's queues: what is not due yet waits in the broker (see `Topology`), not here.
///
/// It begins to connect with the first call. Every connection has a thread of its own, so no call blocks; all are closed when the scheduler is let go of.
public final class AMQPScheduler: NotificationScheduler {
    let configuration: AMQPConfiguration
    let topology: Topology
    let publisher: Publisher
    let now: @Sendable () -> Instant
    private let outage: Outage
    private let intake = Mutex<Intake?>(nil)
    /// Listings are one at a time: each holds the messages it reads until it ends. Its calls block, on a thread of the queue's.
    private let listings = DispatchQueue(label: "amqp-dead-letters")

    public init(_ configuration: AMQPConfiguration, logger: Logger, now: @escaping @Sendable () -> Instant) {
        self.configuration = configuration
        topology = Topology(prefix: configuration.prefix)
        outage = Outage(broker: configuration.description, logger: logger)
        publisher = Publisher(configuration, outage: outage)
        self.now = now
    }

    deinit { publisher.stop() }

    public func schedule(_ messages: [ScheduledMessage]) async throws(SchedulerFailure) {
        for message in messages {
            if let reason = refusalReason(message) { throw .refused("message '\(message.id)': \(reason)") }
        }
        let now = now()
        do {
            try await publisher.publish(messages.map { topology.publication(of: $0, now: now) })
        } catch {
            throw SchedulerFailure(error)
        }
    }

    /// Queues of receivers that are no longer named keep what they hold, until the receiver is back or somebody deletes them.
    public func setReceivers(_ names: [String]) async throws(SchedulerFailure) {
        for name in names {
            if let reason = refusalReason(receiver: name) { throw .refused("receiver '\(name)': \(reason)") }
        }
        intake.withLock { $0?.setReceivers(names) }
        do {
            try await publisher.setReceivers(names)
        } catch {
            throw SchedulerFailure(error)
        }
    }

    /// Calls under way see the cancellation; their answers are still carried out.
    public func run(_ consumer: any ScheduledMessageConsumer) async {
        publisher.startIfNeeded()
        // Not bounded here: the broker sends no more than the prefetch for each queue.
        let (arrivals, continuation) = AsyncStream<Arrival>.makeStream()
        let receivers = publisher.state.withLock { $0.receivers }
        let intake = Intake(configuration, receivers: receivers, outage: outage) { continuation.yield($0) }
        self.intake.withLock { $0 = intake }
        // Again, for those set in between.
        intake.setReceivers(publisher.state.withLock { $0.receivers })
        intake.start()
        let handling = ArrivalHandling(topology: topology, publisher: publisher, intake: intake, consumer: consumer, now: now)
        let lanes = SerialLanes()
        await withDiscardingTaskGroup { group in
            for await arrival in arrivals {
                let id = arrival.message.messageID ?? ""
                guard lanes.enter(id, arrival) else { continue }
                group.addTask {
                    var next: Arrival? = arrival
                    while let current = next {
                        if !Task.isCancelled { await handling.handle(current) }
                        next = lanes.next(id)
                    }
                }
            }
        }
        self.intake.withLock { $0 = $0 === intake ? nil : $0 }
        await intake.stop()
    }

    public func unreadyReason() async -> String? {
        publisher.startIfNeeded()
        if let reason = outage.reason { return reason }
        if case .untried = publisher.state.withLock({ $0.link }) { return "RabbitMQ at \(configuration): connecting" }
        return nil
    }

    /// Hands an alert event to the exchange for integrations, as far as the broker is there: events are not stored, nor sent again.
    /// They fill the publisher's queue to a half at most, so that notifications find room.
    /// - Parameter body: a CloudEvents JSON document.
    /// - Returns: false when it is lost already.
    @discardableResult
    public func publishEvent(id: String? = nil, alertname: String, state: String, body: [UInt8]) -> Bool {
        publisher.publishUnconfirmed(
            Publication(
                exchange: topology.events, routingKey: Topology.eventKey(alertname: alertname, state: state), isMandatory: false,
                messageID: id, contentType: "application/cloudevents+json", body: body))
    }

    private func refusalReason(_ message: ScheduledMessage) -> String? {
        if !(0...Int(Int32.max)).contains(message.attempt) { return "an attempt's number must be 0 to \(Int32.max)" }
        if case .delivery(let receiver, _, _) = message.kind, let reason = refusalReason(receiver: receiver) { return reason }
        return topology.publicationWhenDue(message).refusalReason()
    }

    private func refusalReason(receiver name: String) -> String? {
        if name.isEmpty { return "a receiver must have a name" }
        if topology.channel(name).utf8.count > 255 || Topology.word(name).utf8.count > 250 { return "the name is too long for a queue's" }
        return nil
    }
}

// MARK: - Dead letters

extension AMQPScheduler {
    /// The oldest first, and of more than `limit` the oldest. Two servers that list at the same time may each see a part.
    public func deadLetters(limit: Int) async throws(SchedulerFailure) -> [DeadLetter] {
        guard limit > 0 else { return [] }
        let (configuration, topology) = (configuration, topology)
        let result: Result<[DeadLetter], AMQPFailure> = await withCheckedContinuation { continuation in
            listings.async {
                continuation.resume(returning: Result { () throws(AMQPFailure) in try Self.read(configuration, topology, limit: limit) })
            }
        }
        switch result {
        case .success(let letters): return letters
        case .failure(let failure): throw .unavailable("RabbitMQ at \(configuration): \(failure)")
        }
    }

    /// Reads without acknowledging, then gives all back in one go, which keeps their order.
    private static func read(
        _ configuration: AMQPConfiguration, _ topology: Topology, limit: Int
    ) throws(AMQPFailure) -> [DeadLetter] {
        let connection = try AMQPConnection(configuration)
        try topology.declare(on: connection)
        var letters: [DeadLetter] = []
        var last: UInt64 = 0
        while letters.count < limit, let (tag, message) = try connection.get(topology.dead) {
            letters.append(topology.deadLetter(message))
            last = tag
        }
        if last > 0 { try connection.giveBack(last, multiple: true) }
        connection.close()
        return letters
    }
}

extension SchedulerFailure {
    init(_ failure: PublishFailure) {
        switch failure {
        case .unavailable(let reason), .unroutable(let reason): self = .unavailable(reason)
        case .refused(let reason): self = .refused(reason)
        }
    }
}
