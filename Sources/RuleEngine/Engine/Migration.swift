import CEL

/// What a reload means for each rule of the old plan.
struct Migration {
    let old: EvaluationPlan
    let new: EvaluationPlan
    /// Number in the new plan, nil when the rule's alerts do not go on.
    let successor: [Int32?]
    /// Why alerts of a rule end.
    let endingReason: [TransitionReason?]
    /// Rules of the new plan that are new or mean something else than before.
    let changed: [Bool]

    init(from old: EvaluationPlan, to new: EvaluationPlan) {
        self.old = old
        self.new = new
        let numbers = Dictionary(uniqueKeysWithValues: new.rules.map { ($0.rule.identity, $0.number) })
        let before = Dictionary(uniqueKeysWithValues: old.rules.map { ($0.rule.identity, $0) })
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
            let isContinued = next.rule.by == rule.rule.by && next.isEvent == rule.isEvent
            successor.append(isContinued ? number : nil)
            endingReason.append(isContinued ? nil : .ruleChanged)
        }
        self.successor = successor
        self.endingReason = endingReason
        changed = new.rules.map { rule in
            guard let earlier = before[rule.rule.identity], earlier.rule.isEnabled else { return true }
            return earlier.meaning != rule.meaning
        }
    }
}

extension EngineContext {
    /// Takes a new plan; counts of rules that go on are kept.
    func adopt(_ new: EvaluationPlan) {
        let states = Dictionary(uniqueKeysWithValues: zip(plan.rules.map(\.rule.identity), ruleStates))
        plan = new
        ruleStates = new.rules.map { rule in
            var state = states[rule.rule.identity] ?? RuleState()
            state.pendingOrFiring = 0
            return state
        }
        counters.subjects = 0
    }
}

extension EngineShard {
    /// Active alerts with their numbers, in the order of their subjects and rules.
    var activeAlerts: [(number: Int32, alert: ActiveAlert)] {
        let free = Set(freeAlerts)
        return alerts.indices.filter { !free.contains(Int32($0)) }
            .map { (Int32($0), alerts[$0]) }
            .sorted { left, right in
                let a = sources[Int(context.plan.rules[Int(left.1.rule)].source)].subjects[Int(left.1.subject)].ordinal
                let b = sources[Int(context.plan.rules[Int(right.1.rule)].source)].subjects[Int(right.1.subject)].ordinal
                return (left.1.rule, a) < (right.1.rule, b)
            }
    }

    /// Takes over subjects, last known values and alerts from the shard of the old plan.
    func adopt(_ old: EngineShard, _ migration: Migration) {
        for source in sources { fillVariables(of: source) }
        for before in old.sources {
            for after in sources where after.plan.key.by == before.plan.key.by && Self.shareFilters(before.plan, after.plan) {
                adopt(before, into: after, migration)
            }
        }
        for (number, alert) in old.activeAlerts {
            guard let successor = migration.successor[Int(alert.rule)] else { continue }
            adopt(alert, number, from: old, successor, migration)
        }
    }

    private static func shareFilters(_ left: SourcePlan, _ right: SourcePlan) -> Bool {
        if left.isOnClock || right.isOnClock { return left.isOnClock && right.isOnClock }
        return left.key.subscriptions.contains { own in right.key.subscriptions.contains { $0.filter == own.filter } }
    }

    private func adopt(_ before: SourceState, into after: SourceState, _ migration: Migration) {
        let places = after.plan.fields.map { before.plan.fields.firstIndex(of: $0) }
        for subject in before.inOrder {
            guard let target = self.subject(of: after, key: before.keyValues(subject)) else { continue }
            let head = before.subjects[Int(subject)]
            let known = after.subjects[Int(target)].lastBeat
            after.subjects[Int(target)].ordinal = min(after.subjects[Int(target)].ordinal, head.ordinal)
            after.subjects[Int(target)].lastBeat = known == context.now ? head.lastBeat : max(known, head.lastBeat)
            copyFields(before, subject, after, target, places, migration)
            armSilence(after, target)
        }
    }

    private func copyFields(_ before: SourceState, _ subject: Int32, _ after: SourceState, _ target: Int32, _ places: [Int?], _ migration: Migration) {
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

    private func adopt(_ alert: ActiveAlert, _ number: Int32, from old: EngineShard, _ successor: Int32, _ migration: Migration) {
        let oldRule = migration.old.rules[Int(alert.rule)], rule = migration.new.rules[Int(successor)]
        let oldSource = old.sources[Int(oldRule.source)], source = sources[Int(rule.source)]
        guard let subject = subject(of: source, key: oldSource.keyValues(alert.subject)) else { return }
        let labels = alert.labels ?? FixedLabels(old.plainLabels(alert, oldRule, oldSource))
        var lifecycle = AlertLifecycle(levels: rule.levels.count)
        lifecycle.take(over: alert.lifecycle, oldRule, rule)
        let adopted = add(rule, source, subject, lifecycle)
        alerts[Int(adopted)].activeAt = alert.activeAt
        alerts[Int(adopted)].ordinal = alert.ordinal
        alerts[Int(adopted)].transition = alert.transition
        alerts[Int(adopted)].firedAt = alert.firedAt
        alerts[Int(adopted)].labels = labels
        arm(adopted)
    }

    /// Labels that follow from rule and key alone.
    func plainLabels(_ alert: ActiveAlert, _ rule: RulePlan, _ source: SourceState) -> [String: String] {
        var labels = Dictionary(uniqueKeysWithValues: zip(source.plan.key.by, source.keyValues(alert.subject)))
        for label in rule.rule.labels { labels[label.name] = label.template.constant ?? labels[label.name] }
        labels["alertname"] = rule.rule.identity.alert
        return labels
    }

    /// Evaluates rules that are new or changed over the remembered values.
    func evaluateChanged(_ migration: Migration) {
        for rule in context.plan.rules where migration.changed[Int(rule.number)] && rule.rule.isEnabled && rule.everyNanoseconds == 0 {
            let source = sources[Int(rule.source)]
            for subject in source.inOrder { evaluate(rule.number, source, subject, .change) }
        }
    }

    // MARK: Devices and variables

    func deviceChanged(_ id: String) {
        for source in sources where source.plan.usesDevices {
            guard let row = source.configRowOfDevice[id] else { continue }
            fillConfigRow(row, of: source)
            for subject in source.subjectsOfConfigRow[Int(row)].sorted(by: { source.subjects[Int($0)].ordinal < source.subjects[Int($1)].ordinal }) {
                for rule in source.plan.rules where readsDevice(context.plan.rules[Int(rule)], source) { evaluate(rule, source, subject, .change) }
            }
        }
    }

    private func readsDevice(_ rule: RulePlan, _ source: SourceState) -> Bool {
        rule.everyNanoseconds == 0
            && rule.extras.contains { place in
                switch source.plan.extras[Int(place)].kind {
                case .config, .deviceLabel: true
                default: false
                }
            }
    }

    func deviceRemoved(_ id: String) {
        for source in sources {
            if source.plan.usesDevices, let row = source.configRowOfDevice[id] { fillConfigRow(row, of: source) }
            guard source.plan.hasFixedDevice else { continue }
            for subject in source.inOrder where source.device(ofKey: source.keyValues(subject)) == id {
                for rule in source.plan.rules {
                    let alert = alertOf[rule, subject]
                    if alert >= 0 { end(alert, reason: .deviceRemoved) }
                }
                forget(source, subject)
            }
        }
    }

    func variableChanged(_ name: String) {
        for source in sources {
            guard source.plan.variablePaths.contains(where: { $0.first == .name(name) }) else { continue }
            fillVariables(of: source)
            let rules = source.plan.rules.filter { number in
                let rule = context.plan.rules[Int(number)]
                return rule.everyNanoseconds == 0
                    && rule.extras.contains { if case .variable = source.plan.extras[Int($0)].kind { true } else { false } }
            }
            for subject in source.inOrder { for rule in rules { evaluate(rule, source, subject, .change) } }
        }
    }

    // MARK: Restore

    func restore(_ record: AlertRecord, _ rule: RulePlan) {
        let source = sources[Int(rule.source)]
        guard let subject = subject(of: source, key: record.key), alertOf[rule.number, subject] < 0 else { return }
        for (field, path) in source.plan.fields.enumerated() {
            guard source.slots.row(subject)[field].kind == .missing, let value = record.fields[path.description], value != .null else { continue }
            source.slots.row(subject)[field] = CELSlot.make(value.celValue, context.plan)
        }
        var lifecycle = AlertLifecycle(levels: rule.levels.count)
        lifecycle.restore(record, rule)
        let alert = add(rule, source, subject, lifecycle)
        alerts[Int(alert)].activeAt = record.activeAt
        alerts[Int(alert)].ordinal = record.ordinal
        alerts[Int(alert)].transition = record.transition
        alerts[Int(alert)].firedAt = record.firedAt ?? .distantPast
        var labels = record.labels
        if rule.rule.hasLevels { labels["severity"] = nil }
        alerts[Int(alert)].labels = FixedLabels(labels)
        arm(alert)
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
