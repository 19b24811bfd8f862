import CEL

/// Evaluating rules and carrying their alerts through life.
extension EngineShard {
    /// Evaluates a rule for a subject, by itself, and takes its alert one step on.
    ///
    /// - Parameter instant: of the instance's own time, where it is not now.
    func evaluate(_ number: Int32, _ source: SourceState, _ subject: Int32, _ cause: EvaluationCause, at instant: Instant? = nil) {
        touch(source, subject)
        beginOccasion(cause, at: instant ?? time(of: source, subject))
        evaluateNow(number, source, subject)
        endOccasion()
    }

    /// The same within an occasion.
    @inline(__always)
    func evaluateNow(_ number: Int32, _ source: SourceState, _ subject: Int32) {
        let rule = rules[Int(number)]
        if rule.isEvent {
            if rule.isSequence { return follow(rule.plan, source, subject) }
            if occasion.cause != .liveReading, occasion.cause != .lateReading { return }
        }
        context.evaluations &+= 1
        var slots = source.slots.row(subject)
        if rule.usesFrame {
            loadFields(source, subject, rule.isEvent ? .carried : .all)
            loadExtras(rule.plan.extras, source, subject)
            slots = frame
        }
        let (isTrue, isKnown) = evaluateConditions(rule, slots, source, subject)
        if isKnown, context.ruleStates[Int(number)].health != .ok {
            context.noteResult(number, instance: source.subjects[Int(subject)].ordinal)
        }
        if rule.movesByItself {
            armAges(rule.plan, source, subject)
            armClock(rule.plan, source, subject)
        }
        if rule.isEvent {
            if isTrue { occur(rule.plan, source, subject) }
            return
        }
        let alert = source.subjects[Int(subject)].activeAlerts == 0 ? -1 : alertOf[number, subject]
        if alert >= 0 {
            let rule = rule.plan
            for (place, level) in rule.levels.enumerated() { recoveries[place] = recovery(of: level, conditions[place], slots) }
            step(alert, rule, source, subject)
        } else if isTrue, occasion.cause == .liveReading || !isSilent(rule.plan, source, subject) {
            begin(rule.plan, source, subject)
        }
    }

    /// Fills `conditions`; whether one of them is true, and whether all have a result.
    @inline(__always)
    private func evaluateConditions(
        _ rule: RuleTable.Row, _ slots: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32
    ) -> (isTrue: Bool, isKnown: Bool) {
        var isTrue = false, isKnown = true
        for place in 0..<Int(rule.levelCount) {
            let truth = rule.conditions[place]._withUnsafeGuaranteedRef { $0.truth(slots) }
            conditions[place] = truth
            switch truth {
            case .yes: isTrue = true
            case .no: break
            case .missing: isKnown = false
            case .error:
                isKnown = false
                report(rule.plan, rule.plan.levels[place].condition, slots, source, subject)
            }
        }
        return (isTrue, isKnown)
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

    func report(
        _ rule: RulePlan, _ program: Program, _ slots: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32
    ) {
        guard context.noteError(rule.number, instance: source.subjects[Int(subject)].ordinal) else { return }
        if case .error(let error) = program.evaluate(slots) { context.lastErrors[rule.number] = error.message }
    }

    // MARK: Life cycle

    /// A condition became true where there was no alert.
    private func begin(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard hasRoom(rule) else { return context.refuse(rule) }
        for place in rule.levels.indices { recoveries[place] = .missing }
        step(add(rule, source, subject, AlertLifecycle(levels: rule.levels.count)), rule, source, subject)
    }

    private func hasRoom(_ rule: RulePlan) -> Bool {
        guard let limit = rule.rule.limit else { return true }
        return context.ruleStates[Int(rule.number)].pendingOrFiring < limit
    }

    /// Makes an active alert out of a lifecycle, as it is.
    @discardableResult
    func add(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ lifecycle: AlertLifecycle) -> Int32 {
        let alert = alerts.insert(
            ActiveAlert(rule: rule.number, subject: subject, lifecycle: lifecycle, activeAt: context.now, ordinal: context.ordinal))
        source.subjects[Int(subject)].activeAlerts += 1
        context.ruleStates[Int(rule.number)].pendingOrFiring += 1
        return alert
    }

    func remove(_ alert: Int32) {
        let active = alerts[Int(alert)]
        let source = source(of: active.rule)
        source.subjects[Int(active.subject)].activeAlerts -= 1
        if active.timerAt != .distantFuture {
            leftTimers[TimerKey(rule: active.rule, ordinal: source.subjects[Int(active.subject)].ordinal)] = active.timerAt
        }
        if source.index.hasEventTime {
            setInstanceTimer(InstanceTimer(due: .distantFuture, rule: active.rule, kind: .alert), source, active.subject)
        }
        context.ruleStates[Int(active.rule)].pendingOrFiring -= 1
        alerts.remove(alert)
    }

    private func step(_ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let before = alerts[Int(alert)].lifecycle
        // Silence has decided; only a reading decides anew.
        if occasion.cause != .liveReading, before.isMissing || isSilent(rule, source, subject) {
            guard rule.everyNanoseconds > 0, occasion.cause == .timer, !source.subjects[Int(subject)].hasFallenSilent else {
                // It will decide on what was learned now, even if it changes nothing.
                source.subjects[Int(subject)].isUnevaluated = true
                return
            }
        }
        let change = alerts[Int(alert)].lifecycle.step(
            conditions: conditions, recoveries: recoveries, timing: rule.timing, now: at)
        finish(alert, rule, source, subject, before, change, reason: change == .levelChanged ? .level : .condition)
    }

    /// Another level's condition is true and waits for its `for` when an episode resolves: that is a new episode.
    private func goOn(_ remainder: AlertLifecycle, _ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        for place in rule.levels.indices {
            conditions[place] = .missing
            recoveries[place] = .missing
        }
        let alert = add(rule, source, subject, remainder)
        let change = alerts[Int(alert)].lifecycle.step(
            conditions: conditions, recoveries: recoveries, timing: rule.timing, now: at)
        finish(alert, rule, source, subject, remainder, change, reason: .condition)
    }

    /// Time alone: `for` has run out, or `keep_firing_for`.
    func stepOnTime(_ alert: Int32, at instant: Instant? = nil) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        let source = sources[Int(rule.source)]
        beginOccasion(.timer, at: instant ?? time(of: source, active.subject))
        for place in rule.levels.indices {
            conditions[place] = .missing
            recoveries[place] = .missing
        }
        let change = alerts[Int(alert)].lifecycle.step(
            conditions: conditions, recoveries: recoveries, timing: rule.timing, now: at, isTimer: true)
        let reason: TransitionReason = change == .levelChanged ? .level : change == .resolved ? .kept : .duration
        finish(alert, rule, source, active.subject, active.lifecycle, change, reason: reason)
        endOccasion()
    }

    /// `missing` speaks.
    func fallSilent(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard let outcome = rule.rule.missing?.outcome, outcome != .hold else { return }
        var alert = alertOf[rule.number, subject]
        if alert < 0 {
            guard outcome != .ok else { return }
            guard hasRoom(rule) else { return context.refuse(rule) }
            alert = add(rule, source, subject, AlertLifecycle(levels: rule.levels.count))
        }
        beginOccasion(.timer, at: time(of: source, subject))
        let before = alerts[Int(alert)].lifecycle
        let change = alerts[Int(alert)].lifecycle.fellSilent(outcome)
        finish(alert, rule, source, subject, before, change, reason: .missing)
        endOccasion()
    }

    /// The alert ends because its rule or its device is gone.
    func end(_ alert: Int32, reason: TransitionReason) {
        let active = alerts[Int(alert)]
        let rule = context.plan.rules[Int(active.rule)]
        let source = sources[Int(rule.source)]
        touch(source, active.subject)
        beginOccasion(.change, at: time(of: source, active.subject))
        let change = alerts[Int(alert)].lifecycle.endForGood()
        finish(alert, rule, source, active.subject, active.lifecycle, change, reason: reason)
        endOccasion()
    }

    /// Carries out what a step changed: the transition among the effects, the timer, the end of the alert.
    private func finish(
        _ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ before: AlertLifecycle,
        _ change: AlertLifecycle.Change,
        reason: TransitionReason
    ) {
        if change != .none {
            alerts[Int(alert)].transition += 1
            if alerts[Int(alert)].firedAt == .distantPast, change == .fired || change == .lostData {
                alerts[Int(alert)].firedAt = at
            }
            context.effects.transitions.append(transition(alert, rule, source, subject, before, change, reason))
        }
        let lifecycle = alerts[Int(alert)].lifecycle
        guard lifecycle.phase == .inactive else { return arm(alert) }
        remove(alert)
        if change == .resolved, lifecycle.hasTrueLevel, reason != .ruleChanged, reason != .ruleRemoved, reason != .deviceRemoved {
            goOn(lifecycle.remainder, rule, source, subject)
        }
    }

    /// One occurrence of a rule with `event: true`, or with `sequence`.
    func occur(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        let key = source.keyValues(subject)
        var record = AlertRecord(
            id: alertInstanceID(rule: rule.rule.identity, key: key), rule: rule.rule.identity, key: key, activeAt: context.now,
            ordinal: context.ordinal, transition: 1, labels: [:], state: .resolved, firedAt: at, resolvedAt: at,
            changedAt: context.now, reason: .occurrence, isShadow: rule.rule.mode == .shadow, device: source.device(ofKey: key),
            isOccurrence: true)
        describe(&record, rule, source, subject, level: rule.levels.count - 1, fixed: nil, .fired)
        context.effects.transitions.append(AlertTransition(from: .inactive, alert: record))
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
