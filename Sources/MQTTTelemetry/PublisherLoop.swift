import Glibc
import Logging
import RuleEngine
import Synchronization

/// The thread of a publisher. Each connection has a libmosquitto client of its own, so that nothing is sent again behind the caller's back.
final class PublisherLoop: MQTTConnectionDelegate {
    private static let connectLimit = Duration.seconds(5)
    private static let stopLimit = Duration.seconds(1)
    private static let inFlightLimit = 1000

    private let configuration: MQTTConfiguration
    private let clientID: String
    private let shared: PublisherShared
    private let thread: ConnectionThread

    private var connection: MQTTConnection?
    private var isAccepted = false
    /// Not given to a connection yet, in order; those before `first` are gone.
    private var waiting: [PublishRequest] = []
    private var first = 0
    private var inFlight: [Int32: PublishRequest] = [:]
    /// After a stop: when the loop ends in any case.
    private var stopsAt: ContinuousClock.Instant?
    private var backoff = Backoff()
    private var random = SystemRandomNumberGenerator()
    private var outage: OutageReport
    /// Deadlines are looked at four times a second, not at every packet.
    private var nextExpiry = ContinuousClock.now
    private var polled = [pollfd(), pollfd()]

    init(_ configuration: MQTTConfiguration, clientID: String, shared: PublisherShared, thread: ConnectionThread, logger: Logger) {
        self.configuration = configuration
        self.clientID = clientID
        self.shared = shared
        self.thread = thread
        outage = OutageReport("publishing", configuration: configuration, level: .debug, logger: logger)
    }

    func run() {
        while !thread.isStopped {
            let reason = connectOnce()
            connection = nil
            if thread.isStopped { break }
            let failure = "no connection to \(configuration.address): \(reason)"
            fail(Array(inFlight.values), failure)
            inFlight = [:]
            setUnready(failure)
            outage.lost(reason)
            waitOut(backoff.nextDelay(chance: Double.random(in: 0..<1, using: &random)), reason: failure)
        }
        let left = shared.state.withLock { state in
            state.isRunning = false
            defer { state.requests = [] }
            return state.requests
        }
        fail(Array(inFlight.values) + waiting[first...] + left, "the publisher was stopped")
    }

    /// One connection from its beginning to its end; why it ended.
    private func connectOnce() -> String {
        isAccepted = false
        let attempt = thread.uninterruptibly { () -> String? in
            let unreachable = TCPProbe.failure(
                host: configuration.host, port: configuration.port, limit: Self.connectLimit, wakeUp: shared.wakeUp
            ) {
                expire("no connection to \(configuration.address): connecting")
                return thread.isStopped
            }
            if let unreachable { return unreachable }
            guard let new = MQTTConnection(configuration, clientID: clientID, keepsSession: false, delegate: self) else {
                return "no memory for a client"
            }
            // Answers to publishing carry no DUP.
            let failure = new.connect()
            new.observesDuplicates = false
            connection = new
            return failure
        }
        guard let failure = attempt else { return "stopped" }
        if let failure { return failure }
        guard let connection else { return "no client" }
        return drive(connection)
    }

    private func drive(_ connection: MQTTConnection) -> String {
        let began = ContinuousClock.now
        while true {
            collect()
            if isAccepted { send(over: connection) }
            connection.write()
            if thread.isStopped, isFinished(connection) { return "stopped" }
            waitForEvents(connection)
            if polled[0].revents & ~Int16(POLLOUT) != 0 { _ = connection.read { false } }
            connection.upkeep()
            expire("no answer from \(configuration.address) within the time limit")
            if !isAccepted, ContinuousClock.now - began > Self.connectLimit {
                connection.abort()
                return "no answer to CONNECT"
            }
            guard connection.isOpen else { return connection.endReason ?? "the connection was lost" }
        }
    }

    private func waitForEvents(_ connection: MQTTConnection) {
        polled[0] = pollfd(
            fd: connection.descriptor, events: Int16(POLLIN) | (connection.wantsWrite ? Int16(POLLOUT) : 0), revents: 0)
        polled[1] = pollfd(fd: shared.wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
        let wait = stopsAt.map { max(.zero, min($0 - .now, .milliseconds(100))) } ?? .milliseconds(500)
        _ = poll(&polled, 2, wait.pollTimeout)
        if polled[1].revents != 0 { shared.wakeUp.clear() }
    }

    /// After a stop: whether nothing is left to wait for, or the time is up; says goodbye then.
    private func isFinished(_ connection: MQTTConnection) -> Bool {
        let end = stopsAt ?? .now + Self.stopLimit
        stopsAt = end
        guard (inFlight.isEmpty && first == waiting.count) || .now >= end else { return false }
        connection.disconnect(within: Self.stopLimit)
        return true
    }

    private func waitOut(_ delay: Duration, reason: String) {
        let end = ContinuousClock.now + delay
        while !thread.isStopped {
            collect()
            expire(reason)
            let left = end - .now
            guard left > .zero else { return }
            shared.wakeUp.wait(min(left, .milliseconds(500)))
            shared.wakeUp.clear()
        }
    }

    // MARK: Requests

    private func collect() {
        let new = shared.state.withLock { state in
            defer { state.requests = [] }
            return state.requests
        }
        guard !new.isEmpty else { return }
        waiting.removeFirst(first)
        first = 0
        let room = max(0, MQTTMessagePublisher.waitingLimit - waiting.count)
        waiting += new.prefix(room)
        fail(Array(new.dropFirst(room)), "\(MQTTMessagePublisher.waitingLimit) messages wait for the broker already")
    }

    private func send(over connection: MQTTConnection) {
        while first < waiting.count, inFlight.count < Self.inFlightLimit {
            let request = waiting[first]
            first += 1
            let sent = connection.publish(
                topic: request.topic, payload: request.payload, qos: request.qos, retain: request.retain, userProperties: request.properties
            )
            switch sent {
            case .success(let packetID):
                if let older = inFlight.updateValue(request, forKey: packetID) { fail([older], "no answer from the broker") }
            case .failure(let failure) where failure.isFinal:
                request.continuation.resume(returning: .failure(.refused("the broker does not take this message: \(failure.reason)")))
            case .failure(let failure):
                fail([request], failure.reason)
            }
        }
        if first == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            first = 0
        }
    }

    /// Gives up what has waited for too long. Deadlines rise with the order of `waiting`.
    private func expire(_ reason: String) {
        let now = ContinuousClock.now
        guard now >= nextExpiry else { return }
        nextExpiry = now + .milliseconds(250)
        while first < waiting.count, waiting[first].deadline <= now {
            fail([waiting[first]], reason)
            first += 1
        }
        let late = inFlight.filter { $0.value.deadline <= now }
        for packetID in late.keys { inFlight[packetID] = nil }
        fail(Array(late.values), reason)
    }

    private func fail(_ requests: [PublishRequest], _ reason: String) {
        for request in requests { request.continuation.resume(returning: .failure(.unavailable(reason))) }
    }

    private func setUnready(_ reason: String?) { shared.state.withLock { $0.unreadyReason = reason } }

    // MARK: What the connection reports

    func connectionAccepted(sessionPresent: Bool) {
        isAccepted = true
        backoff.reset()
        setUnready(nil)
        outage.connected()
    }

    func publishAcknowledged(packetID: Int32, refusal: String?) {
        guard let request = inFlight.removeValue(forKey: packetID) else { return }
        if let refusal {
            request.continuation.resume(returning: .failure(.refused("the broker refused a message to '\(request.topic)': \(refusal)")))
        } else {
            request.continuation.resume(returning: .success(()))
        }
    }

    func received(_ message: IncomingMessage) {}
    func subscribeAcknowledged(packetID: Int32, refusal: String?) {}
    func unsubscribeAcknowledged(packetID: Int32) {}
}
