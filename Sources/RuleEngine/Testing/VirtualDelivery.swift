/// A notification that reached its receiver.
struct SentNotification {
    var at: Instant
    var receiver: String
    var document: Document
}

/// The notification pipeline in virtual time, with a scheduler that is never late and receivers that take everything.
struct VirtualDelivery {
    private struct Waiting {
        var message: ScheduledMessage
        /// It was scheduled for later: it is asked first whether it still applies.
        var isLate: Bool
    }
    private var pipeline: NotificationPipeline
    /// By the instant they are due, then by age, the next one last.
    private var waiting: [Waiting] = []
    private(set) var sent: [SentNotification] = []

    init(routes: RouteTree) { pipeline = NotificationPipeline(routes: routes) }

    mutating func take(_ transitions: [AlertTransition], at now: Instant) { carryOut(pipeline.take(transitions, at: now), at: now) }

    /// Why a silence or an acknowledgement is not taken; nil when it is.
    mutating func take(_ request: HushRequest, at now: Instant) -> String? {
        run(until: now, inclusive: false)
        let (refusal, effects) = pipeline.take(request, at: now)
        carryOut(effects, at: now)
        return refusal
    }

    /// Runs what is due before `instant`, or also at it.
    mutating func run(until instant: Instant, inclusive: Bool) {
        while let next = waiting.last, inclusive ? next.message.dueAt <= instant : next.message.dueAt < instant {
            waiting.removeLast()
            run(next)
        }
    }

    private mutating func run(_ next: Waiting) {
        let message = next.message, now = message.dueAt
        switch message.kind {
        case .wake(let group): carryOut(pipeline.wake(groupKey: group, at: now), at: now)
        case .delivery:
            if next.isLate {
                let (decision, effects) = pipeline.mayDeliver(message, at: now)
                carryOut(effects, at: now)
                guard case .deliver = decision else { return }
            }
            let (decision, effects) = pipeline.beginDelivery(message, at: now)
            carryOut(effects, at: now)
            guard case .attempt(_, let notification) = decision else { return }
            note(SentNotification(at: now, receiver: notification.receiver, document: notification.document))
            carryOut(pipeline.deliveryEnded(message, AttemptResult(.delivered), at: now).effects, at: now)
        }
    }

    /// The channels of one receiver are told the same: that is one notification.
    private mutating func note(_ notification: SentNotification) {
        let isKnown = sent.reversed().prefix { $0.at == notification.at }.contains { earlier in
            earlier.receiver == notification.receiver
                && ["groupKey", "status", "alerts"].allSatisfy { earlier.document[$0] == notification.document[$0] }
        }
        if !isKnown { sent.append(notification) }
    }

    private mutating func carryOut(_ effects: [PipelineEffect], at now: Instant) {
        for effect in effects {
            guard var message = effect.message else { continue }
            let isLate = message.dueAt > now
            message.dueAt = max(message.dueAt, now)
            let place = waiting.firstIndex { $0.message.dueAt <= message.dueAt } ?? waiting.count
            waiting.insert(Waiting(message: message, isLate: isLate), at: place)
        }
    }
}
