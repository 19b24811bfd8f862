extension AlertTransition {
    /// Type of the events that tell of transitions.
    public static let eventType = "io.nodesphere.alert"

    /// The transition for integrations: a CloudEvents 1.0 event, whose id is the transition's. Described in docs/asyncapi.yaml.
    public func event(source: String) -> Document {
        [
            "specversion": "1.0", "id": .string(id), "source": .string(source), "type": .string(Self.eventType),
            "time": .instant(alert.changedAt), "datacontenttype": "application/json", "data": eventData,
        ]
    }

    private var eventData: Document {
        var members: [Document.Member] = [
            .init("alertname", .string(alert.rule.alert)),
            .init("group", .string(alert.rule.group)),
            .init("id", .string(alert.id)),
            .init("transition", .int(alert.transition)),
            .init("from", .string(from.rawValue)),
            .init("state", .string(alert.state.rawValue)),
            .init("reason", .string(alert.reason.rawValue)),
            .init("labels", Document(alert.labels)),
            .init("annotations", Document(alert.annotations)),
            .init("value", alert.value),
            .init("fields", alert.fields),
            .init("activeAt", .instant(alert.activeAt)),
        ]
        if let level = alert.level { members.append(.init("level", .string(level))) }
        if let firedAt = alert.firedAt { members.append(.init("firedAt", .instant(firedAt))) }
        if let resolvedAt = alert.resolvedAt { members.append(.init("resolvedAt", .instant(resolvedAt))) }
        if let device = alert.device { members.append(.init("device", .string(device))) }
        if alert.isOccurrence { members.append(.init("occurrence", true)) }
        if alert.isShadow { members.append(.init("shadow", true)) }
        return .object(members)
    }
}
