internal import Foundation
internal import Synchronization

/// Where a message lay.
enum Source: Sendable, Equatable {
    case due
    case channel(receiver: String)
}

/// A message with the consumer, not yet acknowledged.
struct Arrival: Sendable {
    /// Which connection of the intake it came by: an acknowledgement is good on that one only.
    var connection: Int
    var tag: UInt64
    var source: Source
    var message: ReceivedMessage
}

/// Consumes `due` and the receivers' queues, on a thread and a connection of its own.
final class Intake: Sendable {
    enum Settlement: Sendable { case acknowledged, givenBack }

    struct State: Sendable {
        var settlements: [(connection: Int, tag: UInt64, Settlement)] = []
        var receivers: [String]
        var connection = 0
        var isStopping = false
        var isEnded = false
        var waitingForEnd: CheckedContinuation<Void, Never>?
    }

    let configuration: AMQPConfiguration
    let topology: Topology
    let outage: Outage
    let doorbell = Doorbell()
    let state: Mutex<State>
    let onArrival: @Sendable (Arrival) -> Void

    init(_ configuration: AMQPConfiguration, receivers: [String], outage: Outage, onArrival: @escaping @Sendable (Arrival) -> Void) {
        self.configuration = configuration
        topology = Topology(prefix: configuration.prefix)
        self.outage = outage
        state = Mutex(State(receivers: receivers))
        self.onArrival = onArrival
    }

    func start() {
        let thread = Thread { IntakeLoop(self).run() }
        thread.name = "amqp-intake"
        thread.start()
    }

    func setReceivers(_ names: [String]) {
        state.withLock { $0.receivers = names }
        doorbell.ring()
    }

    func settle(_ arrival: Arrival, _ settlement: Settlement) {
        state.withLock { $0.settlements.append((arrival.connection, arrival.tag, settlement)) }
        doorbell.ring()
    }

    /// Whether the arrival's connection still stands; otherwise the broker offers the message again.
    func holds(_ arrival: Arrival) -> Bool { state.withLock { $0.connection == arrival.connection && !$0.isStopping } }

    /// Sends the last acknowledgements and closes the connection, so that the broker takes back what was not acknowledged.
    func stop() async {
        await withCheckedContinuation { continuation in
            let isEnded = state.withLock { state in
                state.isStopping = true
                if !state.isEnded { state.waitingForEnd = continuation }
                return state.isEnded
            }
            if isEnded { continuation.resume() }
            doorbell.ring()
        }
    }
}

/// The intake's thread. Everything in it belongs to that one thread.
final class IntakeLoop {
    private let intake: Intake
    private var delay = ReconnectDelay()
    /// By consumer tag; cancelled ones stay, since messages may be on the way to them.
    private var sources: [String: Source] = [:]
    /// The consumer tags of the receivers' queues.
    private var channels: [String: String] = [:]
    private var nextConsumer = 0

    init(_ intake: Intake) { self.intake = intake }

    func run() {
        while !isStopping {
            do throws(AMQPFailure) {
                try serveConnection()
            } catch {
                intake.state.withLock { state in
                    // From here on no acknowledgement of the old connection may reach the new one, where the tags begin anew.
                    state.connection += 1
                    state.settlements = []
                }
                intake.outage.isDown(.consuming, because: error.description)
                pause(delay.after(chance: .random(in: 0...1)))
            }
        }
        intake.outage.forget(.consuming)
        let waiting = intake.state.withLock { state in
            state.isEnded = true
            defer { state.waitingForEnd = nil }
            return state.waitingForEnd
        }
        waiting?.resume()
    }

    private var isStopping: Bool { intake.state.withLock { $0.isStopping } }

    private func serveConnection() throws(AMQPFailure) {
        sources = [:]
        channels = [:]
        let connection = try AMQPConnection(intake.configuration)
        try intake.topology.declare(on: connection)
        let number = intake.state.withLock { $0.connection }
        try consume(.due, on: connection)
        try adjustReceivers(connection)
        intake.outage.isUp(.consuming)
        let upSince = ContinuousClock.now
        while true {
            // Asked before the settlements are taken: those given before `stop` are sent.
            let isLast = isStopping
            while let incoming = try connection.nextIncoming() {
                guard case .delivery(let tag, let consumerTag, let message) = incoming, let source = sources[consumerTag] else { continue }
                intake.onArrival(Arrival(connection: number, tag: tag, source: source, message: message))
            }
            try sendSettlements(connection)
            if isLast { return connection.close() }
            // While it waits for an answer the library reads what comes besides: the descriptor says nothing of that any more.
            if try adjustReceivers(connection) { continue }
            if upSince.duration(to: .now) > .seconds(10) { delay.reset() }
            intake.doorbell.wait(alsoFor: connection.descriptor, atMost: connection.longestPause)
        }
    }

    private func sendSettlements(_ connection: AMQPConnection) throws(AMQPFailure) {
        let (number, settlements) = intake.state.withLock { state in
            defer { state.settlements = [] }
            return (state.connection, state.settlements)
        }
        for (arrivedBy, tag, settlement) in settlements where arrivedBy == number {
            switch settlement {
            case .acknowledged: try connection.acknowledge(tag)
            case .givenBack: try connection.giveBack(tag)
            }
        }
    }

    @discardableResult
    private func consume(_ source: Source, on connection: AMQPConnection) throws(AMQPFailure) -> String {
        nextConsumer += 1
        let consumerTag = "nodesphere-\(nextConsumer)"
        // Before the broker is asked: the first messages may come with its answer.
        sources[consumerTag] = source
        switch source {
        case .due:
            try connection.consume(intake.topology.due, consumerTag: consumerTag, prefetch: intake.configuration.prefetch)
        case .channel(let receiver):
            try intake.topology.declare(receiver: receiver, on: connection)
            let queue = intake.topology.channel(receiver)
            try connection.consume(queue, consumerTag: consumerTag, prefetch: intake.configuration.prefetch)
        }
        return consumerTag
    }

    /// Queues of receivers that are gone keep what they hold until the receiver is back. True when the broker was asked for something.
    @discardableResult
    private func adjustReceivers(_ connection: AMQPConnection) throws(AMQPFailure) -> Bool {
        let wanted = intake.state.withLock { $0.receivers }
        var isChanged = false
        for (receiver, consumerTag) in channels where !wanted.contains(receiver) {
            channels[receiver] = nil
            isChanged = true
            try connection.cancelConsumer(consumerTag)
        }
        for receiver in wanted where channels[receiver] == nil {
            isChanged = true
            channels[receiver] = try consume(.channel(receiver: receiver), on: connection)
        }
        return isChanged
    }

    private func pause(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !isStopping { intake.doorbell.wait(atMost: ContinuousClock.now.duration(to: end)) }
    }
}
