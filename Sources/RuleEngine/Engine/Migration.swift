import CEL

/// What a reload means for each rule of the old plan.
struct Migration {
    let old: EvaluationPlan
    let new: EvaluationPlan
    /// Number in the new plan, nil when the rule's alerts do not go on.
    let successor: [Int32?]
    /// Why alerts of a rule end.
    let endingReason: [TransitionReason?]
    /// Rules of the new plan that are new or mean something else than before, so that they are evaluated over the remembered values.
    let changed: [Bool]
    /// Rules of the new plan whose instances are others than before: they begin at their next reading.
    let isRekeyed: [Bool]

    init(from old: EvaluationPlan, to new: EvaluationPlan) {
        self.old = old
        self.new = new
        let numbers = Dictionary(new.rules.map { ($0.rule.identity, $0.number) }) { first, _ in first }
        let before = Dictionary(old.rules.map { ($0.rule.identity, $0) }) { first, _ in first }
        var successor: [Int32?] = []
        var endingReason: [TransitionReason?] = []
        for rule in old.rules {
            guard let number = numbers[rule.rule.identity], case let next = new.rules[Int(number)], next.rule.isEnabled,
                next.rule.mode == .live || rule.rule.mode == .shadow
            else {
                successor.append(nil)
                endingReason.append(.ruleRemoved)
                continue
            }
            let isContinued = next.rule.by == rule.rule.by && next.isEvent == rule.isEvent && next.rule.mode == rule.rule.mode
            successor.append(isContinued ? number : nil)
            endingReason.append(isContinued ? nil : .ruleChanged)
        }
        self.successor = successor
        self.endingReason = endingReason
        isRekeyed = new.rules.map { rule in before[rule.rule.identity].map { $0.rule.by != rule.rule.by } ?? false }
        changed = new.rules.map { rule in
            guard let earlier = before[rule.rule.identity], earlier.rule.isEnabled else { return true }
            return earlier.rule.by == rule.rule.by && (earlier.meaning != rule.meaning || earlier.rule.mode != rule.rule.mode)
        }
    }
}

extension EngineContext {
    /// Takes a new plan; counts of rules that go on are kept.
    func adopt(_ new: EvaluationPlan) {
        for rule in plan.rules where rule.rule.isEnabled {
            ruleStates[Int(rule.number)].refused &+= refusedSubjects[Int(rule.source)]
            ruleStates[Int(rule.number)].refusedMembers = refusedMembers(of: rule)
        }
        let (old, before) = (plan, queries)
        let numbers = Dictionary(plan.rules.map { ($0.rule.identity, $0.number) }) { first, _ in first }
        var states: [RuleState] = []
        var errors: [Int32: String] = [:]
        for rule in new.rules {
            let number = numbers[rule.rule.identity]
            var state = number.map { ruleStates[Int($0)] } ?? RuleState()
            state.pendingOrFiring = 0
            states.append(state)
            if let number { errors[rule.number] = lastErrors[number] }
        }
        plan = new
        ruleStates.replaceAll(with: states)
        lastErrors = errors
        // Instances are numbered anew: those in error show it at their next reading.
        faultyInstances = [:]
        counters.subjects = 0
        refusedSubjects = [UInt64](repeating: 0, count: new.sources.count)
        adoptQueries(before, of: old)
    }
}

extension EngineShard {
    /// Numbers of the active alerts, in no order that means anything.
    var activeAlerts: [Int32] { alerts.numbers }

    /// An alert's place among all: by rule, then instance.
    func place(of alert: Int32) -> (rule: Int32, ordinal: Int64) {
        let active = alerts[Int(alert)]
        return (active.rule, source(of: active.rule).subjects[Int(active.subject)].ordinal)
    }

    func evaluations(of rules: [Int32], in source: SourceState) -> [PlannedEvaluation] {
        rules.isEmpty ? [] : source.known.flatMap { evaluations(of: rules, source, $0) }
    }

    func evaluations(of rules: [Int32], _ source: SourceState, _ subject: Int32) -> [PlannedEvaluation] {
        let ordinal = source.subjects[Int(subject)].ordinal
        return rules.map { PlannedEvaluation(rule: $0, ordinal: ordinal, shard: number, source: source.number, subject: subject) }
    }

    /// Takes over subjects, last known values and alerts from the shard of the old plan.
    func adopt(_ old: EngineShard, _ migration: Migration) {
        for source in sources { fillVariables(of: source) }
        for after in sources where after.members == nil {
            // A source that goes on has its own values; a new one those of whatever heard the same filters.
            let same = old.sources.filter { $0.plan.key == after.plan.key }
            let before =
                same.isEmpty
                ? old.sources.filter { $0.members == nil && $0.plan.key.by == after.plan.key.by && Self.shareFilters($0.plan, after.plan) }
                : same
            for source in before { adopt(source, into: after, migration) }
            guard after.plan.rules.contains(where: { migration.isRekeyed[Int($0)] }) else { continue }
            for subject in after.known { after.subjects[Int(subject)].isUnevaluated = true }
        }
        // Which timer an instance with a time of its own gets depends on the order in which they are set.
        for alert in old.activeAlerts.sorted(by: { old.alerts[Int($0)].rule < old.alerts[Int($1)].rule }) {
            let active = old.alerts[Int(alert)]
            if let successor = migration.successor[Int(active.rule)] { adopt(active, from: old, successor, migration) }
        }
    }

    static func shareFilters(_ left: SourcePlan, _ right: SourcePlan) -> Bool {
        if left.isOnClock || right.isOnClock { return left.isOnClock && right.isOnClock }
        return left.key.subscriptions.contains { own in right.key.subscriptions.contains { $0.filter == own.filter } }
    }

    private func adopt(_ before: SourceState, into after: SourceState, _ migration: Migration) {
        let places = after.plan.fields.map { before.plan.fields.firstIndex(of: $0) }
        for subject in before.known { adopt(subject, of: before, into: after, places, migration) }
    }

    /// The subject of the new plan; nil when there is no room for it.
    @discardableResult
    func adopt(_ subject: Int32, of before: SourceState, into after: SourceState, _ places: [Int?], _ migration: Migration) -> Int32? {
        let count = context.counters.subjects
        guard let target = self.subject(of: after, key: before.keyValues(subject)) else { return nil }
        let isNew = context.counters.subjects > count
        let head = before.subjects[Int(subject)]
        after.subjects[Int(target)].ordinal = isNew ? head.ordinal : min(after.subjects[Int(target)].ordinal, head.ordinal)
        after.subjects[Int(target)].lastBeat = isNew ? head.lastBeat : max(after.subjects[Int(target)].lastBeat, head.lastBeat)
        after.subjects[Int(target)].isUnevaluated = head.isUnevaluated
        after.subjects[Int(target)].hasFallenSilent = after.subjects[Int(target)].hasFallenSilent || head.hasFallenSilent
        copyFields(before, subject, after, target, places, migration)
        if after.index.hasEventTime, before.index.hasEventTime, isNew {
            let clock = before.clocks[Int(subject)]
            after.clocks[Int(target)] = InstanceClock(newest: clock.newest, arrivedAt: clock.arrivedAt, shown: clock.shown)
        }
        if let plan = after.plan.windowPlan, before.plan.windowPlan != nil, isNew {
            // Expressions are recognised by their text, so that an edited rule keeps what still fits.
            after.windows[Int(target)] = WindowSet(plan, restoring: before.windows[Int(subject)].snapshot()) ?? WindowSet(plan)
        }
        if after.index.hasSequences, before.plan.key == after.plan.key {
            after.takeRuns(of: subject, before, into: target, migration)
            armRuns(after, target)
        }
        if after.index.learnsIntervals, before.index.learnsIntervals { after.rhythms[Int(target)] = before.rhythms[Int(subject)] }
        if after.index.hasMissingRules {
            // Timers of the old plan are gone, and so is the one that was set when the subject was made.
            after.silences[Int(target)] = SubjectSilence()
            armSilence(after, target)
        }
        return target
    }

    private func copyFields(
        _ before: SourceState, _ subject: Int32, _ after: SourceState, _ target: Int32, _ places: [Int?], _ migration: Migration
    ) {
        let from = before.slots.row(subject), to = after.slots.row(target)
        for (field, place) in places.enumerated() {
            guard let place, to[field].kind == .missing, let value = from[place].value(in: migration.old.strings) else { continue }
            to[field] = CELSlot.make(value, migration.new)
        }
        let ages = after.plan.ageFields.count
        for (age, field) in after.plan.ageFields.enumerated() {
            guard let place = places[field], let earlier = before.plan.ageFields.firstIndex(of: place) else { continue }
            after.setAt[Int(target) * ages + age] = before.setAt[Int(subject) * before.plan.ageFields.count + earlier]
        }
    }

    private func adopt(_ alert: ActiveAlert, from old: EngineShard, _ successor: Int32, _ migration: Migration) {
        let oldRule = migration.old.rules[Int(alert.rule)], rule = migration.new.rules[Int(successor)]
        let oldSource = old.sources[Int(oldRule.source)], source = sources[Int(rule.source)]
        let key = oldSource.keyValues(alert.subject)
        guard let subject = subject(of: source, key: key) else { return }
        var lifecycle = AlertLifecycle(levels: rule.levels.count)
        lifecycle.take(over: alert.lifecycle, oldRule, rule)
        let adopted = add(rule, source, subject, lifecycle)
        alerts[Int(adopted)].activeAt = alert.activeAt
        alerts[Int(adopted)].ordinal = alert.ordinal
        alerts[Int(adopted)].transition = alert.transition
        alerts[Int(adopted)].firedAt = alert.firedAt
        alerts[Int(adopted)].labels = labels(fixed: alert.labels?.values ?? Self.plainLabels(key, oldRule), rule, key, alert.labels)
        if lifecycle.isMissing { source.subjects[Int(subject)].hasFallenSilent = true }
        arm(adopted)
    }

    /// Labels of an episode that goes on; nothing is kept where they are those that the rule gives anyway.
    private func labels(fixed: [String: String], _ rule: RulePlan, _ key: [String], _ known: FixedLabels?) -> FixedLabels? {
        if !rule.hasVariableLabels, Self.plainLabels(key, rule) == fixed { return nil }
        return known ?? FixedLabels(fixed)
    }

    /// Labels that follow from rule and key alone.
    static func plainLabels(_ key: [String], _ rule: RulePlan) -> [String: String] {
        var labels = Dictionary(zip(rule.rule.by, key)) { first, _ in first }
        for label in rule.rule.labels { labels[label.name] = label.template.constant ?? labels[label.name] }
        labels["alertname"] = rule.rule.identity.alert
        return labels
    }

    /// What has to be evaluated over the remembered values: rules that are new or changed, and those whose timers of ages are gone.
    func changedEvaluations(_ migration: Migration) -> [PlannedEvaluation] {
        context.plan.rules.flatMap { rule -> [PlannedEvaluation] in
            guard rule.rule.isEnabled, rule.everyNanoseconds == 0, !rule.isEvent else { return [] }
            guard
                migration.changed[Int(rule.number)]
                    || rule.turnsByTime && !migration.isRekeyed[Int(rule.number)]
            else { return [] }
            return evaluations(of: [rule.number], in: sources[Int(rule.source)])
        }
    }

    // MARK: Devices and variables

    func deviceChanged(_ id: String) -> [PlannedEvaluation] {
        sources.flatMap { source -> [PlannedEvaluation] in
            guard source.plan.usesDevices, let row = source.configRowOfDevice[id] else { return [] }
            fillConfigRow(row, of: source)
            let rules = source.plan.rules.filter { readsDevice(context.plan.rules[Int($0)], source) }
            return source.subjectsOfConfigRow[Int(row)].flatMap { evaluations(of: rules, source, $0) }
        }
    }

    private func readsDevice(_ rule: RulePlan, _ source: SourceState) -> Bool {
        rule.everyNanoseconds == 0
            && rule.extras.contains { place in
                source.plan.extras[Int(place)].kind.isOfDevice
            }
    }

    /// Whether what was to be evaluated is still there.
    func isKnown(_ evaluation: PlannedEvaluation) -> Bool {
        sources[Int(evaluation.source)].subjects[Int(evaluation.subject)].ordinal == evaluation.ordinal
    }

    func knows(device id: String) -> Bool { sources.contains { !$0.subjects(ofDevice: id).isEmpty } }

    func alerts(ofDevice id: String) -> [Int32] {
        sources.flatMap { source in
            source.subjects(ofDevice: id).flatMap { subject in
                source.subjects[Int(subject)].activeAlerts == 0 ? [] : source.plan.rules.map { alertOf[$0, subject] }.filter { $0 >= 0 }
            }
        }
    }

    func forget(device id: String) {
        for source in sources {
            for subject in source.subjects(ofDevice: id) { forget(source, subject) }
            if source.plan.usesDevices, let row = source.configRowOfDevice[id] { fillConfigRow(row, of: source) }
        }
    }

    func variableChanged(_ name: String) -> [PlannedEvaluation] {
        sources.flatMap { source -> [PlannedEvaluation] in
            let places = Set(source.plan.variablePaths.indices.filter { source.plan.variablePaths[$0].first == .name(name) })
            guard !places.isEmpty else { return [] }
            fillVariables(of: source)
            let rules = source.plan.rules.filter { number in
                let rule = context.plan.rules[Int(number)]
                return rule.everyNanoseconds == 0
                    && rule.extras.contains {
                        if case .variable(let place) = source.plan.extras[Int($0)].kind { places.contains(place) } else { false }
                    }
            }
            return evaluations(of: rules, in: source)
        }
    }

    // MARK: Restore

    /// False when there is no room for the instance, or it is there already.
    func restore(_ record: AlertRecord, _ rule: RulePlan) -> Bool {
        let source = sources[Int(rule.source)]
        guard let subject = subject(of: source, key: record.key), alertOf[rule.number, subject] < 0 else { return false }
        for (field, path) in source.plan.fields.enumerated() {
            guard path.origin != .eventTime, path.origin != .receivedAt, source.slots.row(subject)[field].kind == .missing,
                let value = record.fields[path.description], value != .null
            else { continue }
            source.slots.row(subject)[field] = CELSlot.make(value.celValue, context.plan)
        }
        if source.index.hasEventTime, let time = record.instanceTime, !source.clocks[Int(subject)].isSet {
            source.clocks[Int(subject)] = InstanceClock(newest: time, arrivedAt: record.changedAt, shown: time)
        }
        var lifecycle = AlertLifecycle(levels: rule.levels.count)
        lifecycle.restore(record, rule)
        let alert = add(rule, source, subject, lifecycle)
        alerts[Int(alert)].activeAt = record.activeAt
        alerts[Int(alert)].ordinal = record.ordinal
        alerts[Int(alert)].transition = record.transition
        alerts[Int(alert)].firedAt = record.firedAt ?? .distantPast
        var fixed = record.labels
        if rule.rule.hasLevels { fixed["severity"] = nil }
        alerts[Int(alert)].labels = labels(fixed: fixed, rule, record.key, nil)
        if lifecycle.isMissing { source.subjects[Int(subject)].hasFallenSilent = true }
        arm(alert)
        armClock(afterRestoring: rule, source, subject)
        return true
    }
}

extension AlertLifecycle {
    /// Goes on under a rule whose levels may have changed: by their names, or as the only one.
    mutating func take(over old: AlertLifecycle, _ before: RulePlan, _ after: RulePlan) {
        phase = old.phase
        isMissing = old.isMissing
        recoveringSince = old.recoveringSince
        for (place, level) in after.levels.enumerated() {
            guard let earlier = before.levels.firstIndex(where: { $0.name == level.name }) else { continue }
            setTrueSince(place, old.trueSince(earlier))
        }
        guard old.level >= 0 else { return }
        let name = before.levels[Int(old.level)].name
        level = Int8(after.levels.firstIndex { $0.name == name } ?? min(Int(old.level), after.levels.count - 1))
    }

    mutating func restore(_ record: AlertRecord, _ rule: RulePlan) {
        phase =
            switch record.state {
            case .pending: .pending
            case .recovering: .recovering
            case .nodata: .nodata
            default: .firing
            }
        isMissing = record.state == .nodata || record.reason == .missing
        recoveringSince = record.recoveringSince
        for (place, since) in record.pendingSince where (0..<levelCount).contains(place) { setTrueSince(place, since) }
        guard record.state != .pending, record.state != .nodata else { return }
        level = Int8(record.level.flatMap { name in rule.levels.firstIndex { $0.name == name } } ?? rule.levels.count - 1)
    }
}
