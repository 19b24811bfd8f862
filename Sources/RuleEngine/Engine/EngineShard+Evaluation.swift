import CEL

/// Evaluating rules and carrying their alerts through life.
extension EngineShard {
    /// Evaluates a rule for a subject and takes its alert one step on.
    func evaluate(_ number: Int32, _ source: SourceState, _ subject: Int32, _ cause: EvaluationCause) {
        context.plan.rules.withUnsafeBufferPointer { rules in evaluate(rules[Int(number)], source, subject, cause) }
    }

    private func evaluate(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ cause: EvaluationCause) {
        if rule.isEvent, cause != .liveReading { return }
        context.counters.evaluations &+= 1
        var slots = source.slots.row(subject)
        if rule.usesFrame {
            currentSource = source.number
            loadFields(source, subject, onlyCarried: rule.isEvent)
            loadExtras(rule.extras, source, subject, cause)
            slots = frame
        }
        defer { releaseFrame() }
        let alert = source.subjects[Int(subject)].activeAlerts == 0 ? -1 : alertOf[rule.number, subject]
        var isTrue = false, isKnown = true
        for (place, level) in rule.levels.enumerated() {
            let truth = level.condition.truth(slots)
            conditions[place] = truth
            switch truth {
            case .yes: isTrue = true
            case .no: break
            case .missing: isKnown = false
            case .error:
                isKnown = false
                report(rule, level.condition, slots)
            }
        }
        if isKnown { recordHealth(rule) }
        if !rule.ageTurns.isEmpty { armAges(rule, source, subject) }
        if rule.isEvent {
            if isTrue { occur(rule, source, subject) }
            return
        }
        guard alert >= 0 || isTrue else { return }
        if alert >= 0 {
            for (place, level) in rule.levels.enumerated() { recoveries[place] = recovery(of: level, conditions[place], slots) }
            step(alert, rule, source, subject)
        } else {
            begin(rule, source, subject)
        }
    }

    private func recovery(of level: LevelPlan, _ condition: Program.Truth, _ slots: UnsafeMutablePointer<Slot>) -> Program.Truth {
        guard let program = level.recovery else {
            return switch condition {
            case .yes: .no
            case .no: .yes
            case .missing: .missing
            case .error: .error
            }
        }
        return program.truth(slots)
    }

    private func report(_ rule: RulePlan, _ program: Program, _ slots: UnsafeMutablePointer<Slot>) {
        context.ruleStates[Int(rule.number)].evaluationErrors += 1
        context.counters.evaluationErrors[rule.rule.identity.description, default: 0] += 1
        guard context.ruleStates[Int(rule.number)].health != .error else { return }
        context.ruleStates[Int(rule.number)].health = .error
        if case .error(let error) = program.evaluate(slots) { context.ruleStates[Int(rule.number)].lastError = error.message }
    }

    @inline(__always)
    private func recordHealth(_ rule: RulePlan) {
        if context.ruleStates[Int(rule.number)].health != .ok { context.ruleStates[Int(rule.number)].health = .ok }
    }

    // MARK: Life cycle

    /// A condition became true where there was no alert.
    private func begin(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        if let limit = rule.rule.limit, context.ruleStates[Int(rule.number)].pendingOrFiring >= limit {
            context.refuse(rule)
            return
        }
        let alert = add(rule, source, subject, AlertLifecycle(levels: rule.levels.count))
        for (place, level) in rule.levels.enumerated() { recoveries[place] = recovery(of: level, conditions[place], frame) }
        step(alert, rule, source, subject)
    }

    /// Makes an active alert out of a lifecycle, as it is.
    @discardableResult
    func add(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ lifecycle: AlertLifecycle) -> Int32 {
        let active = ActiveAlert(
            rule: rule.number, subject: subject, lifecycle: lifecycle, activeAt: context.now, ordinal: context.ordinal, transition: 0)
        let alert: Int32
        if let free = freeAlerts.popLast() {
            alerts[Int(free)] = active
            alert = free
        } else {
            alerts.append(active)
            alert = Int32(alerts.count - 1)
        }
        alertOf.insert(rule.number, subject, alert)
        source.subjects[Int(subject)].activeAlerts += 1
        context.ruleStates[Int(rule.number)].pendingOrFiring += 1
        return alert
    }

    func remove(_ alert: Int32) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        alertOf.remove(active.rule, active.subject)
        sources[Int(rule.source)].subjects[Int(active.subject)].activeAlerts -= 1
        context.ruleStates[Int(active.rule)].pendingOrFiring -= 1
        alerts[Int(alert)].labels = nil
        freeAlerts.append(alert)
    }

    private func step(_ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let before = alerts[Int(alert)].lifecycle
        let change = alerts[Int(alert)].lifecycle.step(
            conditions: conditions, recoveries: recoveries, timing: rule.timing, now: context.now)
        finish(alert, rule, source, subject, before, change, reason: change == .levelChanged ? .level : .condition)
        // Silence had decided, and the reading that ended it begins something new that has to wait for its `for`.
        if change == .resolved, before.isMissing, (0..<rule.levels.count).contains(where: { conditions[$0] == .yes }) {
            begin(rule, source, subject)
        }
    }

    /// Time alone: `for` has run out, or `keep_firing_for`.
    func stepOnTime(_ alert: Int32) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        for place in rule.levels.indices {
            conditions[place] = .missing
            recoveries[place] = .missing
        }
        let change = alerts[Int(alert)].lifecycle.step(
            conditions: conditions, recoveries: recoveries, timing: rule.timing, now: context.now, isTimer: true)
        finish(alert, rule, sources[Int(rule.source)], active.subject, active.lifecycle, change, reason: change == .resolved ? .kept : .duration)
    }

    func fallSilent(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard let outcome = rule.rule.missing?.outcome, outcome != .hold else { return }
        var alert = alertOf[rule.number, subject]
        if alert < 0 {
            guard outcome != .ok else { return }
            if let limit = rule.rule.limit, context.ruleStates[Int(rule.number)].pendingOrFiring >= limit {
                context.refuse(rule)
                return
            }
            alert = add(rule, source, subject, AlertLifecycle(levels: rule.levels.count))
        }
        let before = alerts[Int(alert)].lifecycle
        let change = alerts[Int(alert)].lifecycle.fellSilent(outcome)
        finish(alert, rule, source, subject, before, change, reason: .missing)
    }

    /// The alert ends because its rule or its device is gone.
    func end(_ alert: Int32, reason: TransitionReason) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        let change = alerts[Int(alert)].lifecycle.endForGood()
        finish(alert, rule, sources[Int(rule.source)], active.subject, active.lifecycle, change, reason: reason)
    }

    /// Carries out what a step changed: the transition among the effects, the timer, the end of the alert.
    private func finish(
        _ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ before: AlertLifecycle, _ change: AlertLifecycle.Change,
        reason: TransitionReason
    ) {
        guard change != .none else {
            if alerts[Int(alert)].lifecycle.phase == .inactive { remove(alert) } else { arm(alert) }
            return
        }
        alerts[Int(alert)].transition += 1
        if alerts[Int(alert)].firedAt == .distantPast, change == .fired || change == .lostData || change == .levelChanged {
            alerts[Int(alert)].firedAt = context.now
        }
        context.effects.transitions.append(transition(alert, rule, source, subject, from: before.state, change, reason))
        if alerts[Int(alert)].lifecycle.phase == .inactive { remove(alert) } else { arm(alert) }
    }

    /// One occurrence of a rule with `event: true`.
    private func occur(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let id = alertInstanceID(rule: rule.rule.identity, key: source.keyValues(subject))
        var record = AlertRecord(
            id: id, rule: rule.rule.identity, key: source.keyValues(subject), activeAt: context.now, ordinal: context.ordinal, transition: 1,
            labels: [:], state: .resolved, firedAt: context.now, resolvedAt: context.now, changedAt: context.now, reason: .occurrence,
            isShadow: rule.rule.mode == .shadow, device: source.device(ofKey: source.keyValues(subject)), isOccurrence: true)
        describe(&record, rule, source, subject, cause: .liveReading)
        context.effects.transitions.append(AlertTransition(from: .inactive, alert: record))
        context.ordinal += 1
    }
}

extension AlertLifecycle {
    var state: AlertState {
        switch phase {
        case .inactive: .inactive
        case .pending: .pending
        case .firing: .firing
        case .recovering: .recovering
        case .nodata: .nodata
        }
    }
}
