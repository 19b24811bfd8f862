import Glibc
import Logging
import RuleEngine
import Synchronization

/// The thread of a telemetry source: connects, reads batches, gives them to the sink, acknowledges, and starts over when the connection ends.
final class TelemetryLoop: MQTTConnectionDelegate {
    private enum Phase {
        case connecting(since: ContinuousClock.Instant)
        /// CONNACK is there, SUBACKs are not: what arrives meanwhile is held.
        case subscribing(since: ContinuousClock.Instant)
        /// The sink knows of the connection; what the broker held for us is being read.
        case backlog(since: ContinuousClock.Instant, lastArrival: ContinuousClock.Instant)
        case live
    }

    private static let connectLimit = Duration.seconds(10)
    /// For SUBACKs and for the backlog.
    private static let settleLimit = Duration.seconds(2)
    /// Longer than a broker's pause while acknowledgements are on their way and it sends the next of a bounded number in flight.
    private static let idleTime = Duration.milliseconds(100)
    /// After the last DUP and after CONNACK.
    private static let duplicateObservation = Duration.seconds(10)
    private static let stopLimit = Duration.seconds(2)
    /// Messages a second up to which the broker's TCP is answered at once. Above it full segments come soon enough, and are cheaper for both sides.
    private static let promptRate = 20_000
    private static let rateInterval = Duration.milliseconds(50)
    /// Above that rate the socket is given so long to fill before it is read again: a batch of many costs a fraction of the system calls and thread
    /// switches, here and at the broker, of as many batches of one.
    private static let gatheringMicroseconds: UInt32 = 300
    private static let batchMessages = 4096
    private static let batchBytes = 4 << 20

    private let configuration: MQTTConfiguration
    private let sink: any TelemetrySink
    private let shared: TelemetryShared
    private let thread: ConnectionThread
    private let logger: Logger

    /// Set once by the initialiser.
    private var connection: MQTTConnection!
    private var phase = Phase.connecting(since: .now)
    private var now = ContinuousClock.now
    private var batch = MessageBatch()
    private var ledger = SubscriptionLedger()
    private var identifiers: [String: UInt32] = [:]
    private var redeliveries: RedeliveryTable
    private var overlaps = OverlapFilter()
    private var backoff = Backoff()
    private var random = SystemRandomNumberGenerator()
    private var lastDuplicateAt = ContinuousClock.now
    /// Socket and wake-up.
    private var polled = [pollfd(), pollfd()]
    private var hasMoreToRead = false
    /// Of the interval that runs: since when, and messages in it.
    private var rateSince = ContinuousClock.now
    private var rateCount = 0
    private var isSlow = true
    private var isReadable = false
    /// CONNACK has come and its subscriptions are not asked for yet.
    private var isNewlyAccepted = false
    private var outage: OutageReport
    private var loggedRefusal: String?
    /// Counted here and handed to the atomic counters once a batch.
    private var counted = MQTTCounters()

    init?(_ configuration: MQTTConfiguration, sink: any TelemetrySink, shared: TelemetryShared, thread: ConnectionThread, logger: Logger) {
        self.configuration = configuration
        self.sink = sink
        self.shared = shared
        self.thread = thread
        self.logger = logger
        outage = OutageReport("telemetry", configuration: configuration, logger: logger)
        redeliveries = RedeliveryTable(keepAlive: configuration.keepAlive, now: .now)
        guard let connection = MQTTConnection(configuration, clientID: configuration.clientID, keepsSession: true, delegate: self) else {
            return nil
        }
        self.connection = connection
    }

    func run() {
        guard waitForFirstOrder() else { return }
        takeUpEarlierMessages()
        while !thread.isStopped {
            guard let reason = open() ?? serve(), !thread.isStopped else { return }
            setUnready("no connection to \(configuration.address): \(reason)")
            outage.lost(reason)
            waitOut(backoff.nextDelay(chance: Double.random(in: 0..<1, using: &random)))
        }
    }

    /// Without a wanted set nothing can be told of what a session holds.
    private func waitForFirstOrder() -> Bool {
        while !thread.isStopped {
            if shared.state.withLock({ $0.order != nil }) { return true }
            setUnready("no subscriptions are known yet")
            shared.wakeUp.wait(.seconds(60))
            shared.wakeUp.clear()
        }
        return false
    }

    /// What an earlier run took, and the broker may not know of.
    private func takeUpEarlierMessages() {
        for message in shared.state.withLock({ $0.earlier }) {
            var hasher = Hasher()
            message.topic.withUnsafeBytes { hasher.combine(bytes: $0) }
            let content = message.payload.withUnsafeBytes { Self.content(hasher, $0) }
            redeliveries.take(packetID: message.packetID, content: content, now: .now)
        }
    }

    private func waitOut(_ delay: Duration) {
        let end = ContinuousClock.now + delay
        while !thread.isStopped {
            let left = end - .now
            guard left > .zero else { return }
            shared.wakeUp.wait(left)
            shared.wakeUp.clear()
        }
    }

    // MARK: One connection

    /// Nil when the socket is open and CONNECT queued.
    private func open() -> String? {
        let attempt = thread.uninterruptibly { () -> String? in
            TCPProbe.failure(
                host: configuration.host, port: configuration.port, limit: Self.connectLimit, wakeUp: shared.wakeUp,
                shouldStop: { thread.isStopped }) ?? connection.connect()
        }
        return attempt ?? "stopped"
    }

    /// Until the connection ends; why, or nil when the source was stopped.
    private func serve() -> String? {
        now = .now
        phase = .connecting(since: now)
        hasMoreToRead = false
        isNewlyAccepted = false
        let reason = drive()
        now = .now
        batch.removeAll()
        redeliveries.connectionEnded(now: now)
        publishCounts()
        switch phase {
        case .backlog, .live: sink.disconnected(reason: reason ?? "stopped")
        case .connecting, .subscribing: break
        }
        return reason
    }

    private func drive() -> String? {
        while true {
            if thread.isStopped {
                stop()
                return nil
            }
            waitForEvents()
            read()
            guard connection.isOpen else { return endReason }
            if isNewlyAccepted { begin() }
            if case .connecting(let since) = phase, now - since > Self.connectLimit { return giveUp("no answer to CONNECT") }
            if case .subscribing(let since) = phase, ledger.isSettled || isFull || now - since > Self.settleLimit { settle() }
            if !batch.isEmpty, !isHolding, !handOver() { return giveUp("a batch could not be stored in time; the broker keeps it") }
            finishBacklog()
            if batch.isEmpty {
                request()
                connection.write()
            }
            connection.upkeep()
            guard connection.isOpen else { return endReason }
            if connection.observesDuplicates, now - lastDuplicateAt > Self.duplicateObservation { connection.observesDuplicates = false }
        }
    }

    private var endReason: String { connection.endReason ?? "the connection was lost" }

    private func giveUp(_ reason: String) -> String {
        connection.abort()
        return reason
    }

    private func stop() {
        // What is held was not given to the sink: it has to come again.
        if batch.isEmpty { connection.disconnect(within: Self.stopLimit) } else { connection.abort() }
    }

    /// What arrives before the SUBACKs is held, and so is every write behind it, which would acknowledge it.
    private var isHolding: Bool {
        if case .subscribing = phase { !batch.isEmpty } else { false }
    }

    private var isFull: Bool { batch.count >= Self.batchMessages || batch.bytes.count >= Self.batchBytes }

    private func waitForEvents() {
        let wait: Duration =
            switch phase {
            case _ where hasMoreToRead: .zero
            case .connecting, .live: .seconds(1)
            case .subscribing: .milliseconds(200)
            case .backlog: Self.idleTime
            }
        if !isSlow, !hasMoreToRead, case .live = phase { usleep(Self.gatheringMicroseconds) }
        let writes = !isHolding && connection.wantsWrite
        polled[0] = pollfd(fd: connection.descriptor, events: Int16(POLLIN) | (writes ? Int16(POLLOUT) : 0), revents: 0)
        polled[1] = pollfd(fd: shared.wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&polled, 2, wait.pollTimeout)
        if polled[1].revents != 0 { shared.wakeUp.clear() }
        isReadable = polled[0].revents & ~Int16(POLLOUT) != 0
        now = .now
    }

    private func read() {
        guard isReadable || hasMoreToRead else { return }
        let before = batch.count
        hasMoreToRead = !connection.read { isFull || isNewlyAccepted }
        meter(batch.count - before)
        if isSlow, !hasMoreToRead, connection.isOpen { connection.acknowledgeReceipt() }
        if case .backlog(let since, _) = phase { phase = .backlog(since: since, lastArrival: now) }
    }

    private func meter(_ messages: Int) {
        rateCount += messages
        let interval = now - rateSince
        guard interval >= Self.rateInterval else { return }
        // An interval with a pause in it counts as slow, which it was.
        isSlow = .milliseconds(rateCount * 1000 / Self.promptRate) < interval
        rateSince = now
        rateCount = 0
    }

    // MARK: Phases

    /// After CONNACK. SUBSCRIBE goes out before anything more is read, for what is read later may have to be held, and holds the writes behind it.
    private func begin() {
        isNewlyAccepted = false
        phase = .subscribing(since: now)
        request()
        connection.flush(within: Self.settleLimit)
    }

    private func settle() {
        phase = .backlog(since: now, lastArrival: now)
        updateReadiness()
        outage.connected()
        sink.connected()
    }

    private func finishBacklog() {
        guard case .backlog(let since, let lastArrival) = phase else { return }
        let isIdle = !hasMoreToRead && now - lastArrival >= Self.idleTime
        guard isIdle || now - since >= Self.settleLimit else { return }
        phase = .live
        backoff.reset()
        sink.backlogEnded()
    }

    /// False when the sink could not take the batch: nothing of it is acknowledged then.
    private func handOver() -> Bool {
        let outcome = sink.take(batch)
        now = .now
        switch outcome {
        case .stored: connection.write()
        case .waiting: counted.batchesRefused += 1
        case .refused:
            counted.batchesRefused += 1
            for entry in batch.entries where entry.qos == 1 { redeliveries.forget(packetID: entry.packetID) }
            overlaps.forgetContents()
        }
        batch.removeAll()
        publishCounts()
        return outcome == .stored
    }

    // MARK: Subscriptions

    private func request() {
        if case .connecting = phase { return }
        let order = shared.state.withLock { state in
            defer { state.order = nil }
            return state.order
        }
        if let order {
            ledger.want(order.wanted, leftovers: order.leftovers)
            identifiers = SubscriptionIdentifiers.assign(to: ledger.wanted.map(\.filter))
            overlaps.setPatterns(ledger.wanted.map { Self.pattern(of: $0.filter) })
        }
        let requests = ledger.nextRequests()
        for request in requests {
            let sent =
                switch request {
                case .subscribe(let filter, let qos): connection.subscribe(to: filter, qos: qos, identifier: identifiers[filter])
                case .unsubscribe(let filter): connection.unsubscribe(from: filter)
                }
            switch sent {
            case .success(let packetID): ledger.sent(request, packetID: packetID)
            case .failure(let failure): ledger.impossible(request, reason: failure.reason)
            }
        }
        if order != nil || !requests.isEmpty { updateReadiness() }
    }

    private static func pattern(of filter: String) -> String {
        guard filter.utf8.starts(with: "$share/".utf8) else { return filter }
        let parts = filter.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        return parts.count == 3 ? String(parts[2]) : filter
    }

    func connectionAccepted(sessionPresent: Bool) {
        isNewlyAccepted = true
        lastDuplicateAt = now
        if !sessionPresent {
            redeliveries.sessionLost()
            // There is nothing that it could send again.
            connection.observesDuplicates = false
        }
        ledger.connectionBegan(sessionPresent: sessionPresent)
        shared.tally.connections.add(1, ordering: .relaxed)
    }

    func subscribeAcknowledged(packetID: Int32, refusal: String?) {
        ledger.subscribeAcknowledged(packetID: packetID, refusal: refusal)
        updateReadiness()
    }

    func unsubscribeAcknowledged(packetID: Int32) {
        ledger.unsubscribeAcknowledged(packetID: packetID)
        updateReadiness()
    }

    func publishAcknowledged(packetID: Int32, refusal: String?) {}

    // MARK: Messages

    func received(_ message: IncomingMessage) {
        counted.messages += 1
        var flags: MessageBatch.Flags = []
        if message.isRetained { flags.insert(.retained) }
        if message.isDuplicate {
            flags.insert(.duplicate)
            lastDuplicateAt = now
        }
        if message.qos == 1 || mayOverlap(message), isRepetition(message) { return }
        batch.append(topic: message.topicBytes, payload: message.payload, packetID: message.packetID, qos: message.qos, flags: flags)
    }

    /// Copies are possible at all: not with 3.1.1, but for retained messages.
    private func mayOverlap(_ message: IncomingMessage) -> Bool {
        overlaps.isNeeded && (configuration.version == .v5 || message.isRetained)
    }

    /// Whether the message was given before: sent again by the broker, or a copy for another filter.
    private func isRepetition(_ message: IncomingMessage) -> Bool {
        var hasher = Hasher()
        hasher.combine(bytes: message.topicBytes)
        let topicHasher = hasher
        let topicHash = hasher.finalize()
        let overlaps = mayOverlap(message) && self.overlaps.overlaps(topic: message.topic, hash: topicHash)
        // Most messages need no more than that.
        guard message.qos == 1 || overlaps else { return false }
        let content = Self.content(topicHasher, message.payload)
        if message.qos == 1 {
            if message.isDuplicate, redeliveries.has(packetID: message.packetID, content: content) {
                counted.redeliveriesDropped += 1
                return true
            }
            redeliveries.take(packetID: message.packetID, content: content, now: now)
        }
        guard overlaps,
            self.overlaps.isCopy(content: content, identifiers: message.subscriptionIdentifiers, retained: message.isRetained, now: now)
        else { return false }
        counted.copiesDropped += 1
        return true
    }

    /// - Parameter topic: has taken the topic in.
    private static func content(_ topic: Hasher, _ payload: UnsafeRawBufferPointer) -> Int {
        var hasher = topic
        hasher.combine(0 as UInt8)
        hasher.combine(bytes: payload)
        return hasher.finalize()
    }

    private func publishCounts() {
        shared.tally.add(counted)
        counted = MQTTCounters()
    }

    // MARK: Reports

    private func setUnready(_ reason: String?) { shared.state.withLock { $0.unreadyReason = reason } }

    private func updateReadiness() {
        let refusal = ledger.refusal
        setUnready(refusal ?? (ledger.isSettled ? nil : "subscriptions are not acknowledged yet"))
        if let refusal, refusal != loggedRefusal {
            logger.error("\(refusal); readings of these topics do not arrive", metadata: ["broker": "\(configuration.address)"])
        }
        loggedRefusal = refusal
    }
}
