/// What came of an attempt.
public struct AttemptResult: Sendable, Equatable {
    public var result: ChannelResult
    /// Of a failed one: whether the receiver may have got it all the same (it was sent, and no answer came).
    public var mayHaveArrived: Bool

    public init(_ result: ChannelResult, mayHaveArrived: Bool = false) {
        self.result = result
        self.mayHaveArrived = mayHaveArrived
    }
}

/// Whether to try a delivery.
public enum AttemptDecision: Sendable, Equatable {
    /// Try it, on this channel; `deliveryEnded` must be called afterwards, whatever happens.
    case attempt(Integration, Notification)
    /// It is recorded as delivered, was replaced, or is over: acknowledge the message.
    case done
    /// Another copy is being tried: offer it again after so long.
    case later(Duration)
}

/// Schedule → deliver.
extension NotificationPipeline {
    /// Whether a delivery that came due still applies. One that says only that alerts fire which are over by now, and of which the receiver has
    /// not heard, or which are silenced or acknowledged by now, is dropped: nobody is paged for what is over, hidden or in somebody's hands.
    public mutating func mayDeliver(_ message: ScheduledMessage, at now: Instant) -> (decision: DueDecision, effects: [PipelineEffect]) {
        guard let id = intents[message.id], let group = groups[id], let intent = group.intent, intent.id == message.id else {
            return (.done, [])
        }
        // A restart schedules an intent again that may still be on its way: of two copies the one further on is kept. (The same attempt may
        // come twice, when its successor could not be scheduled.)
        guard message.attempt >= intent.lastAttempt else { return (.done, []) }
        if intent.attempt == .underWay { return (.later(.seconds(1)), []) }
        guard group.isIdle, isPointless(intent, in: group, at: now) else { return (.deliver, []) }
        drop(intent, of: id)
        return (.done, settleTouched(at: now))
    }

    /// Begins an attempt.
    public mutating func beginDelivery(
        _ message: ScheduledMessage, at now: Instant
    ) -> (decision: AttemptDecision, effects: [PipelineEffect]) {
        let (decision, effects) = mayDeliver(message, at: now)
        if case .later(let wait) = decision { return (.later(wait), effects) }
        guard case .deliver = decision, let id = intents[message.id], let group = groups[id], let intent = group.intent,
            let envelope = NotificationEnvelope(json: Array(intent.body.utf8))
        else { return (.done, effects) }
        groups[id]?.intent?.attempt = .underWay
        groups[id]?.intent?.lastAttempt = message.attempt
        return (.attempt(group.integration, envelope.notification), effects)
    }

    /// Ends an attempt. The outcome may be answered to the scheduler once the effects' writes are durable.
    public mutating func deliveryEnded(
        _ message: ScheduledMessage, _ attempt: AttemptResult, at now: Instant
    ) -> (outcome: DeliveryOutcome, effects: [PipelineEffect]) {
        guard let id = intents[message.id], let intent = groups[id]?.intent, intent.id == message.id else { return (.done, []) }
        groups[id]?.intent?.attempt = .none
        touch(id)
        switch attempt.result {
        case .delivered:
            conclude(intent, of: id, as: .sent)
            return (.done, settleTouched(at: now))
        case .rejected(let reason):
            if attempt.mayHaveArrived { noteHeard(intent, in: id) }
            conclude(intent, of: id, as: .failed)
            return (.dead(reason: reason), settleTouched(at: now))
        case .failed(let reason, let retryAfter):
            if attempt.mayHaveArrived { noteHeard(intent, in: id) }
            let age = Duration.nanoseconds(max(0, now - intent.flushedAt))
            let decision = settings.retry.decide(id: message.id, attempt: message.attempt, age: age, retryAfter: retryAfter)
            guard case .retry(let wait) = decision else {
                conclude(intent, of: id, as: .failed)
                return (.dead(reason: reason), settleTouched(at: now))
            }
            let effects = settleTouched(at: now)
            // The group may have been due meanwhile, and another intent taken this one's place.
            return (intents[message.id] == nil ? .done : .retry(after: wait), effects)
        }
    }

    private func isPointless(_ intent: NotificationGroup.Intent, in group: NotificationGroup, at now: Instant) -> Bool {
        intent.tells.allSatisfy { told in
            guard let member = group[told.member] else { return told.standing.isLive }
            switch told.standing {
            case .over: return false
            case .occurrence: return isHidden(member, at: now)
            case .firing, .nodata:
                if member.standing == .over { return !member.isReceived }
                return isHidden(member, at: now) || isAcknowledged(member, at: now)
            }
        }
    }

    /// Gives up an intent that nobody has heard.
    private mutating func drop(_ intent: NotificationGroup.Intent, of id: String) {
        guard var group = groups[id] else { return }
        group.intent = nil
        intents[intent.id] = nil
        group.needsStore = true
        group.mustReplaceIntent = false
        for told in intent.tells {
            guard var member = group[told.member] else { continue }
            if member.isCarried || member.told != member.standing { member.told = nil }
            member.waiting += member.isCarried ? 1 : 0
            member.isCarried = false
            group.set(told.member, member)
        }
        groups[id] = group
        for told in intent.tells { releaseUntold(told.member, in: id) }
        touch(id)
    }

    private mutating func noteHeard(_ intent: NotificationGroup.Intent, in id: String) {
        for told in intent.tells where told.standing.isLive {
            guard var member = groups[id]?[told.member] else { continue }
            member.isReceived = true
            groups[id]?.set(told.member, member)
        }
    }

    /// An intent was delivered, or failed for good: what it said was said, as far as that will ever be.
    private mutating func conclude(_ intent: NotificationGroup.Intent, of id: String, as disposition: Disposition) {
        guard var group = groups[id] else { return }
        group.intent = nil
        group.mustReplaceIntent = false
        group.needsStore = true
        intents[intent.id] = nil
        for told in intent.tells {
            guard var member = group[told.member] else { continue }
            if member.isCarried { ledger.settle(group.integration.receiver, disposition) }
            member.isCarried = false
            let isSameEpisode = member.alert.episode == told.episode
            switch told.standing {
            case .occurrence:
                group.set(told.member, nil)
                continue
            case .firing, .nodata:
                if disposition == .sent { member.isReceived = true }
            case .over:
                member.isReceived = false
                if isSameEpisode, member.standing == .over {
                    ledger.settle(group.integration.receiver, .superseded, member.waiting)
                    leave(told.member, member, id)
                    group.set(told.member, nil)
                    continue
                }
                // It was told to be over; that it fires (again) is news even where the last word before was the same.
                member.told = .over
            }
            group.set(told.member, member)
        }
        groups[id] = group
        for told in intent.tells { releaseUntold(told.member, in: id) }
    }
}
