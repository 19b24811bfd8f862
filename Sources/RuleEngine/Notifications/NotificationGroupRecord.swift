/// A group as the store holds it: `notification_groups`, one document a group, so that the flush number, what was told and the intent under way
/// change together. Alerts are referred to, not copied, but for occurrences, which are stored nowhere else.
public struct NotificationGroupRecord: Sendable, Equatable {
    public struct Member: Sendable, Equatable {
        /// The alert's id; of an occurrence, its transition's.
        public var key: String
        public var episode: String
        var standing: Standing
        var told: Standing?
        public var isReceived: Bool
        /// What the intent says of this episode.
        var inIntent: Standing?
        /// Only of an occurrence.
        public var alert: AlertRecord?
    }
    public struct Intent: Sendable, Equatable {
        public var id: String
        public var flushedAt: Instant
        public var severity: String?
        public var status: String
        public var body: String
        /// Members of whom it speaks that have begun another episode or left since.
        var toldOthers: [NotificationGroup.Intent.Told]
    }

    public var id: String
    public var base: String
    public var integration: Integration
    public var routeKey: String
    public var labels: [String: String]
    public var createdAt: Instant
    public var firstFlushAt: Instant
    public var lastFlushAt: Instant?
    public var flushes: Int64
    public var members: [Member]
    public var intent: Intent?
}

extension NotificationGroup.Intent.Told {
    var document: Document { .array([.string(member), .string(episode), .string(standing.text)]) }

    init?(document: Document) {
        guard let parts = document.array, parts.count == 3, let member = parts[0].string, let episode = parts[1].string,
            let standing = parts[2].string.flatMap(Standing.init(text:))
        else { return nil }
        self.init(member: member, episode: episode, standing: standing)
    }
}

extension NotificationGroupRecord.Member {
    var document: Document {
        var members: [Document.Member] = [
            .init("key", .string(key)), .init("episode", .string(episode)), .init("standing", .string(standing.text)),
        ]
        if let told { members.append(.init("told", .string(told.text))) }
        if isReceived { members.append(.init("received", true)) }
        if let inIntent { members.append(.init("intent", .string(inIntent.text))) }
        if let alert {
            members.append(.init("alertId", .string(alert.id)))
            members.append(.init("alert", alert.document))
        }
        return .object(members)
    }

    init?(document: Document) {
        guard let key = document["key"]?.string, let episode = document["episode"]?.string,
            let standing = document["standing"]?.string.flatMap(Standing.init(text:))
        else { return nil }
        let alert = document["alertId"]?.string.flatMap { id in document["alert"].flatMap { AlertRecord(document: $0) } }
        guard (alert != nil) == (standing == .occurrence) else { return nil }
        self.init(
            key: key, episode: episode, standing: standing, told: document["told"]?.string.flatMap(Standing.init(text:)),
            isReceived: document["received"]?.bool ?? false, inIntent: document["intent"]?.string.flatMap(Standing.init(text:)),
            alert: alert)
    }
}

extension NotificationGroupRecord.Intent {
    var document: Document {
        [
            "id": .string(id), "flushedAt": .int(flushedAt.nanoseconds), "severity": Document(severity), "status": .string(status),
            "body": .string(body), "others": .array(toldOthers.map(\.document)),
        ]
    }

    init?(document: Document) {
        guard let id = document["id"]?.string, let flushedAt = document["flushedAt"]?.int, let status = document["status"]?.string,
            let body = document["body"]?.string
        else { return nil }
        self.init(
            id: id, flushedAt: Instant(nanoseconds: flushedAt), severity: document["severity"]?.string, status: status, body: body,
            toldOthers: (document["others"]?.array ?? []).compactMap(NotificationGroup.Intent.Told.init(document:)))
    }
}

extension NotificationGroupRecord {
    /// Version of the stored form.
    static let formatVersion: Int64 = 1

    public var document: Document {
        [
            "version": .int(Self.formatVersion), "base": .string(base), "receiver": .string(integration.receiver),
            "kind": .string(integration.kind), "index": .int(Int64(integration.index)), "route": .string(routeKey),
            "labels": Document(labels), "createdAt": .int(createdAt.nanoseconds), "firstFlushAt": .int(firstFlushAt.nanoseconds),
            "lastFlushAt": lastFlushAt.map { .int($0.nanoseconds) } ?? .null, "flushes": .int(flushes),
            "members": .array(members.map(\.document)), "intent": intent?.document ?? .null,
        ]
    }

    /// Nil for a document that is not of this form or of a version that this build does not know.
    public init?(id: String, document: Document) {
        guard document["version"]?.int == Self.formatVersion, let base = document["base"]?.string,
            let receiver = document["receiver"]?.string, let kind = document["kind"]?.string,
            let index = document["index"]?.int.flatMap(Int.init(exactly:)), let routeKey = document["route"]?.string,
            let createdAt = document["createdAt"]?.int, let firstFlushAt = document["firstFlushAt"]?.int,
            let flushes = document["flushes"]?.int, let entries = document["members"]?.array
        else { return nil }
        let members = entries.compactMap(Member.init(document:))
        guard members.count == entries.count else { return nil }
        var intent: Intent?
        if let stored = document["intent"], stored != .null {
            guard let read = Intent(document: stored) else { return nil }
            intent = read
        }
        self.init(
            id: id, base: base, integration: Integration(receiver: receiver, kind: kind, index: index), routeKey: routeKey,
            labels: document["labels"]?.strings ?? [:], createdAt: Instant(nanoseconds: createdAt),
            firstFlushAt: Instant(nanoseconds: firstFlushAt),
            lastFlushAt: document["lastFlushAt"]?.int.map { Instant(nanoseconds: $0) }, flushes: flushes, members: members, intent: intent)
    }

    init(_ group: NotificationGroup) {
        let tells = Dictionary((group.intent?.tells ?? []).map { ($0.member, $0) }, uniquingKeysWith: { first, _ in first })
        var covered = Set<String>()
        let members = group.members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { key, member in
            let told = tells[key].flatMap { $0.episode == member.alert.episode ? $0.standing : nil }
            if told != nil { covered.insert(key) }
            return Member(
                key: key, episode: member.alert.episode, standing: member.standing, told: member.told, isReceived: member.isReceived,
                inIntent: told, alert: member.standing == .occurrence ? member.alert : nil)
        }
        self.init(
            id: group.id, base: group.base, integration: group.integration, routeKey: group.routeKey, labels: group.labels,
            createdAt: group.createdAt, firstFlushAt: group.firstFlushAt, lastFlushAt: group.lastFlushAt, flushes: group.flushes,
            members: members,
            intent: group.intent.map { intent in
                Intent(
                    id: intent.id, flushedAt: intent.flushedAt, severity: intent.severity, status: intent.status, body: intent.body,
                    toldOthers: intent.tells.filter { !covered.contains($0.member) })
            })
    }
}
