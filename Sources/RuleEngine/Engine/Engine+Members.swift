import CEL

/// `members`: the devices that feed an instance. Each is a subject of a source of its own, in the shard of its group's instances.
extension Engine {
    /// Evaluations of rules that see the devices which are taken away.
    func forgetMembers(ofDevice id: String) -> [PlannedEvaluation] {
        shards.flatMap { shard in
            shard.sources.filter { $0.members != nil }.flatMap { source in
                source.subjects(ofDevice: id).flatMap { shard.forgetMember(source, $0) }
            }
        }
    }

    /// Takes members over from the shards of the old plan: each into the shard where its group is now.
    func adoptMembers(_ old: [EngineShard], _ migration: Migration) {
        for (number, plan) in context.plan.sources.enumerated() where plan.key.membership != nil {
            var found = old.flatMap { shard in
                shard.sources(continuedBy: plan).flatMap { source in source.known.map { (source, $0) } }
            }
            found.sort { $0.0.subjects[Int($0.1)].ordinal < $1.0.subjects[Int($1.1)].ordinal }
            for (source, subject) in found {
                let home = plan.key.home(of: source.keys.withBytes(subject) { Array($0) })
                let shard = shards[TopicRouter.shard(of: home, among: shards.count)]
                shard.adoptMember(source, subject, into: shard.sources[number], migration)
            }
        }
    }
}

extension EngineShard {
    /// What the members of an instance are to a rule.
    func members(_ place: Int, _ source: SourceState, _ subject: Int32) -> Slot {
        let plan = source.plan.memberLists[place]
        let others = sources[Int(plan.source)]
        guard let members = others.members else { return .missing }
        let records = source.keys.withBytes(subject) { members.records(plan.list, of: $0, in: others, context.plan.strings) }
        return keep(Slot(retaining: .list(records), strings: context.plan.strings))
    }

    /// Evaluations of the rules that see a member of which a reading was taken in, in instances that it was no reading of.
    func evaluations(seeing member: Int32, in source: SourceState) -> [PlannedEvaluation] {
        let found = source.members?.withGroupKey(of: member) { evaluations(seeingMembersOf: $0, in: source) } ?? []
        return found.filter { planned in
            let other = sources[Int(planned.source)]
            return other.lastReading != context.readings || other.lastSubject != planned.subject
        }
    }

    private func evaluations(seeingMembersOf key: UnsafeRawBufferPointer, in source: SourceState) -> [PlannedEvaluation] {
        var found: [PlannedEvaluation] = []
        for dependents in source.plan.membership.dependents {
            let other = sources[Int(dependents.source)]
            let subject = other.keys.find(key)
            if subject >= 0 { found += evaluations(of: dependents.rules, other, subject) }
        }
        return found
    }

    /// Takes a member away; which evaluations that makes necessary.
    func forgetMember(_ source: SourceState, _ member: Int32) -> [PlannedEvaluation] {
        let group = source.members?.withGroupKey(of: member) { Array($0) } ?? []
        forget(source, member)
        return group.withUnsafeBytes { evaluations(seeingMembersOf: $0, in: source) }
    }

    // MARK: Silence

    private func departure(_ source: SourceState, _ member: Int32, at instant: Instant = .distantPast) -> Instant {
        max(source.subjects[Int(member)].lastBeat, context.silenceFloor(at: instant)) + (source.plan.key.membership?.silence ?? 0)
    }

    /// Sets the timer for when a member leaves, unless one is set that comes no later.
    func armDeparture(_ source: SourceState, _ member: Int32) {
        guard let members = source.members else { return }
        let due = departure(source, member)
        if due < members[departureOf: member] { setDeparture(due, source, member) }
    }

    func setDeparture(_ due: Instant, _ source: SourceState, _ member: Int32) {
        source.members?[departureOf: member] = due
        guard due != .distantFuture else { return }
        let ordinal = source.subjects[Int(member)].ordinal
        timers.add(Timer(due: due, ordinal: ordinal, rule: source.plan.membership.firstRule, subject: member, kind: .departure))
    }

    private func members(of timer: Timer) -> SourceState { sources[Int(context.plan.rules[Int(timer.rule)].memberSource)] }

    /// Whether the member has been silent for long enough; the timer is set anew where not.
    func isDepartureDue(_ timer: Timer) -> Bool {
        let source = members(of: timer)
        guard source.subjects[Int(timer.subject)].ordinal == timer.ordinal, source.members?[departureOf: timer.subject] == timer.due else {
            return false
        }
        let due = departure(source, timer.subject, at: timer.due)
        if due <= timer.due { return true }
        touch(source, timer.subject)
        setDeparture(due, source, timer.subject)
        return false
    }

    func runDeparture(_ timer: Timer) {
        for evaluation in forgetMember(members(of: timer), timer.subject).sorted(by: { $0.rule < $1.rule }) {
            evaluate(evaluation.rule, sources[Int(evaluation.source)], evaluation.subject, .timer)
        }
    }

    // MARK: Reload

    /// Sources whose values those of a new source of members begin with: its own, else those of whatever has the same key and heard the same filters.
    fileprivate func sources(continuedBy plan: SourcePlan) -> [SourceState] {
        let same = sources.filter { $0.plan.key == plan.key }
        return same.isEmpty ? sources.filter { $0.plan.key.by == plan.key.by && Self.shareFilters($0.plan, plan) } : same
    }

    fileprivate func adoptMember(_ before: SourceState, _ subject: Int32, into after: SourceState, _ migration: Migration) {
        let silence = after.plan.key.membership?.silence ?? 0
        guard max(before.subjects[Int(subject)].lastBeat, context.silenceFloor(at: context.now)) + silence > context.now else { return }
        let places = after.plan.fields.map { before.plan.fields.firstIndex(of: $0) }
        guard let target = adopt(subject, of: before, into: after, places, migration) else { return }
        // The timer that was set when it was made is of another ordinal.
        after.members?[departureOf: target] = .distantFuture
        armDeparture(after, target)
    }
}
