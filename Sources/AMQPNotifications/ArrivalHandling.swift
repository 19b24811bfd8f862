internal import RuleEngine

/// Takes an arrival to the consumer and carries out what it answers. A message is acknowledged only when what follows from it is confirmed.
struct ArrivalHandling: Sendable {
    let topology: Topology
    let publisher: Publisher
    let intake: Intake
    let consumer: any ScheduledMessageConsumer
    let now: @Sendable () -> Instant

    func handle(_ arrival: Arrival) async {
        guard let follower = await follower(of: arrival) else { return intake.settle(arrival, .acknowledged) }
        await replace(arrival, by: follower)
    }

    /// What is to be published in place of the arrival; nil when it is dealt with.
    private func follower(of arrival: Arrival) async -> Publication? {
        do throws(UnreadableMessage) {
            let message = try arrival.message.scheduledMessage()
            switch arrival.source {
            case .due: return await followerWhenDue(message)
            case .channel(let receiver): return try await followerOfAttempt(message, receiver: receiver)
            }
        } catch {
            return deadPublication(arrival, reason: "not readable: \(error.reason)")
        }
    }

    private func followerWhenDue(_ message: ScheduledMessage) async -> Publication? {
        if await isEarly(message) { return topology.publication(of: message, now: now()) }
        switch await consumer.due(message) {
        case .done: return nil
        case .later(let duration): return publication(of: message, after: duration)
        case .deliver:
            if case .wake = message.kind { return nil }
            return topology.publicationWhenDue(message)
        }
    }

    /// Longer delays than the levels have come early, and others when our clock and the broker's differ. What is early by the rounding of the
    /// header's milliseconds only is waited for here: the levels would take a second.
    private func isEarly(_ message: ScheduledMessage) async -> Bool {
        let wait = message.dueAt - now()
        if wait > 0, wait <= 5_000_000 { try? await Task.sleep(for: .nanoseconds(wait), tolerance: .zero) }
        return message.dueAt > now()
    }

    private func followerOfAttempt(_ message: ScheduledMessage, receiver: String) async throws(UnreadableMessage) -> Publication? {
        guard case .delivery(receiver, _, _) = message.kind else {
            throw UnreadableMessage(reason: "it is no delivery for the receiver '\(receiver)'")
        }
        switch await consumer.deliver(message) {
        case .done: return nil
        case .later(let duration): return publication(of: message, after: duration)
        case .dead(let reason): return topology.deadPublication(message, reason: reason)
        case .retry(let duration):
            var next = message
            next.attempt = min(message.attempt + 1, Int(Int32.max))
            return publication(of: next, after: duration)
        }
    }

    private func publication(of message: ScheduledMessage, after duration: Duration) -> Publication {
        var next = message
        next.dueAt = now() + duration.nanoseconds
        return topology.publication(of: next, now: now())
    }

    /// Tries until the follower is stored, or the arrival is offered again by the broker.
    private func replace(_ arrival: Arrival, by first: Publication) async {
        var follower = first
        while true {
            do {
                try await publisher.publish([follower])
                return intake.settle(arrival, .acknowledged)
            } catch {
                switch error {
                case .unavailable:
                    guard intake.holds(arrival), (try? await Task.sleep(for: .seconds(1))) != nil else {
                        return intake.settle(arrival, .givenBack)
                    }
                case .unroutable(let reason), .refused(let reason):
                    follower = deadPublication(arrival, reason: reason)
                }
            }
        }
    }

    private func deadPublication(_ arrival: Arrival, reason: String) -> Publication {
        if let message = try? arrival.message.scheduledMessage() { return topology.deadPublication(message, reason: reason) }
        return topology.deadPublication(arrival.message, queue: queue(arrival.source), reason: reason)
    }

    private func queue(_ source: Source) -> String {
        switch source {
        case .due: topology.due
        case .channel(let receiver): topology.channel(receiver)
        }
    }
}

extension Duration {
    /// Saturated, rounded up.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (sum, overflow) = seconds.multipliedSaturating(by: 1_000_000_000)
            .addingReportingOverflow(attoseconds / 1_000_000_000 + (attoseconds % 1_000_000_000 > 0 ? 1 : 0))
        return overflow ? (seconds < 0 ? .min : .max) : sum
    }
}
