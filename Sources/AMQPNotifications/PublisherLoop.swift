internal import Synchronization

/// The publisher's thread: connects, declares, publishes, settles. Everything in it belongs to that one thread.
final class PublisherLoop {
    private struct Batch {
        var openCount: Int
        var failure: PublishFailure?
        var reply: Publisher.Reply?
    }

    private struct Outstanding {
        var batch: Int
        var exchange: String
        var routingKey: String
        var messageID: String?
        var publishedAt: ContinuousClock.Instant
        var isReturned = false
    }

    /// Publications that may be unconfirmed at once: enough for the broker to write many with one sync.
    private static let windowLimit = 2048

    private let publisher: Publisher
    private var batches: [Int: Batch] = [:]
    private var nextBatch = 0
    private var backlog: [(batch: Int, publication: Publication)] = []
    private var backlogStart = 0
    private var window = ConfirmWindow<Outstanding>()
    private var delay = ReconnectDelay()

    init(_ publisher: Publisher) { self.publisher = publisher }

    func run() {
        while true {
            do throws(AMQPFailure) {
                try serveConnection()
                return end("the scheduler is closed")
            } catch {
                lose(error.description)
            }
            if publisher.state.withLock({ $0.isStopping }) { return end("the scheduler is closed") }
            pause(delay.after(chance: .random(in: 0...1)))
        }
    }

    /// Returns when the publisher is to stop and has nothing left.
    private func serveConnection() throws(AMQPFailure) {
        let connection = try AMQPConnection(publisher.configuration)
        try connection.selectConfirms()
        try publisher.topology.declare(on: connection)
        try declareReceivers(on: connection)
        publisher.state.withLock { $0.link = .up }
        publisher.outage.isUp(.publishing)
        let upSince = ContinuousClock.now
        while true {
            while let incoming = try connection.nextIncoming() { handle(incoming) }
            // While it waits for an answer the library reads confirms along: the descriptor says nothing of them any more.
            if try takeOrders(connection) { continue }
            try publishBacklog(connection)
            if isIdle, publisher.state.withLock({ $0.isStopping && $0.orders.isEmpty }) { return connection.close() }
            try expectConfirms()
            // A connection that breaks right after it came up does not count as a recovery.
            if upSince.duration(to: .now) > .seconds(10) { delay.reset() }
            publisher.doorbell.wait(alsoFor: connection.descriptor, atMost: connection.longestPause)
        }
    }

    private var isIdle: Bool { backlogStart == backlog.count && window.openCount == 0 }

    /// True when the broker was asked for something.
    private func takeOrders(_ connection: AMQPConnection) throws(AMQPFailure) -> Bool {
        let orders = publisher.state.withLock { state in
            defer { state.orders = [] }
            return state.orders
        }
        var declarations: [Publisher.Reply] = []
        for order in orders {
            switch order {
            case .publish(let publications, let reply): enqueue(publications, reply)
            case .declareReceivers(let reply): declarations.append(reply)
            }
        }
        guard !declarations.isEmpty else { return false }
        do {
            try declareReceivers(on: connection)
        } catch {
            for reply in declarations { reply(.unavailable(error.description)) }
            throw error
        }
        for reply in declarations { reply(nil) }
        return true
    }

    private func enqueue(_ publications: [Publication], _ reply: Publisher.Reply?) {
        nextBatch += 1
        batches[nextBatch] = Batch(openCount: publications.count, reply: reply)
        for publication in publications { backlog.append((nextBatch, publication)) }
    }

    private func declareReceivers(on connection: AMQPConnection) throws(AMQPFailure) {
        for receiver in publisher.state.withLock({ $0.receivers }) {
            try publisher.topology.declare(receiver: receiver, on: connection)
        }
    }

    private func publishBacklog(_ connection: AMQPConnection) throws(AMQPFailure) {
        while window.openCount < Self.windowLimit, backlogStart < backlog.count {
            let (batch, publication) = backlog[backlogStart]
            window.append(
                Outstanding(
                    batch: batch, exchange: publication.exchange, routingKey: publication.routingKey, messageID: publication.messageID,
                    publishedAt: .now))
            backlogStart += 1
            try connection.publish(publication)
        }
        if backlogStart > 1024 || backlogStart == backlog.count {
            backlog.removeFirst(backlogStart)
            backlogStart = 0
        }
    }

    private func handle(_ incoming: Incoming) {
        switch incoming {
        case .confirmed(let tag, let multiple):
            for entry in window.settle(tag, multiple: multiple) {
                settle(entry, entry.isReturned ? .unroutable("no queue is bound to '\(entry.exchange)' for '\(entry.routingKey)'") : nil)
            }
        case .rejected(let tag, let multiple):
            for entry in window.settle(tag, multiple: multiple) { settle(entry, .unavailable("the broker did not store the message")) }
        case .returned(let exchange, let routingKey, let messageID):
            // It comes before its confirm and does not say its tag. What looks the same was routed the same.
            window.forEachOpen { entry in
                if entry.exchange == exchange, entry.routingKey == routingKey, entry.messageID == messageID { entry.isReturned = true }
            }
        case .delivery: break
        }
    }

    private func settle(_ entry: Outstanding, _ failure: PublishFailure?) {
        publisher.state.withLock { $0.waitingCount -= 1 }
        guard var batch = batches[entry.batch] else { return }
        batch.openCount -= 1
        batch.failure = batch.failure ?? failure
        batches[entry.batch] = batch.openCount > 0 ? batch : nil
        if batch.openCount == 0 { batch.reply?(batch.failure) }
    }

    private func expectConfirms() throws(AMQPFailure) {
        let limit = publisher.configuration.confirmTimeout
        guard let oldest = window.oldest, oldest.publishedAt.duration(to: .now) > limit else { return }
        throw AMQPFailure(description: "a message was not confirmed in \(limit)")
    }

    /// Whatever is not confirmed counts as not stored: its owner publishes it again, with the same id.
    private func lose(_ reason: String) {
        let orders = publisher.state.withLock { state in
            defer {
                state.orders = []
                state.waitingCount = 0
                state.link = .down("RabbitMQ at \(publisher.configuration): \(reason)")
            }
            return state.orders
        }
        publisher.outage.isDown(.publishing, because: reason)
        let failure = PublishFailure.unavailable("RabbitMQ at \(publisher.configuration): \(reason)")
        let open = batches.values
        batches = [:]
        backlog = []
        backlogStart = 0
        window = ConfirmWindow()
        for batch in open { batch.reply?(failure) }
        for order in orders {
            switch order {
            case .publish(_, let reply): reply?(failure)
            case .declareReceivers(let reply): reply(failure)
            }
        }
    }

    private func end(_ reason: String) {
        let orders = publisher.state.withLock { state in
            defer {
                state.orders = []
                state.link = .down(reason)
            }
            return state.orders
        }
        publisher.outage.forget(.publishing)
        for order in orders {
            switch order {
            case .publish(_, let reply): reply?(.unavailable(reason))
            case .declareReceivers(let reply): reply(.unavailable(reason))
            }
        }
    }

    /// Until it is over or the publisher is to stop.
    private func pause(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !publisher.state.withLock({ $0.isStopping }) {
            publisher.doorbell.wait(atMost: ContinuousClock.now.duration(to: end))
        }
    }
}
