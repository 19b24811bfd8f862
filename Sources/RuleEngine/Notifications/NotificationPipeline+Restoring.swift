extension NotificationPipeline {
    /// Goes on from what the store holds; for a pipeline that has taken nothing yet. `alerts`: the latest state of each alert, resolved ones for as
    /// long as they are kept. Intents without a recorded delivery are scheduled again, with the same id and body, and so are wakes.
    public mutating func restore(
        groups records: [NotificationGroupRecord], alerts: [AlertRecord], silences stored: [Silence] = [],
        acknowledgements taken: [Acknowledgement] = [], at now: Instant
    ) -> [PipelineEffect] {
        for silence in stored { silences.set(silence) }
        for alert in alerts {
            let standing = Standing(alert)
            known[alert.id] = Known(
                position: AlertPosition(alert), alert: standing.isLive ? alert : nil, changedAt: alert.changedAt, standing: standing)
        }
        for acknowledgement in taken {
            if known[acknowledgement.alert]?.alert?.episode == acknowledgement.episode {
                acknowledgements[acknowledgement.alert] = acknowledgement
            } else {
                effects.append(.acknowledgement(alert: acknowledgement.alert, nil))
            }
        }
        let byID = Dictionary(alerts.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for record in records.sorted(by: { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }) {
            lastCreation = max(lastCreation, record.createdAt)
            restore(record, alerts: byID, at: now)
        }
        for (_, alert) in liveAlerts where !alert.isShadow { place(alert, at: now) }
        return settleTouched(at: now)
    }

    private mutating func restore(_ record: NotificationGroupRecord, alerts: [String: AlertRecord], at now: Instant) {
        guard let node = tree.node(key: record.routeKey), node.receiver == record.integration.receiver,
            let channel = channel(record.integration)
        else {
            // The configuration changed while the server was away: as in `reconfigure`.
            effects.append(.store(id: record.id, nil))
            return
        }
        var group = NotificationGroup(
            id: record.id, base: record.base, integration: record.integration, route: node, labels: record.labels,
            createdAt: record.createdAt, sendsResolved: channel.sendsResolved, firstFlushAt: record.firstFlushAt)
        group.isStored = true
        group.flushes = record.flushes
        group.lastFlushAt = record.lastFlushAt
        for stored in record.members { restore(stored, into: &group, alerts: alerts) }
        if let stored = record.intent {
            let told = record.members.compactMap { member in
                member.inIntent.map { NotificationGroup.Intent.Told(member: member.key, episode: member.episode, standing: $0) }
            }
            let intent = NotificationGroup.Intent(
                id: stored.id, flushedAt: stored.flushedAt, severity: stored.severity, status: stored.status, body: stored.body,
                tells: told + stored.toldOthers, attempt: .unknown)
            group.intent = intent
            // It may have been heard, also where the alert has begun another episode since.
            for one in intent.tells where one.standing.isLive {
                guard var member = group[one.member] else { continue }
                member.isReceived = true
                group.set(one.member, member)
            }
            intents[stored.id] = record.id
            effects.append(.schedule(Self.delivery(intent, receiver: record.integration.receiver, at: now)))
        }
        groups[record.id] = group
        touch(record.id)
        for key in group.members.keys.sorted() { releaseUntold(key, in: record.id) }
    }

    private mutating func restore(
        _ stored: NotificationGroupRecord.Member, into group: inout NotificationGroup, alerts: [String: AlertRecord]
    ) {
        // An alert that the store has forgotten can be told of no more.
        guard let alert = stored.alert ?? alerts[stored.key], !alert.isShadow else {
            group.needsStore = true
            return
        }
        let isSameEpisode = alert.episode == stored.episode
        let standing = stored.standing == .occurrence ? .occurrence : Standing(alert)
        var member = NotificationGroup.Member(alert: alert, standing: standing)
        member.told = isSameEpisode ? stored.told : nil
        member.isReceived = stored.isReceived
        member.isCarried = stored.inIntent != nil
        member.waiting = member.told == standing ? 0 : 1
        ledger.take(group.integration.receiver, member.openEvents)
        group.set(stored.key, member)
        if standing != .occurrence { membership[stored.key, default: []].append(group.id) }
    }
}
