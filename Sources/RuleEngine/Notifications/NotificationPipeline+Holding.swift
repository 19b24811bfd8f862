/// Silences and acknowledgements: what of a group that is due may be said.
///
/// * An alert that a silence hides is left out of every notification; when the silence is over and it still fires, that is told. Its end is told also under a silence where the
///   receiver heard that it fires, so that nobody waits for an end that never comes.
/// * An alert that somebody acknowledged causes no notification, unless it gets worse; when another alert of its group causes one, it is in it.
extension NotificationPipeline {
    /// Nil when the group, which is due, has something to say; else when to look again. Events that may not be said are counted as what keeps them back.
    mutating func hold(_ id: String, at now: Instant) -> Instant? {
        guard !silences.isEmpty || !acknowledgements.isEmpty, let group = groups[id], !group.mustReplaceIntent else { return nil }
        var isDue = false
        var next = Instant.distantFuture
        for (key, member) in group.members.sorted(by: { $0.key < $1.key }) {
            let isChanged = member.told != member.standing
            guard isChanged || member.standing.isLive else { continue }
            guard let due = isChanged ? group.changeDue : group.repetitionDue else { continue }
            if let (end, disposition) = held(member, at: now) {
                if isChanged, member.openEvents > 0 { hush(key, in: id, as: disposition) }
                next = min(next, max(end, due))
            } else if due <= now {
                isDue = true
            } else {
                next = min(next, due)
            }
        }
        return isDue ? nil : next
    }

    /// What keeps a member back, and until when at least.
    private func held(_ member: NotificationGroup.Member, at now: Instant) -> (until: Instant, as: Disposition)? {
        if let end = hiddenUntil(member, at: now) { return (end, .silenced) }
        if let acknowledgement = acknowledgements[member.alert.id],
            let end = acknowledgement.covers(member.alert, member.standing, at: now)
        {
            return (end, .acknowledged)
        }
        return nil
    }

    /// Counts a member's events as kept back. An occurrence leaves: it is said once, or never.
    mutating func hush(_ key: String, in id: String, as disposition: Disposition) {
        guard var group = groups[id], var member = group[key] else { return }
        ledger.settle(group.integration.receiver, disposition, member.openEvents)
        if member.isCarried { member.told = nil }
        member.waiting = 0
        member.isCarried = false
        member.isHushed = true
        group.needsStore = group.needsStore || group.isStored
        group.set(key, member.standing == .occurrence ? nil : member)
        groups[id] = group
    }

    func isHidden(_ member: NotificationGroup.Member, at now: Instant) -> Bool { hiddenUntil(member, at: now) != nil }

    func isAcknowledged(_ member: NotificationGroup.Member, at now: Instant) -> Bool {
        acknowledgements[member.alert.id]?.covers(member.alert, member.standing, at: now) != nil
    }

    private func hiddenUntil(_ member: NotificationGroup.Member, at now: Instant) -> Instant? {
        guard !silences.isEmpty, member.standing != .over else { return nil }
        return silences.hidden(member.alert.notificationLabels, at: now)
    }
}

// MARK: - Inputs

extension NotificationPipeline {
    /// Makes a silence, or puts another in its place.
    public mutating func silence(_ silence: Silence, at now: Instant) -> (mistake: SilenceMistake?, effects: [PipelineEffect]) {
        if let mistake = silences.mistake(in: silence, at: now) { return (mistake, []) }
        silences.set(silence)
        effects.append(.silence(id: silence.id, silence))
        return (nil, lookAgain(at: now))
    }

    /// Ends a silence; one that had not begun never will. Nil when there is none of this id.
    public mutating func expireSilence(_ id: String, at now: Instant) -> (silence: Silence?, effects: [PipelineEffect]) {
        guard var silence = silences[id] else { return (nil, []) }
        guard silence.state(at: now) != .expired else { return (silence, []) }
        silence.startsAt = min(silence.startsAt, now)
        silence.endsAt = now
        silence.updatedAt = now
        silences.set(silence)
        effects.append(.silence(id: id, silence))
        return (silence, lookAgain(at: now))
    }

    /// - Parameter until: nil: until the alert is over.
    public mutating func acknowledge(
        alert id: String, by: String, comment: String = "", until: Instant? = nil, at now: Instant
    ) -> (result: Result<Acknowledgement, AcknowledgementMistake>, effects: [PipelineEffect]) {
        guard let alert = known[id]?.alert else { return (.failure(.notFiring), []) }
        if alert.isShadow { return (.failure(.shadow), []) }
        if let until, until <= now { return (.failure(.isOver), []) }
        for (name, text) in [("by", by), ("comment", comment)] where text.utf8.count > Silence.longestText {
            return (.failure(.textTooLong(name)), [])
        }
        let acknowledgement = Acknowledgement(
            alert: id, episode: alert.episode, by: by, comment: comment, at: now, until: until, standing: Standing(alert),
            levelPlace: alert.levelPlace)
        acknowledgements[id] = acknowledgement
        effects.append(.acknowledgement(alert: id, acknowledgement))
        return (.success(acknowledgement), lookAgain(at: now, groups: membership[id] ?? []))
    }

    /// Takes an acknowledgement back; false when there was none.
    public mutating func unacknowledge(alert id: String, at now: Instant) -> (wasThere: Bool, effects: [PipelineEffect]) {
        guard acknowledgements.removeValue(forKey: id) != nil else { return (false, []) }
        effects.append(.acknowledgement(alert: id, nil))
        return (true, lookAgain(at: now, groups: membership[id] ?? []))
    }

    /// Forgets silences that have been over for long.
    public mutating func forgetSilences(at now: Instant) -> [PipelineEffect] {
        silences.forgettable(at: now).map { id in
            silences.remove(id)
            return .silence(id: id, nil)
        }
    }

    /// What was acknowledged is over, or is another episode.
    mutating func endAcknowledgement(_ alert: AlertRecord, _ standing: Standing) {
        guard let acknowledgement = acknowledgements[alert.id], acknowledgement.episode != alert.episode || standing == .over else {
            return
        }
        acknowledgements[alert.id] = nil
        effects.append(.acknowledgement(alert: alert.id, nil))
    }

    private mutating func lookAgain(at now: Instant) -> [PipelineEffect] { lookAgain(at: now, groups: groups.keys.sorted()) }

    private mutating func lookAgain(at now: Instant, groups ids: [String]) -> [PipelineEffect] {
        for id in ids {
            groups[id]?.heldUntil = nil
            touch(id)
        }
        return settleTouched(at: now)
    }
}
