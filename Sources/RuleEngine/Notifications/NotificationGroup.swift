/// One channel of a receiver: where a group's notifications go.
public struct Integration: Hashable, Sendable {
    public var receiver: String
    /// `webhook`, `log`, `mqtt`.
    public var kind: String
    /// The channel's place among the receiver's channels.
    public var index: Int

    public init(receiver: String, kind: String, index: Int) {
        self.receiver = receiver
        self.kind = kind
        self.index = index
    }
}

/// Alerts that one integration is told of together. Its own decisions only: what is stored and scheduled is the pipeline's matter.
struct NotificationGroup: Sendable {
    /// An alert (or one occurrence) in the group.
    struct Member: Sendable {
        var alert: AlertRecord
        var standing: Standing
        /// What the last notification that spoke of this episode said.
        var told: Standing?
        /// The receiver has, or may have, heard that it fires, and has not heard that it is over.
        var isReceived = false
        /// Events that no notification has taken up yet.
        var waiting = 0
        /// An event of it travels with the intent.
        var isCarried = false
        /// Its events were counted as silenced or acknowledged; what still holds when that is over is to be said.
        var isHushed = false
        var openEvents: Int { waiting + (isCarried ? 1 : 0) }
    }

    /// A notification that was decided and neither delivered nor given up.
    struct Intent: Sendable {
        enum Attempt: Sendable {
            /// None is under way, and what came of earlier ones is known.
            case none
            case underWay
            /// From before a restart: may have been tried, with an outcome that nobody knows.
            case unknown
        }
        struct Told: Sendable, Equatable {
            var member: String
            var episode: String
            var standing: Standing
        }
        var id: String
        var flushedAt: Instant
        var severity: String?
        var status: String
        /// The CloudEvents document, byte by byte the same at every attempt.
        var body: String
        var tells: [Told]
        var attempt = Attempt.none
        /// Number of the last attempt that was begun.
        var lastAttempt = 0
    }

    let id: String
    /// Without the number that parts of a large group have.
    let base: String
    let integration: Integration
    let routeKey: String
    let labels: [String: String]
    let createdAt: Instant
    /// As in the notification; integrations of one route share it.
    let groupKey: String
    var sendsResolved: Bool
    var interval: Duration
    var repeatInterval: Duration
    /// When the first flush is due.
    var firstFlushAt: Instant

    private(set) var members: [String: Member] = [:]
    private(set) var changed = 0
    private(set) var live = 0
    private(set) var occurrences = 0
    var intent: Intent?
    var flushes: Int64 = 0
    var lastFlushAt: Instant?
    /// A member went elsewhere while the intent speaks of it: another one must take the intent's place.
    var mustReplaceIntent = false
    /// The store holds a record of it.
    var isStored = false
    /// What the store holds is not enough to go on from after a crash.
    var needsStore = false
    /// The earliest wake on its way.
    var wakeAt: Instant?
    /// Nothing can be said before: silences and acknowledgements are in the way. Nil as soon as anything about the group changes.
    var heldUntil: Instant?

    init(
        id: String, base: String, integration: Integration, route: RouteNode, labels: [String: String], createdAt: Instant,
        sendsResolved: Bool, firstFlushAt: Instant
    ) {
        self.id = id
        self.base = base
        self.integration = integration
        routeKey = route.key
        self.labels = labels
        self.createdAt = createdAt
        groupKey = id.dropPrefix(integration.prefix)
        self.sendsResolved = sendsResolved
        interval = route.groupInterval
        repeatInterval = route.repeatInterval
        self.firstFlushAt = firstFlushAt
    }

    subscript(key: String) -> Member? { members[key] }

    /// Keeps the counts in step, so that a decision does not look at every member.
    mutating func set(_ key: String, _ member: Member?) {
        if let old = members[key] { count(old, -1) }
        if let member { count(member, 1) }
        members[key] = member
        heldUntil = nil
    }

    private mutating func count(_ member: Member, _ by: Int) {
        if member.told != member.standing { changed += by }
        if member.standing.isLive { live += by }
        if member.standing == .occurrence { occurrences += by }
    }

    var isIdle: Bool {
        switch intent?.attempt {
        case nil, .some(.none): true
        case .underWay, .unknown: false
        }
    }

    /// When there may be something to tell next; nil when there is nothing, or when an attempt has to end first.
    var due: Instant? {
        guard isIdle else { return nil }
        if mustReplaceIntent { return .distantPast }
        guard let next = changed > 0 ? changeDue : live > 0 ? repetitionDue : nil else { return nil }
        guard let heldUntil else { return next }
        return heldUntil == .distantFuture ? nil : max(next, heldUntil)
    }

    /// When a change may be told.
    var changeDue: Instant { lastFlushAt.map { $0 + interval.inNanoseconds } ?? firstFlushAt }
    /// When what was told is told again; nil when nothing was told.
    var repetitionDue: Instant? { lastFlushAt.map { $0 + repeatInterval.inNanoseconds } }

    /// Whether what is known of a member that `counts` differs from what was told.
    func hasChange(_ counts: (Member) -> Bool) -> Bool { changed > 0 && members.values.contains { $0.told != $0.standing && counts($0) } }

    /// The end of this alert is told to the receiver.
    func announcesEnd(of member: Member) -> Bool { member.isReceived && sendsResolved }

    /// Whether the intent speaks of a member.
    func intentTells(_ key: String) -> Bool { intent?.tells.contains { $0.member == key } ?? false }
}

extension Integration {
    var prefix: String {
        var text = ""
        Document.quote(receiver, into: &text)
        return "\(text)/\(kind)/\(index) "
    }
}

extension String {
    fileprivate func dropPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : self
    }
}

/// `{alertname="TooWarm", device="f1"}`
func labelText(_ labels: [String: String]) -> String {
    let parts = labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map {
        Matcher($0.key, .equal, $0.value).description
    }
    return "{" + parts.joined(separator: ", ") + "}"
}

/// The id of a group's n-th notification. Never used twice: no two incarnations of a group begin at the same instant.
func intentID(group: String, createdAt: Instant, flush: Int64) -> String {
    var low = FNV1a(), high = FNV1a(seed: 0x6c62_272e_07bb_0142)
    for part in [group, String(createdAt.nanoseconds), String(flush)] {
        for byte in part.utf8 {
            low.add(byte)
            high.add(byte)
        }
        low.add(0xFF)
        high.add(0xFE)
    }
    return high.hex + low.hex
}
