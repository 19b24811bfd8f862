/// The document that webhooks get: Alertmanager's, version "4", with our member `nodesphere`.
struct NotificationDocument {
    enum Reason: String { case first, change, repetition = "repeat" }
    struct Entry {
        var alert: AlertRecord
        var standing: Standing
        var acknowledgement: Acknowledgement?
    }

    var id: String
    var flush: Int64
    var reason: Reason
    var groupKey: String
    var receiver: String
    var groupLabels: [String: String]
    var entries: [Entry]
    var externalURL: String

    /// A document never gets larger than about this, so that a store can hold it; what does not fit is counted in `truncatedAlerts`.
    static let byteLimit = 1 << 20
    /// A longer annotation is cut; it came from a payload.
    static let annotationLimit = 32 << 10

    var status: String { entries.contains { $0.standing != .over } ? "firing" : "resolved" }

    /// The common `severity`; nil when the alerts have several or none.
    var severity: String? { Self.common(entries.map(\.alert.notificationLabels))["severity"] }

    func document() -> Document {
        let sorted = entries.sorted { left, right in
            let a = left.alert.startsAt, b = right.alert.startsAt
            return a != b ? a < b : left.alert.fingerprint.utf8.lexicographicallyPrecedes(right.alert.fingerprint.utf8)
        }
        var alerts: [Document] = []
        var own: [Document] = []
        var bytes = 0
        for entry in sorted {
            let (alert, more) = (alertDocument(entry), ownDocument(entry))
            bytes += alert.json.utf8.count + more.json.utf8.count
            if bytes > Self.byteLimit, !alerts.isEmpty { break }
            alerts.append(alert)
            own.append(more)
        }
        return [
            "version": "4", "groupKey": .string(groupKey), "truncatedAlerts": .int(Int64(sorted.count - alerts.count)),
            "status": .string(status), "receiver": .string(receiver), "groupLabels": Document(groupLabels),
            "commonLabels": Document(Self.common(entries.map(\.alert.notificationLabels))),
            "commonAnnotations": Document(Self.common(entries.map { $0.alert.annotations.mapValues(Self.cut) })),
            "externalURL": .string(externalURL), "alerts": .array(alerts),
            "nodesphere": [
                "id": .string(id), "flush": .int(flush), "reason": .string(reason.rawValue), "alerts": .array(own),
            ],
        ]
    }

    private func alertDocument(_ entry: Entry) -> Document {
        let alert = entry.alert
        let endsAt: Document =
            switch entry.standing {
            case .over: .string((alert.resolvedAt ?? alert.changedAt).description)
            case .occurrence: .string(alert.startsAt.description)
            case .firing, .nodata: "0001-01-01T00:00:00Z"
            }
        return [
            "status": entry.standing == .over ? "resolved" : "firing", "labels": Document(alert.notificationLabels),
            "annotations": Document(alert.annotations.mapValues(Self.cut)), "startsAt": .string(alert.startsAt.description),
            "endsAt": endsAt, "generatorURL": .string(generatorURL(alert.rule)), "fingerprint": .string(alert.fingerprint),
        ]
    }

    /// What Alertmanager's form has no place for, in the order of `alerts`.
    private func ownDocument(_ entry: Entry) -> Document {
        let alert = entry.alert
        var own: [Document.Member] = [
            .init("id", .string(alert.id)),
            .init("rule", ["group": .string(alert.rule.group), "name": .string(alert.rule.alert)]),
            .init("state", .string(entry.standing == .over ? "resolved" : alert.state.rawValue)),
            .init("level", Document(alert.level)),
            .init("value", alert.value),
            .init("device", Document(alert.device)),
            .init("reason", .string(alert.reason.rawValue)),
            .init("activeAt", .string(alert.activeAt.description)),
        ]
        if let acknowledgement = entry.acknowledgement { own.append(.init("acknowledged", acknowledgement.item)) }
        return .object(own)
    }

    private func generatorURL(_ rule: RuleIdentity) -> String {
        guard !externalURL.isEmpty else { return "" }
        let base = externalURL.hasSuffix("/") ? String(externalURL.dropLast()) : externalURL
        return "\(base)/api/v1/rules/\(percentEncoded(rule.group))/\(percentEncoded(rule.alert))"
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > annotationLimit else { return text }
        return String(decoding: text.utf8.prefix(annotationLimit), as: UTF8.self) + "…"
    }

    /// What all have in common.
    static func common(_ sets: [[String: String]]) -> [String: String] {
        guard var common = sets.first else { return [:] }
        for set in sets.dropFirst() where !common.isEmpty {
            common = common.filter { name, value in set[name].map { $0.utf8.elementsEqual(value.utf8) } ?? false }
        }
        return common
    }
}

/// RFC 3986 §2.3: everything but unreserved characters.
private func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var encoded = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            encoded.unicodeScalars.append(UnicodeScalar(byte))
        default:
            encoded.append("%")
            encoded.append(digits[Int(byte >> 4)])
            encoded.append(digits[Int(byte & 15)])
        }
    }
    return encoded
}
