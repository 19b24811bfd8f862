import CEL

/// Alert records: labels, annotations, values and actions at a transition.
extension EngineShard {
    func transition(
        _ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ before: AlertLifecycle,
        _ change: AlertLifecycle.Change,
        _ reason: TransitionReason
    ) -> AlertTransition {
        let active = alerts[Int(alert)]
        var record = bareRecord(active, rule, source, reason: reason)
        if change == .resolved {
            record.state = .resolved
            record.resolvedAt = at
        }
        // What ends was at the level that it had before.
        let isOver = active.lifecycle.phase == .inactive
        let level = (isOver ? nil : shownLevel(active.lifecycle)) ?? shownLevel(before) ?? rule.levels.count - 1
        if record.level == nil, change == .resolved, before.level >= 0 { set(&record, level, of: rule) }
        describe(&record, rule, source, subject, level: level, fixed: active.labels?.values, change)
        if active.labels == nil, rule.hasVariableLabels { alerts[Int(alert)].labels = FixedLabels(record.labels) }
        return AlertTransition(from: before.state, alert: record)
    }

    /// The level that an alert is at, or while it is at none the worst that is pending.
    private func shownLevel(_ lifecycle: AlertLifecycle) -> Int? {
        if lifecycle.level >= 0 { return Int(lifecycle.level) }
        return (0..<lifecycle.levelCount).last { lifecycle.trueSince($0) != nil }
    }

    /// What is known without evaluating anything.
    func bareRecord(_ active: ActiveAlert, _ rule: RulePlan, _ source: SourceState, reason: TransitionReason) -> AlertRecord {
        let key = source.keyValues(active.subject)
        var pendingSince: [Int: Instant] = [:]
        for place in 0..<active.lifecycle.levelCount { pendingSince[place] = active.lifecycle.trueSince(place) }
        var record = AlertRecord(
            id: alertInstanceID(rule: rule.rule.identity, key: key), rule: rule.rule.identity, key: key, activeAt: active.activeAt,
            ordinal: active.ordinal, transition: active.transition, labels: [:], state: active.lifecycle.state, pendingSince: pendingSince,
            recoveringSince: active.lifecycle.recoveringSince, firedAt: active.firedAt == .distantPast ? nil : active.firedAt,
            changedAt: context.now, reason: reason, isShadow: rule.rule.mode == .shadow, device: source.device(ofKey: key))
        let level = Int(active.lifecycle.level)
        if rule.levels.indices.contains(level) { set(&record, level, of: rule) }
        if source.index.hasEventTime { record.instanceTime = at }
        return record
    }

    private func set(_ record: inout AlertRecord, _ level: Int, of rule: RulePlan) {
        record.level = rule.levels[level].name
        record.levelPlace = record.level == nil ? nil : level
    }

    /// Fills in everything that comes from expressions: value, labels (where they are not fixed yet), annotations, fields, actions.
    func describe(
        _ record: inout AlertRecord, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, level: Int, fixed: [String: String]?,
        _ change: AlertLifecycle.Change
    ) {
        // A sequence is made of several readings: its texts see what they left.
        loadFields(source, subject, rule.isEvent && rule.sequence == nil ? .carried : .all)
        loadExtras(rule.extras, source, subject)
        record.fields = fields(rule, source)
        record.value = value(rule, source, subject, record, level)
        record.labels = fixed ?? labels(rule, source, subject, record)
        if rule.rule.hasLevels { record.labels["severity"] = rule.levels[level].name }
        for annotation in rule.texts.annotations {
            record.annotations[annotation.name] = render(annotation.template, rule, source, subject, record)
        }
        guard !record.isShadow else { return }
        let actions = change == .fired ? rule.texts.firingActions : change == .resolved ? rule.texts.resolvedActions : []
        for (place, action) in actions.enumerated() {
            let id = "\(record.episode)-\(record.transition)-a\(place)"
            record.pendingActions.append(request(action, id, rule, source, subject, record))
        }
    }

    private func request(
        _ action: RulePlan.ActionPlan, _ id: String, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord
    ) -> ActionRequest {
        switch action {
        case .publish(let topic, let payload, let qos, let retain):
            .publish(
                PublishRequest(
                    id: id, topic: render(topic, rule, source, subject, record), payload: render(payload, rule, source, subject, record),
                    qos: qos, retain: retain))
        case .call(let function, let arguments):
            .call(CallRequest(id: id, function: function, arguments: render(arguments, rule, source, subject, record)))
        }
    }

    private func render(
        _ argument: RulePlan.ArgumentPlan, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord
    ) -> Document {
        switch argument {
        case .constant(let document): return document
        case .value(let program, let extras):
            loadTextExtras(extras, source, subject, record)
            if case .value(let value) = program.evaluate(frame) { return Document(value) }
            context.counters.templateFailures &+= 1
            return .null
        case .text(let template): return .string(render(template, rule, source, subject, record))
        case .list(let items): return .array(items.map { render($0, rule, source, subject, record) })
        case .object(let members):
            return .object(members.map { .init($0.name, render($0.value, rule, source, subject, record)) })
        }
    }

    private func fields(_ rule: RulePlan, _ source: SourceState) -> Document {
        .object(
            rule.fields.compactMap { field in
                frame[field].value(in: context.plan.strings).map { Document.Member(source.plan.fields[field].description, Document($0)) }
            })
    }

    private func value(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord, _ level: Int) -> Document {
        if let program = rule.texts.value {
            loadTextExtras(rule.texts.valueExtras, source, subject, record)
            if case .value(let value) = program.evaluate(frame) { return Document(value) }
            context.counters.templateFailures &+= 1
            return .null
        }
        guard let deciding = deciding(rule, level)?.decidingComparison(frame) else { return .null }
        return Document(deciding.left)
    }

    /// The condition that decided; nothing for an absence.
    private func deciding(_ rule: RulePlan, _ level: Int) -> Program? {
        guard let last = rule.sequence?.steps.last else { return rule.levels[level].condition }
        return last.isAbsence ? nil : last.condition
    }

    private func labels(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord) -> [String: String] {
        var labels: [String: String] = [:]
        for (name, value) in zip(source.plan.key.by, record.key) { labels[name] = value }
        for label in rule.texts.labels { labels[label.name] = render(label.template, rule, source, subject, record) }
        labels["alertname"] = rule.rule.identity.alert
        return labels
    }

    private func render(_ template: TemplatePlan, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord)
        -> String
    {
        var text = ""
        for part in template.parts {
            switch part {
            case .literal(let literal): text += literal
            case .program(let program, let extras):
                loadTextExtras(extras, source, subject, record)
                if case .value(let value) = program.evaluate(frame) {
                    if case .double(let number) = value { text += number.shortest } else { text += Document(value).plainText }
                } else {
                    context.counters.templateFailures &+= 1
                    text += "<no value>"
                }
            }
        }
        return text
    }

    private func loadTextExtras(_ extras: [Int32], _ source: SourceState, _ subject: Int32, _ record: AlertRecord) {
        for place in extras {
            let extra = source.plan.extras[Int(place)]
            guard extra.isOfAlert else {
                loadExtras([place], source, subject)
                continue
            }
            let slot: Slot
            switch extra.kind {
            case .alertState: slot = text(record.state.rawValue)
            case .alertValue:
                slot = record.value == .null ? .missing : keep(Slot(retaining: record.value.celValue, strings: context.plan.strings))
            case .alertActiveAt: slot = Slot(record.activeAt)
            case .label(let name): slot = record.labels[name].map(text) ?? .missing
            default: slot = value(of: extra, source, subject)
            }
            frame[firstExtraSlot + Int(place)] = slot
        }
    }
}
