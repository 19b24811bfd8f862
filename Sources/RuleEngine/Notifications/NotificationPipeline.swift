/// What the pipeline asks its shell to do. Of one answer all writes are to be durable before anything is scheduled.
public enum PipelineEffect: Sendable, Equatable {
    /// Nil removes the record.
    case store(id: String, NotificationGroupRecord?)
    case silence(id: String, Silence?)
    case acknowledgement(alert: String, Acknowledgement?)
    case schedule(ScheduledMessage)

    public var write: StateWrite? {
        switch self {
        case .store(let id, let record): StateWrite(.notificationGroups, id: id, record?.document)
        case .silence(let id, let silence): StateWrite(.silences, id: id, silence?.document)
        case .acknowledgement(let alert, let acknowledgement): StateWrite(.acknowledgements, id: alert, acknowledgement?.document)
        case .schedule: nil
        }
    }
    public var message: ScheduledMessage? { if case .schedule(let message) = self { message } else { nil } }
}

public struct PipelineSettings: Sendable, Equatable {
    /// Where people reach this server; empty when nobody said. Links in notifications begin with it.
    public var externalURL: String
    /// `source` of the CloudEvents.
    public var source: String
    public var retry: RetryPolicy
    /// A group has at most so many members; what comes then goes to a further part of it, with notifications of its own, so that
    /// no document outgrows a store and no alert is left out.
    public var groupLimit: Int
    /// The same for occurrences, which are stored whole, at every change.
    public var occurrenceLimit: Int

    public init(
        externalURL: String = "", source: String = "nodesphere", retry: RetryPolicy = RetryPolicy(), groupLimit: Int = 1000,
        occurrenceLimit: Int = 100
    ) {
        self.externalURL = externalURL
        self.source = source
        self.retry = retry
        self.groupLimit = max(1, groupLimit)
        self.occurrenceLimit = max(1, occurrenceLimit)
    }
}

/// From an alert's transition to a notification on its way: which groups it belongs to, when each group is due, what is said, what became of it.
///
/// Stages: transition → route → *(inhibit)* → group → silence → *(mute interval)* → acknowledge → *(throttle and budget)* → schedule → deliver
/// → *(escalate)*. Those in parentheses are not here yet; inhibition and mute intervals have their place beside silences, where a group that
/// is due asks what may be said (`NotificationPipeline+Holding`).
///
/// A deterministic state machine: instants are arguments, and what is to be done comes back as effects. It keeps these promises:
/// * A notification's id is a function of its group, the group's creation and the flush number, and no id has two contents.
/// * A group has one intent at most. A later flush takes its place unless an attempt is under way; resolved therefore never overtakes firing.
/// * Resolved is told only where firing was heard, or may have been.
/// * Every event ends in one disposition (`ledger`).
///
/// A group is one of an *integration* (one channel of a receiver): each has its own intent and retries, and a failing one holds up no other.
///
/// Crashes. The store holds alerts and group records; a transition and the effects of `take` may be torn apart by a crash. `restore` takes
/// up what the records have not seen: states in between collapse, an alert that began and ended unseen is not told. Occurrences are the
/// exception, since nothing else holds them: commit the writes of their `take` before or with the transition itself. On restore an occurrence that is in no record is done.
public struct NotificationPipeline: Sendable {
    struct Known: Sendable {
        var position: AlertPosition
        /// The alert while it is live.
        var alert: AlertRecord?
        var changedAt: Instant
        var standing: Standing
    }

    public internal(set) var ledger = DispositionLedger()
    public let settings: PipelineSettings
    public internal(set) var silences: SilenceBook
    /// By the id of the alert.
    public internal(set) var acknowledgements: [String: Acknowledgement] = [:]
    var tree: RouteTree
    var groups: [String: NotificationGroup] = [:]
    var known: [String: Known] = [:]
    /// The groups that an alert is in.
    var membership: [String: [String]] = [:]
    /// The groups of intents.
    var intents: [String: String] = [:]
    /// Creations never share an instant.
    var lastCreation = Instant.distantPast
    /// Groups that may have become due, in the order they were touched.
    var touched: [String] = []
    var touchedSet = Set<String>()
    var effects: [PipelineEffect] = []

    public init(routes: RouteTree, settings: PipelineSettings = PipelineSettings()) {
        tree = routes
        self.settings = settings
        silences = SilenceBook(compile: routes.compile)
    }

    /// How many groups there are.
    public var groupCount: Int { groups.count }

    /// Events that have no disposition yet, by receiver.
    public var openEvents: [String: Int] {
        var open: [String: Int] = [:]
        for group in groups.values {
            let count = group.members.values.reduce(0) { $0 + $1.openEvents }
            if count > 0 { open[group.integration.receiver, default: 0] += count }
        }
        return open
    }

    // MARK: Inputs

    public mutating func take(_ transition: AlertTransition, at now: Instant) -> [PipelineEffect] { take([transition], at: now) }

    /// Takes transitions that were decided together: groups that are due at once see all of them.
    public mutating func take(_ transitions: [AlertTransition], at now: Instant) -> [PipelineEffect] {
        for transition in transitions { apply(transition, at: now) }
        return settleTouched(at: now)
    }

    /// A wake came due.
    public mutating func wake(groupKey: String, at now: Instant) -> [PipelineEffect] {
        guard var group = groups[groupKey] else { return [] }
        if let wakeAt = group.wakeAt, wakeAt <= now { group.wakeAt = nil }
        groups[groupKey] = group
        touch(groupKey)
        return settleTouched(at: now)
    }

    /// Forgets alerts that ended before an instant; to be called when the store forgets them.
    public mutating func forgetResolved(before instant: Instant) {
        known = known.filter { membership[$0.key] != nil || $0.value.alert != nil || $0.value.changedAt >= instant }
    }

    /// Takes up new routes. Groups whose route, receiver, channel or labels are no more are given up without a word (as Alertmanager does), their
    /// undelivered intents with them; alerts that fire are routed anew, and are told again where that gives them a new group. A receiver that goes on
    /// being told of an alert will hear of its end even when it fired under the old routes.
    public mutating func reconfigure(_ routes: RouteTree, at now: Instant) -> [PipelineEffect] {
        tree = routes
        for id in groups.keys { groups[id]?.heldUntil = nil }
        var heard: [Integration: Set<String>] = [:]
        for (id, group) in groups.sorted(by: { $0.key < $1.key }) {
            if let kept = keeping(group) {
                groups[id] = kept
                touch(id)
            } else {
                for (key, member) in group.members where member.isReceived || mayBeHearing(group, of: key) {
                    heard[group.integration, default: []].insert(key)
                }
                giveUp(group)
            }
        }
        for (id, alert) in liveAlerts {
            place(alert, at: now)
            for groupID in membership[id] ?? [] {
                guard var group = groups[groupID], heard[group.integration]?.contains(id) ?? false, var member = group[id] else { continue }
                member.isReceived = true
                group.set(id, member)
                groups[groupID] = group
            }
        }
        return settleTouched(at: now)
    }

    // MARK: Shared steps

    /// In the order of begin and id, so that groups come about in the same order in every run.
    var liveAlerts: [(String, AlertRecord)] {
        known.compactMap { id, known in known.alert.map { (id, $0) } }.sorted {
            ($0.1.changedAt, $0.0) < ($1.1.changedAt, $1.0)
        }
    }

    mutating func touch(_ id: String) {
        if touchedSet.insert(id).inserted { touched.append(id) }
    }

    mutating func settleTouched(at now: Instant) -> [PipelineEffect] {
        let ids = touched
        touched = []
        touchedSet = []
        for id in ids { settle(id, at: now) }
        defer { effects = [] }
        return effects
    }

    /// The group under the present routes; nil when they have no place for it.
    func keeping(_ group: NotificationGroup) -> NotificationGroup? {
        guard let node = tree.node(key: group.routeKey), let channel = channel(group.integration),
            node.receiver == group.integration.receiver
        else { return nil }
        var kept = group
        kept.sendsResolved = channel.sendsResolved
        kept.interval = node.groupInterval
        kept.repeatInterval = node.repeatInterval
        return kept
    }

    func channel(_ integration: Integration) -> ChannelConfiguration? {
        guard let channels = tree.receivers[integration.receiver]?.channels, channels.indices.contains(integration.index),
            channels[integration.index].kind == integration.kind
        else { return nil }
        return channels[integration.index]
    }

    /// An attempt that says it fires may be under way.
    func mayBeHearing(_ group: NotificationGroup, of key: String) -> Bool {
        guard let intent = group.intent, !group.isIdle else { return false }
        return intent.tells.contains { $0.member == key && $0.standing.isLive }
    }

    mutating func giveUp(_ group: NotificationGroup) {
        for (key, member) in group.members {
            ledger.settle(group.integration.receiver, .superseded, member.openEvents)
            leave(key, member, group.id)
        }
        remove(group)
    }

    mutating func leave(_ key: String, _ member: NotificationGroup.Member, _ groupID: String) {
        guard member.standing != .occurrence else { return }
        membership[key]?.removeAll { $0 == groupID }
        if membership[key]?.isEmpty ?? false { membership[key] = nil }
    }

    mutating func remove(_ group: NotificationGroup) {
        if let intent = group.intent { intents[intent.id] = nil }
        groups[group.id] = nil
        if group.isStored { effects.append(.store(id: group.id, nil)) }
    }
}
