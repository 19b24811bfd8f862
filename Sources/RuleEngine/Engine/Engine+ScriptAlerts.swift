/// Alerts that automations raise: they fire until they are resolved, or until their automation is gone.
extension Engine {
    /// Fires an alert of a script, or changes severity, annotations and value of the one that fires. Beyond `ScriptAlert.most` nothing happens.
    func raise(_ alert: ScriptAlert, at instant: Instant) {
        beginInput(at: instant)
        guard let known = context.scriptAlerts[alert.id] else { return fire(alert) }
        var changed = known
        (changed.annotations, changed.level, changed.value) = (alert.annotations, alert.severity, alert.value)
        guard changed != known else { return }
        changed.transition += 1
        (changed.changedAt, changed.reason) = (context.now, .script)
        context.scriptAlerts[alert.id] = changed
        context.effects.transitions.append(AlertTransition(from: .firing, alert: changed))
    }

    private func fire(_ alert: ScriptAlert) {
        let selection = ScriptAlertSelection(automation: alert.automation)
        guard context.scriptAlerts.values.count(where: selection.takes) < ScriptAlert.most else { return }
        let record = AlertRecord(
            id: alert.id, rule: alert.identity, key: alert.key, activeAt: context.now, ordinal: context.ordinal, transition: 1,
            labels: alert.labels.merging(["alertname": alert.alertname]) { $1 }, annotations: alert.annotations, state: .firing,
            level: alert.severity, value: alert.value, firedAt: context.now, changedAt: context.now, reason: .script,
            device: alert.labels["device"])
        context.scriptAlerts[record.id] = record
        context.effects.transitions.append(AlertTransition(from: .inactive, alert: record))
    }

    func resolve(_ selection: ScriptAlertSelection, at instant: Instant) {
        beginInput(at: instant)
        endScriptAlerts(.script, where: selection.takes)
    }

    /// The automations that there are: what others had raised ends.
    func setAutomations(_ names: [String], at instant: Instant) {
        beginInput(at: instant)
        let groups = Set(names.map(ScriptAlert.group))
        endScriptAlerts(.scriptRemoved) { !groups.contains($0.rule.group) }
    }

    private func endScriptAlerts(_ reason: TransitionReason, where isMeant: (AlertRecord) -> Bool) {
        for record in context.scriptAlerts.values.filter(isMeant).sorted(by: { $0.id < $1.id }) {
            context.scriptAlerts[record.id] = nil
            resolveOrphan(record, reason: reason)
        }
    }

    /// Alerts of scripts that fire, in the order of their ids.
    public var scriptAlerts: [AlertRecord] { context.scriptAlerts.values.sorted { $0.id < $1.id } }

    /// After a restart: what the store does not hold as it is, is told again.
    func reconcileScriptAlerts(with stored: [String: AlertRecord]) {
        for var record in scriptAlerts {
            let known = stored[record.id]
            guard known?.transition != record.transition || known?.activeAt != record.activeAt || known?.ordinal != record.ordinal else {
                continue
            }
            if let known, known.episode == record.episode { record.transition = max(record.transition, known.transition + 1) }
            context.scriptAlerts[record.id] = record
            context.effects.transitions.append(AlertTransition(from: known?.state ?? .inactive, alert: record))
        }
    }
}
