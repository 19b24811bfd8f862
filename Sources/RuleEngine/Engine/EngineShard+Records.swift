import CEL

/// Alert records: labels, annotations, values and actions at a transition.
extension EngineShard {
    func transition(
        _ alert: Int32, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, from: AlertState, _ change: AlertLifecycle.Change,
        _ reason: TransitionReason
    ) -> AlertTransition {
        let active = alerts[Int(alert)]
        var record = bareRecord(active, rule, source, reason: reason)
        if change == .resolved {
            record.state = .resolved
            record.resolvedAt = context.now
        }
        if let labels = active.labels { record.labels = labels.values }
        describe(&record, rule, source, subject, cause: .change)
        if active.labels == nil, rule.hasVariableLabels { alerts[Int(alert)].labels = FixedLabels(record.labels) }
        return AlertTransition(from: from, alert: record)
    }

    /// What is known without evaluating anything.
    func bareRecord(_ active: ActiveAlert, _ rule: RulePlan, _ source: SourceState, reason: TransitionReason) -> AlertRecord {
        let key = source.keyValues(active.subject)
        var pendingSince: [Int: Instant] = [:]
        for place in 0..<active.lifecycle.levelCount { pendingSince[place] = active.lifecycle.trueSince(place) }
        let level = active.lifecycle.level
        return AlertRecord(
            id: alertInstanceID(rule: rule.rule.identity, key: key), rule: rule.rule.identity, key: key, activeAt: active.activeAt,
            ordinal: active.ordinal, transition: active.transition, labels: [:], state: active.lifecycle.state,
            level: level >= 0 && Int(level) < rule.levels.count ? rule.levels[Int(level)].name : nil, pendingSince: pendingSince,
            recoveringSince: active.lifecycle.recoveringSince, firedAt: active.firedAt == .distantPast ? nil : active.firedAt,
            changedAt: context.now, reason: reason, isShadow: rule.rule.mode == .shadow, device: source.device(ofKey: key))
    }

    /// Fills in everything that comes from expressions: value, labels (where they are not fixed yet), annotations, fields, actions.
    func describe(_ record: inout AlertRecord, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, cause: EvaluationCause) {
        currentSource = source.number
        if !record.isOccurrence { loadFields(source, subject, onlyCarried: false) }
        loadExtras(rule.extras, source, subject, record.isOccurrence ? .liveReading : cause)
        record.fields = fields(rule, source)
        record.value = value(rule, source, subject, record)
        if record.labels.isEmpty { record.labels = labels(rule, source, subject, record) }
        if rule.rule.hasLevels { record.labels["severity"] = record.level ?? rule.levels.last?.name }
        for annotation in rule.annotations { record.annotations[annotation.name] = render(annotation.template, rule, source, subject, record) }
        let actions = record.isOccurrence || record.state == .firing ? rule.firingActions : record.state == .resolved ? rule.resolvedActions : []
        if !record.isShadow {
            for (place, action) in actions.enumerated() {
                record.pendingActions.append(
                    PublishRequest(
                        id: "\(record.episode)-\(record.transition)-a\(place)", topic: render(action.topic, rule, source, subject, record),
                        payload: render(action.payload, rule, source, subject, record), qos: action.qos, retain: action.retain))
            }
        }
        releaseFrame()
    }

    private func fields(_ rule: RulePlan, _ source: SourceState) -> Document {
        .object(
            rule.fields.compactMap { field in
                frame[field].value(in: context.plan.strings).map { Document.Member(source.plan.fields[field].description, Document($0)) }
            })
    }

    private func value(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord) -> Document {
        if let program = rule.value {
            loadTextExtras(rule.valueExtras, rule, source, subject, record)
            if case .value(let value) = program.evaluate(frame) { return Document(value) }
            context.counters.templateFailures += 1
            return .null
        }
        let level = record.level.flatMap { name in rule.levels.firstIndex { $0.name == name } } ?? rule.levels.count - 1
        guard let deciding = rule.levels[level].condition.decidingComparison(frame) else { return .null }
        return Document(deciding.left)
    }

    private func labels(_ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord) -> [String: String] {
        var labels: [String: String] = [:]
        for (name, value) in zip(source.plan.key.by, record.key) { labels[name] = value }
        for label in rule.labels { labels[label.name] = render(label.template, rule, source, subject, record) }
        labels["alertname"] = rule.rule.identity.alert
        return labels
    }

    private func render(_ template: TemplatePlan, _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord) -> String {
        var text = ""
        for part in template.parts {
            switch part {
            case .literal(let literal): text += literal
            case .program(let program, let extras):
                loadTextExtras(extras, rule, source, subject, record)
                if case .value(let value) = program.evaluate(frame) {
                    text += Document(value).plainText
                } else {
                    context.counters.templateFailures += 1
                    text += "<no value>"
                }
            }
        }
        return text
    }

    private func loadTextExtras(_ extras: [Int32], _ rule: RulePlan, _ source: SourceState, _ subject: Int32, _ record: AlertRecord) {
        for place in extras {
            let slot: Slot
            switch source.plan.extras[Int(place)].kind {
            case .alertState: slot = text(record.state.rawValue)
            case .alertValue: slot = record.value == .null ? .missing : garbage(Slot(retaining: record.value.celValue, strings: context.plan.strings))
            case .alertActiveAt: slot = Slot(record.activeAt)
            case .label(let name): slot = record.labels[name].map(text) ?? .missing
            default: slot = value(of: source.plan.extras[Int(place)], source, subject, .change, alert: -1)
            }
            frame[firstExtraSlot + Int(place)] = slot
        }
    }

    private func text(_ text: String) -> Slot { garbage(Slot(retaining: .string(text), strings: context.plan.strings)) }

    private func garbage(_ slot: Slot) -> Slot {
        if slot.kind == .object { frameGarbage.append(slot) }
        return slot
    }
}

extension RulePlan {
    /// Whether labels hold anything but fixed text and the key, so that they have to be kept with the alert.
    var hasVariableLabels: Bool {
        labels.contains { label in label.template.parts.contains { if case .program = $0 { true } else { false } } }
    }
}
