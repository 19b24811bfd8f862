/// Group → intent → schedule.
extension NotificationPipeline {
    /// Flushes a group that is due, removes one that is done, and sees to it that a wake is on its way to any other.
    mutating func settle(_ id: String, at now: Instant) {
        guard let group = groups[id] else { return }
        if let due = group.due, due <= now {
            if let heldUntil = hold(id, at: now) { groups[id]?.heldUntil = heldUntil } else { flush(id, at: now) }
        }
        guard var group = groups[id] else { return }
        if group.members.isEmpty, group.intent == nil {
            remove(group)
            return
        }
        if group.needsStore {
            group.needsStore = false
            group.isStored = true
            effects.append(.store(id: id, NotificationGroupRecord(group)))
        }
        if let due = group.due, due < group.wakeAt ?? .distantFuture {
            group.wakeAt = due
            effects.append(.schedule(Self.wake(group, at: due)))
        }
        groups[id] = group
    }

    static func wake(_ group: NotificationGroup, at due: Instant) -> ScheduledMessage {
        let id = intentID(group: group.id, createdAt: group.createdAt, flush: 0) + "-wake-\(due.nanoseconds)"
        return ScheduledMessage(id: id, kind: .wake(groupKey: group.id), dueAt: due)
    }

    /// Decides what is said now. An undelivered intent is replaced: what it held and is still to be said is in the new one.
    private mutating func flush(_ id: String, at now: Instant) {
        guard var group = groups[id] else { return }
        let isRepetition = group.lastFlushAt != nil && !group.mustReplaceIntent && !group.hasChange { !isHidden($0, at: now) }
        let reason: NotificationDocument.Reason = group.lastFlushAt == nil ? .first : isRepetition ? .repetition : .change
        if let old = group.intent { intents[old.id] = nil }
        group.intent = nil
        group.mustReplaceIntent = false
        group.needsStore = true
        groups[id] = group
        for (key, member) in group.members where member.standing == .over {
            if !group.announcesEnd(of: member) { releaseUntold(key, in: id) }
        }
        for (key, member) in group.members where member.isCarried && isHidden(member, at: now) { hush(key, in: id, as: .silenced) }
        guard var group = groups[id] else { return }
        let members = group.members.filter { !isHidden($0.value, at: now) }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        guard !members.isEmpty else { return }
        group.flushes += 1
        group.lastFlushAt = now
        for (key, member) in members { group.set(key, told(member, receiver: group.integration.receiver)) }
        let intent = intent(of: group, members: members, reason: reason, at: now)
        group.intent = intent
        intents[intent.id] = id
        // The record goes first: an intent is stored before its message.
        group.needsStore = false
        group.isStored = true
        groups[id] = group
        effects.append(.store(id: id, NotificationGroupRecord(group)))
        effects.append(.schedule(Self.delivery(intent, receiver: group.integration.receiver, at: now)))
    }

    /// A member of whom a notification now speaks. Of several events that have piled up, the last travels with it.
    private mutating func told(_ member: NotificationGroup.Member, receiver: String) -> NotificationGroup.Member {
        var member = member
        if member.isHushed, member.openEvents == 0, member.told != member.standing {
            // What was hidden is said after all: an event of its own.
            ledger.take(receiver)
            member.waiting = 1
        }
        member.isHushed = false
        let open = member.openEvents
        ledger.settle(receiver, .superseded, open - 1)
        member.isCarried = open > 0
        member.waiting = 0
        member.told = member.standing
        return member
    }

    private func intent(
        of group: NotificationGroup, members: [(key: String, value: NotificationGroup.Member)], reason: NotificationDocument.Reason,
        at now: Instant
    ) -> NotificationGroup.Intent {
        let id = intentID(group: group.id, createdAt: group.createdAt, flush: group.flushes)
        let content = NotificationDocument(
            id: id, flush: group.flushes, reason: reason, groupKey: group.groupKey, receiver: group.integration.receiver,
            groupLabels: group.labels,
            entries: members.map { _, member in
                .init(
                    alert: member.alert, standing: member.standing,
                    acknowledgement: isAcknowledged(member, at: now) ? acknowledgements[member.alert.id] : nil)
            },
            externalURL: settings.externalURL)
        let envelope = NotificationEnvelope(id: id, source: settings.source, time: now, data: content.document())
        return NotificationGroup.Intent(
            id: id, flushedAt: now, severity: content.severity, status: content.status, body: envelope.json,
            tells: members.map { .init(member: $0.key, episode: $0.value.alert.episode, standing: $0.value.standing) })
    }

    static func delivery(_ intent: NotificationGroup.Intent, receiver: String, at now: Instant) -> ScheduledMessage {
        ScheduledMessage(
            id: intent.id, kind: .delivery(receiver: receiver, severity: intent.severity, status: intent.status), dueAt: now,
            body: Array(intent.body.utf8))
    }
}
