/// Transition → route → group.
extension NotificationPipeline {
    mutating func apply(_ transition: AlertTransition, at now: Instant) {
        let alert = transition.alert
        let position = AlertPosition(alert)
        let before = known[alert.id]
        if let before, before.position >= position { return }
        let standing = Standing(alert, isOccurrence: transition.isOccurrence)
        // An episode of which nothing was notified (pending, then over) is none of ours.
        let isNews = standing.isLive || standing == .occurrence || before?.standing.isLive ?? false || transition.from.isFiring
        known[alert.id] = Known(
            position: position, alert: standing.isLive ? alert : nil, changedAt: alert.changedAt, standing: isNews ? standing : .over)
        guard isNews else { return }
        endAcknowledgement(alert, standing)
        // A rule put into the shadow ends what it had raised before.
        if alert.isShadow, membership[alert.id] != nil { return end(alert) }
        if alert.isShadow {
            let isEvent = before?.standing != standing || standing == .occurrence || before?.position.activeAt != position.activeAt
            if isEvent { dispose(alert, .shadow) }
            return
        }
        switch standing {
        case .firing, .nodata:
            place(alert, at: now, countsUndirected: before?.standing != standing)
        case .occurrence:
            enter(alert, standing, key: transition.id, at: now, countsUndirected: true)
        case .over:
            end(alert)
        }
    }

    /// An event that no group takes up.
    private mutating func dispose(_ alert: AlertRecord, _ disposition: Disposition) {
        for node in tree.routes(for: alert.notificationLabels) {
            for _ in 0..<max(1, tree.receivers[node.receiver]?.channels.count ?? 0) {
                ledger.take(node.receiver)
                ledger.settle(node.receiver, disposition)
            }
        }
    }

    /// Puts a live alert into every group that its labels lead to, and takes it out of the others (its level led elsewhere).
    mutating func place(_ alert: AlertRecord, at now: Instant, countsUndirected: Bool = false) {
        let standing = Standing(alert)
        let before = membership[alert.id] ?? []
        let targets = enter(alert, standing, key: alert.id, at: now, countsUndirected: countsUndirected)
        for id in before where !targets.contains(id) { move(alert, outOf: id, to: targets) }
    }

    @discardableResult
    private mutating func enter(
        _ alert: AlertRecord, _ standing: Standing, key: String, at now: Instant, countsUndirected: Bool
    ) -> [String] {
        var targets: [String] = []
        for node in tree.routes(for: alert.notificationLabels) {
            let channels = tree.receivers[node.receiver]?.channels ?? []
            if channels.isEmpty, countsUndirected {
                ledger.take(node.receiver)
                ledger.settle(node.receiver, .undirected)
            }
            for (index, channel) in channels.enumerated() {
                let integration = Integration(receiver: node.receiver, kind: channel.kind, index: index)
                let id = group(for: alert, standing, key: key, integration: integration, node: node, at: now)
                enter(alert, standing, key: key, group: id)
                targets.append(id)
            }
        }
        return targets
    }

    /// The group's id; makes the group when there is none with room.
    private mutating func group(
        for alert: AlertRecord, _ standing: Standing, key: String, integration: Integration, node: RouteNode, at now: Instant
    ) -> String {
        let labels = node.groupLabels(of: alert)
        let base = integration.prefix + node.key + ":" + labelText(labels)
        if let own = (membership[key] ?? []).first(where: { groups[$0]?.base == base }) { return own }
        let limit = standing == .occurrence ? settings.occurrenceLimit : settings.groupLimit
        var id = base
        var part = 1
        while let present = groups[id], present.members.count >= limit {
            part += 1
            id = "\(base)#\(part)"
        }
        if groups[id] == nil {
            lastCreation = max(now, lastCreation + 1)
            groups[id] = NotificationGroup(
                id: id, base: base, integration: integration, route: node, labels: labels, createdAt: lastCreation,
                sendsResolved: channel(integration)?.sendsResolved ?? true,
                firstFlushAt: alert.changedAt + node.groupWait.inNanoseconds)
        }
        return id
    }

    private mutating func enter(_ alert: AlertRecord, _ standing: Standing, key: String, group id: String) {
        guard var group = groups[id] else { return }
        let receiver = group.integration.receiver
        if var member = group[key] {
            let isOtherEpisode = member.alert.episode != alert.episode
            if isOtherEpisode { member.told = nil }
            if isOtherEpisode || member.standing != standing {
                member.waiting += 1
                ledger.take(receiver)
            }
            member.alert = alert
            member.standing = standing
            if member.told == standing {
                // Back to what was told last: there is nothing to say.
                ledger.settle(receiver, .superseded, member.waiting)
                member.waiting = 0
            }
            group.set(key, member)
        } else {
            group.set(key, NotificationGroup.Member(alert: alert, standing: standing, waiting: 1))
            ledger.take(receiver)
            if standing == .occurrence { group.needsStore = true } else { membership[key, default: []].append(id) }
        }
        groups[id] = group
        touch(id)
    }

    /// An alert that goes on elsewhere. The same integration takes along what it has heard; another receiver is told that it is over for it.
    private mutating func move(_ alert: AlertRecord, outOf id: String, to targets: [String]) {
        guard var group = groups[id], var member = group[alert.id] else { return }
        guard let next = targets.first(where: { groups[$0]?.integration == group.integration }) else {
            guard member.standing != .over else { return }
            var gone = member.alert
            gone.state = .resolved
            gone.resolvedAt = alert.changedAt
            end(gone, in: id)
            return
        }
        if member.isReceived || mayBeHearing(group, of: alert.id), var heir = groups[next]?[alert.id] {
            heir.isReceived = true
            groups[next]?.set(alert.id, heir)
        }
        ledger.settle(group.integration.receiver, .superseded, member.openEvents)
        member.waiting = 0
        leave(alert.id, member, id)
        group.set(alert.id, nil)
        // What the intent says of it must not arrive after what the new group says.
        if group.intentTells(alert.id) { group.mustReplaceIntent = true }
        group.needsStore = true
        groups[id] = group
        touch(id)
    }

    /// An alert is over, in every group that it is in.
    private mutating func end(_ alert: AlertRecord) {
        guard let holding = membership[alert.id] else {
            for node in tree.routes(for: alert.notificationLabels) where tree.receivers[node.receiver]?.channels.isEmpty ?? true {
                ledger.take(node.receiver)
                ledger.settle(node.receiver, .undirected)
            }
            return
        }
        for id in holding { end(alert, in: id) }
    }

    mutating func end(_ alert: AlertRecord, in id: String) {
        guard var group = groups[id], var member = group[alert.id] else { return }
        let receiver = group.integration.receiver
        let isOtherEpisode = member.alert.episode != alert.episode
        member.alert = alert
        if isOtherEpisode { member.told = nil }
        if member.standing != .over || isOtherEpisode {
            member.standing = .over
            member.waiting += 1
            ledger.take(receiver)
            if member.told == .over {
                ledger.settle(receiver, .superseded, member.waiting)
                member.waiting = 0
            }
        }
        group.set(alert.id, member)
        groups[id] = group
        touch(id)
        releaseUntold(alert.id, in: id)
    }

    /// Lets an alert go whose end nobody is to be told, unless the intent still speaks of it.
    mutating func releaseUntold(_ key: String, in id: String) {
        guard var group = groups[id], let member = group[key], member.standing == .over, !group.announcesEnd(of: member),
            !group.intentTells(key)
        else { return }
        let receiver = group.integration.receiver
        ledger.settle(receiver, .superseded, member.openEvents - 1)
        if member.openEvents > 0 { ledger.settle(receiver, member.isReceived ? .unwanted : .unannounced) }
        leave(key, member, id)
        group.set(key, nil)
        group.needsStore = group.needsStore || group.isStored
        groups[id] = group
    }
}
