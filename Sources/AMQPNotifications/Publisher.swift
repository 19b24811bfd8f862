internal import Foundation
internal import Synchronization

/// Publishes with confirms, on a thread and a connection of its own. What several callers hand in while a round is under way goes out together.
final class Publisher: Sendable {
    typealias Reply = @Sendable (PublishFailure?) -> Void

    /// What the thread is asked to do.
    enum Order: Sendable {
        /// Without a reply nobody minds when it is lost.
        case publish([Publication], Reply?)
        case declareReceivers(Reply)
    }

    enum Link: Sendable {
        /// Not started, or the first attempt is under way: orders wait for its result.
        case untried
        case up
        case down(String)
    }

    struct State: Sendable {
        var orders: [Order] = []
        /// Publications in `orders` and with the thread, not yet settled.
        var waitingCount = 0
        var link = Link.untried
        var receivers: [String] = []
        var isStarted = false
        var isStopping = false
    }

    let configuration: AMQPConfiguration
    let topology: Topology
    let outage: Outage
    let state = Mutex(State())
    let doorbell = Doorbell()

    init(_ configuration: AMQPConfiguration, outage: Outage) {
        self.configuration = configuration
        topology = Topology(prefix: configuration.prefix)
        self.outage = outage
    }

    /// Returns when the broker has stored all of them.
    func publish(_ publications: [Publication]) async throws(PublishFailure) {
        if let reason = publications.lazy.compactMap({ $0.refusalReason() }).first { throw .refused(reason) }
        guard !publications.isEmpty else { return }
        try await answer { .publish(publications, $0) }
    }

    /// Hands it in and forgets it; false when it is lost already.
    func publishUnconfirmed(_ publication: Publication) -> Bool {
        publication.refusalReason() == nil && take(.publish([publication], nil)) == nil
    }

    /// Returns when the receivers have their queues; they are remembered in any case.
    func setReceivers(_ names: [String]) async throws(PublishFailure) {
        state.withLock { $0.receivers = names }
        try await answer { .declareReceivers($0) }
    }

    /// Ends the thread after what it has been given.
    func stop() {
        state.withLock { state in
            state.isStopping = true
            if !state.isStarted { state.link = .down("the scheduler is closed") }
        }
        doorbell.ring()
    }

    func startIfNeeded() {
        let mustStart = state.withLock { state in
            defer { state.isStarted = true }
            return !state.isStarted && !state.isStopping
        }
        guard mustStart else { return }
        let thread = Thread { PublisherLoop(self).run() }
        thread.name = "amqp-publisher"
        thread.start()
    }

    private func answer(_ order: (@escaping Reply) -> Order) async throws(PublishFailure) {
        let failure = await withCheckedContinuation { continuation in
            let refusal = take(order { continuation.resume(returning: $0) })
            if let refusal { continuation.resume(returning: refusal) }
        }
        if let failure { throw failure }
    }

    /// Hands an order to the thread, or says why not; it is answered only when it was taken.
    private func take(_ order: Order) -> PublishFailure? {
        startIfNeeded()
        var count = 0, limit = configuration.queueLimit
        if case .publish(let publications, let reply) = order {
            count = publications.count
            if reply == nil { limit /= 2 }
        }
        let refusal: PublishFailure? = state.withLock { state in
            if case .down(let reason) = state.link { return .unavailable(reason) }
            if state.isStopping { return .unavailable("the scheduler is closed") }
            // One call alone may be larger than the limit; it is as large as its caller can hold.
            if state.waitingCount > 0, state.waitingCount + count > limit {
                return .unavailable("\(state.waitingCount) messages wait for the broker already")
            }
            state.waitingCount += count
            state.orders.append(order)
            return nil
        }
        if refusal == nil { doorbell.ring() }
        return refusal
    }
}
