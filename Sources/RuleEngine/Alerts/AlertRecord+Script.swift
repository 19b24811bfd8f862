extension AlertRecord {
    /// The alert as functions of automations and plugins see it.
    public var scriptDocument: Document {
        [
            "alertname": .string(rule.alert), "group": .string(rule.group), "state": .string(state.rawValue), "labels": Document(labels),
            "annotations": Document(annotations), "value": value, "level": Document(level), "id": .string(id),
            "device": Document(device), "active_at": .instant(activeAt), "changed_at": .instant(changedAt),
            "reason": .string(reason.rawValue),
        ]
    }
}
