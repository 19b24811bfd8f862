import CEL

/// Starting over, and agreeing with what a store holds.
extension Engine {
    /// The server starts: silence counts from here, and what came due while it was away waits for the broker's backlog.
    func start(at instant: Instant) {
        begin(at: max(instant, context.now))
        context.isReadingBacklog = true
        context.beatFloor = context.now
    }

    /// The connection to the broker is lost.
    public func disconnected(at instant: Instant) {
        beginInput(at: instant)
        context.beatFloor = .distantFuture
    }

    /// The wall clock was set forward by more than can be an adjustment. Silence is not what the devices kept: deadlines of `missing` move along.
    func clockJumped(by nanoseconds: Int64, at instant: Instant) {
        guard nanoseconds > 0 else { return }
        abandonCheckpoint()
        for shard in shards { shard.moveBeats(by: nanoseconds, notBeyond: instant) }
        if !context.isDisconnected { context.beatFloor = min(context.beatFloor + nanoseconds, instant) }
        beginInput(at: instant)
    }

    /// Instant up to which the engine has come.
    public var reached: Instant { context.now }
    /// Whether setting a device to this would change anything.
    public func isUpToDate(device id: String, config: Document, labels: [String: String], location: GeoPoint?) -> Bool {
        context.devices[id]
            == EngineContext.DeviceEntry(config: config, labels: labels, location: location ?? GeoPoint(config["location"]))
    }
    public var deviceIDs: Set<String> { Set(context.devices.keys) }
    public var variables: [String: Document] { context.variables }
    public var bounds: EngineBounds { context.bounds }

    /// Makes transitions of whatever differs between the engine's alerts and those that a store holds: the engine is right. What a store lacks, or has in another state, is told anew; what it
    /// holds as live and the engine does not know, ends.
    public func reconcile(with stored: [AlertRecord], at instant: Instant) {
        begin(at: max(instant, context.now))
        var left = Dictionary(stored.filter { $0.state != .resolved && $0.state != .inactive && !$0.isOccurrence }.map { ($0.id, $0) }) {
            first, _ in first
        }
        let known = Dictionary(stored.filter { !$0.isOccurrence }.map { ($0.id, $0) }) { first, _ in first }
        let active = shards.flatMap { shard in shard.activeAlerts.map { (place: shard.place(of: $0), shard: shard, alert: $0) } }
        for (_, shard, alert) in active.sorted(by: { $0.place < $1.place }) {
            let id = shard.instanceID(of: alert)
            left[id] = nil
            shard.reconcile(alert, with: known[id])
        }
        for id in context.scriptAlerts.keys { left[id] = nil }
        reconcileScriptAlerts(with: known)
        for (id, own) in context.ownAlerts.sorted(by: { $0.key < $1.key }) where left.removeValue(forKey: id) == nil {
            context.effects.transitions.append(AlertTransition(from: .inactive, alert: own.record))
        }
        for record in left.values.sorted(by: { $0.id < $1.id }) { resolveOrphan(record, reason: .condition) }
    }

    /// Forgets all alerts, for a start at which the store knows better.
    public func forgetAlerts() {
        for shard in shards { shard.forgetAlerts() }
        context.scriptAlerts = [:]
        context.ownAlerts = [:]
        context.ownAlertDue = .distantFuture
    }
}

extension EngineShard {
    fileprivate func moveBeats(by nanoseconds: Int64, notBeyond limit: Instant) {
        for source in sources {
            for subject in source.subjects.indices where source.subjects[subject].isKnown {
                source.subjects[subject].lastBeat = min(source.subjects[subject].lastBeat + nanoseconds, limit)
            }
        }
    }

    fileprivate func instanceID(of alert: Int32) -> String {
        let active = alerts[Int(alert)]
        let source = source(of: active.rule)
        return alertInstanceID(rule: context.plan.rules[Int(active.rule)].rule.identity, key: source.keyValues(active.subject))
    }

    fileprivate func reconcile(_ alert: Int32, with stored: AlertRecord?) {
        let active = alerts[Int(alert)]
        let isKnown = stored.map { $0.activeAt == active.activeAt && $0.ordinal == active.ordinal } ?? false
        if let stored, isKnown, stored.transition == active.transition, stored.state == active.lifecycle.state { return }
        let rule = context.plan.rules[Int(active.rule)]
        let source = sources[Int(rule.source)]
        touch(source, active.subject)
        if let stored, isKnown { alerts[Int(alert)].transition = max(active.transition, stored.transition + 1) }
        beginOccasion(.change, at: time(of: source, active.subject))
        let before = AlertLifecycle(levels: rule.levels.count)
        var change = transition(alert, rule, source, active.subject, before, .none, .condition)
        change.from = stored?.state ?? .inactive
        context.effects.transitions.append(change)
        endOccasion()
    }

    fileprivate func forgetAlerts() {
        for alert in activeAlerts { remove(alert) }
        leftTimers = [:]
        for source in sources { for subject in source.subjects.indices { source.subjects[subject].hasFallenSilent = false } }
    }
}
