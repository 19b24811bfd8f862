extension AlertRecord {
    /// Version of the stored form.
    static let formatVersion: Int64 = 1

    /// The stored form. Instants that decide (activeAt, pending-since) are whole nanoseconds, since stores keep dates to the millisecond only.
    public var document: Document {
        var members: [Document.Member] = [
            .init("version", .int(Self.formatVersion)),
            .init("group", .string(rule.group)),
            .init("alert", .string(rule.alert)),
            .init("key", .array(key.map(Document.string))),
            .init("state", .string(state.rawValue)),
            .init("level", Document(level)),
            .init("activeAt", .instant(activeAt)),
            .init("activeAtNanoseconds", .int(activeAt.nanoseconds)),
            .init("ordinal", .int(ordinal)),
            .init("transition", .int(transition)),
            .init("labels", Document(labels)),
            .init("annotations", Document(annotations)),
            .init("value", value),
            .init("id", .string(id)),
            .init("fields", fields),
            .init("changedAt", .int(changedAt.nanoseconds)),
            .init("reason", .string(reason.rawValue)),
        ]
        if let levelPlace { members.append(.init("levelPlace", .int(Int64(levelPlace)))) }
        if !pendingSince.isEmpty {
            let since = pendingSince.sorted { $0.key < $1.key }
            members.append(.init("pendingSince", .object(since.map { .init(String($0.key), .int($0.value.nanoseconds)) })))
        }
        if let recoveringSince { members.append(.init("recoveringSince", .int(recoveringSince.nanoseconds))) }
        if let firedAt { members.append(.init("firedAt", .int(firedAt.nanoseconds))) }
        if let resolvedAt { members.append(.init("resolvedAt", .int(resolvedAt.nanoseconds))) }
        if let instanceTime { members.append(.init("instanceTime", .int(instanceTime.nanoseconds))) }
        if isShadow { members.append(.init("shadow", true)) }
        if !pendingActions.isEmpty { members.append(.init("pendingActions", .array(pendingActions.map(\.document)))) }
        if isOccurrence { members.append(.init("occurrence", true)) }
        if let device { members.append(.init("device", .string(device))) }
        return .object(members)
    }

    /// Nil for a document that is not of this form or of a version that this build does not know.
    public init?(document: Document) {
        guard let id = document["id"]?.string, document["version"]?.int == Self.formatVersion, let group = document["group"]?.string,
            let alert = document["alert"]?.string,
            let key = document["key"]?.array?.map(\.string), !key.contains(nil),
            let state = document["state"]?.string.flatMap(AlertState.init), let activeAt = document["activeAtNanoseconds"]?.int,
            let ordinal = document["ordinal"]?.int, let transition = document["transition"]?.int,
            let changedAt = document["changedAt"]?.int,
            let reason = document["reason"]?.string.flatMap(TransitionReason.init)
        else { return nil }
        func instant(_ name: String) -> Instant? { document[name]?.int.map { Instant(nanoseconds: $0) } }
        var pendingSince: [Int: Instant] = [:]
        for member in document["pendingSince"]?.members ?? [] {
            guard let level = Int(member.name), let since = member.value.int else { return nil }
            pendingSince[level] = Instant(nanoseconds: since)
        }
        self.init(
            id: id, rule: RuleIdentity(group: group, alert: alert), key: key.compactMap { $0 }, activeAt: Instant(nanoseconds: activeAt),
            ordinal: ordinal, transition: transition, labels: document["labels"]?.strings ?? [:],
            annotations: document["annotations"]?.strings ?? [:], state: state, level: document["level"]?.string,
            pendingSince: pendingSince,
            recoveringSince: instant("recoveringSince"), value: document["value"] ?? .null, firedAt: instant("firedAt"),
            resolvedAt: instant("resolvedAt"), changedAt: Instant(nanoseconds: changedAt), reason: reason,
            isShadow: document["shadow"]?.bool ?? false, device: document["device"]?.string,
            fields: document["fields"] ?? .emptyObject, isOccurrence: document["occurrence"]?.bool ?? false)
        instanceTime = instant("instanceTime")
        levelPlace = document["levelPlace"]?.int.flatMap(Int.init(exactly:))
        pendingActions = (document["pendingActions"]?.array ?? []).compactMap(ActionRequest.init)
    }
}
