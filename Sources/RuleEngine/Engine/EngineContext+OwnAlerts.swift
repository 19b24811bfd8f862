/// Alerts of the engine about itself: they fire while their cause goes on and end five minutes after it was last seen.
extension EngineContext {
    static let ownGroup = "nodesphere"
    static let ownAlertHold: Int64 = 300_000_000_000

    /// A rule is at its limit: the new instance does not begin.
    func refuse(_ rule: RulePlan) {
        ruleStates[Int(rule.number)].refused &+= 1
        let name = rule.rule.identity.description
        raise(
            "RuleOverLimit", key: [name], labels: ["rule": name],
            summary: "rule \(name) has reached its limit of \(rule.rule.limit ?? 0) alerts; further instances are refused and counted")
    }

    func raise(_ alert: String, key: [String], labels: [String: String], summary: String) {
        let identity = RuleIdentity(group: Self.ownGroup, alert: alert)
        let id = alertInstanceID(rule: identity, key: key)
        if ownAlerts[id] != nil {
            ownAlerts[id]?.lastCauseAt = now
            return
        }
        let record = AlertRecord(
            id: id, rule: identity, key: key, activeAt: now, ordinal: ordinal, transition: 1,
            labels: labels.merging(["alertname": alert, "severity": "warning"]) { $1 }, annotations: ["summary": summary], state: .firing,
            firedAt: now, changedAt: now, reason: .limit)
        ownAlerts[id] = OwnAlert(record: record, lastCauseAt: now)
        ownAlertDue = min(ownAlertDue, now + Self.ownAlertHold)
        effects.transitions.append(AlertTransition(from: .inactive, alert: record))
    }

    /// Takes one up that was firing when the engine stopped.
    func restoreOwnAlert(_ record: AlertRecord) {
        ownAlerts[record.id] = OwnAlert(record: record, lastCauseAt: now)
        ownAlertDue = min(ownAlertDue, now + Self.ownAlertHold)
    }

    func endOwnAlerts() {
        for (id, own) in ownAlerts.sorted(by: { $0.key < $1.key }) where own.lastCauseAt + Self.ownAlertHold <= now {
            var record = own.record
            record.state = .resolved
            record.transition += 1
            record.resolvedAt = now
            record.changedAt = now
            ownAlerts[id] = nil
            effects.transitions.append(AlertTransition(from: .firing, alert: record))
        }
        ownAlertDue = ownAlerts.values.map { $0.lastCauseAt + Self.ownAlertHold }.min() ?? .distantFuture
    }
}
