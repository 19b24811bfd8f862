public import CEL

extension EvaluationPlan {
    /// Compiles a catalogue: names resolved, types checked, indexes built. With errors there is no plan; warnings come along with one.
    public static func compile(_ catalog: RuleCatalog, environment: Environment = RuleLanguageEnvironment.standard) -> (plan: EvaluationPlan?, diagnostics: [Diagnostic]) {
        let strings = InternedStrings()
        var builders: [SourceBuilder] = []
        var places: [SourceKey: Int] = [:]
        var rules: [RulePlan] = []
        var diagnostics: [Diagnostic] = []
        for rule in catalog.rules {
            let key = SourceKey(rule)
            let place = places[key] ?? builders.count
            if place == builders.count {
                places[key] = place
                builders.append(SourceBuilder(key))
            }
            let scope = RuleScope(rule: rule, source: builders[place], environment: environment, strings: strings)
            let plan = RuleCompiler(scope: scope).plan(number: Int32(rules.count), source: Int32(place))
            diagnostics += scope.diagnostics
            if let plan { rules.append(plan) }
        }
        let found = diagnostics.inOrder
        guard !found.hasErrors else { return (nil, found) }
        for builder in builders { builder.plan.prepareIndexes() }
        for rule in rules where rule.rule.isEnabled { builders[Int(rule.source)].plan.index(rule) }
        for builder in builders {
            for field in builder.plan.thresholds.indices {
                builder.plan.thresholds[field].sort { ($0.value, $0.rule) < ($1.value, $1.rule) }
            }
            builder.plan.missingRules.sort { rules[Int($0)].silenceNanoseconds < rules[Int($1)].silenceNanoseconds }
        }
        return (EvaluationPlan(catalog: catalog, rules: rules, sources: builders.map(\.plan), strings: strings), found)
    }
}

extension RulePlan {
    /// The deadline of `missing`; the longest time for a learned one.
    var silenceNanoseconds: Int64 {
        guard case .after(let duration)? = rule.missing?.deadline else { return .max }
        return duration.inNanoseconds
    }
}

/// Compiles one rule.
struct RuleCompiler {
    let scope: RuleScope
    private var rule: Rule { scope.rule }

    init(scope: RuleScope) { self.scope = scope }

    func plan(number: Int32, source: Int32) -> RulePlan? {
        scope.place = .condition
        let levels = rule.levels.compactMap { level -> LevelPlan? in
            let condition = scope.compile(level.condition, expecting: .bool)
            let recovery = level.resolveCondition.map { scope.compile($0, expecting: .bool) }
            guard let condition else { return nil }
            if case .some(nil) = recovery { return nil }
            return LevelPlan(name: level.name, condition: condition, recovery: recovery ?? nil)
        }
        scope.place = .label
        let labels = rule.labels.compactMap { label in template(label.template).map { (name: label.name, template: $0) } }
        scope.place = .text
        let value = rule.value.flatMap { scope.compile($0) }
        let annotations = rule.annotations.compactMap { text in template(text.template).map { (name: text.name, template: $0) } }
        let firing = rule.firingActions.compactMap(action)
        let resolved = rule.resolvedActions.compactMap(action)
        checkLabels(labels)
        guard levels.count == rule.levels.count else { return nil }
        let programs = levels.flatMap { [$0.condition, $0.recovery].compactMap { $0 } }
        var fields = Set<Int>()
        var extras = Set<Int32>()
        for program in programs {
            let reach = scope.source.reach(program)
            fields.formUnion(reach.fields)
            extras.formUnion(reach.extras)
        }
        checkClock(fields)
        return RulePlan(
            rule: rule, number: number, source: source, levels: levels,
            timing: LifecycleTiming(pending: rule.levels.map(\.pendingDuration.inNanoseconds), keepFiring: rule.keepFiringFor.inNanoseconds),
            extras: extras.sorted(), fields: fields.sorted(), value: value, valueExtras: value.map { scope.source.reach($0).extras } ?? [],
            labels: labels, annotations: annotations, firingActions: firing, resolvedActions: resolved, ageTurns: ageTurns(programs),
            meaning: rule.meaning, everyNanoseconds: rule.every?.inNanoseconds ?? 0)
    }

    private func template(_ template: Template) -> TemplatePlan? {
        var parts: [TemplatePlan.Part] = []
        for part in template.parts {
            switch part {
            case .literal(let text): parts.append(.literal(text))
            case .expression(let expression):
                guard let program = scope.compile(expression) else { return nil }
                parts.append(.program(program, extras: scope.source.reach(program).extras))
            }
        }
        return TemplatePlan(parts: parts)
    }

    private func action(_ action: PublishAction) -> RulePlan.ActionPlan? {
        guard let topic = template(action.topic), let payload = template(action.payload) else { return nil }
        return RulePlan.ActionPlan(topic: topic, payload: payload, qos: action.qos, retain: action.retain)
    }

    /// A label may not depend on a measured value: it would be another alert at each reading.
    private func checkLabels(_ labels: [(name: String, template: TemplatePlan)]) {
        for (name, plan) in labels {
            for case .program(let program, _) in plan.parts {
                guard let field = scope.source.reach(program).fields.min() else { continue }
                let path = scope.source.plan.fields[field].description
                let place = rule.labels.last { $0.name == name }?.template.source.location ?? rule.location
                scope.diagnostics.append(
                    Diagnostic(
                        code: "label-measured", "a label may not depend on a measured value: '\(name)' reads '\(path)'", at: place,
                        hint: "put it into an annotation"))
            }
        }
    }

    private func checkClock(_ fields: Set<Int>) {
        guard rule.subscriptions.isEmpty, let field = fields.min() else { return }
        let path = scope.source.plan.fields[field].description
        scope.diagnostics.append(
            Diagnostic(code: "unknown-field", "a rule without 'on' has no readings: '\(path)'", at: rule.levels[0].condition.source.location))
    }

    /// `age(x) > d`: the age at which the comparison turns.
    private func ageTurns(_ programs: [Program]) -> [(place: Int, nanoseconds: Int64)] {
        var turns: [(place: Int, nanoseconds: Int64)] = []
        for comparison in programs.flatMap(\.comparisons) where comparison.slot >= firstExtraSlot {
            guard case .age(let place) = scope.source.plan.extras[comparison.slot - firstExtraSlot].kind,
                case .constant(let constant) = comparison.right, constant.kind == .duration
            else { continue }
            let length = Int64(bitPattern: constant.bits)
            switch comparison.op {
            case .greater, .lessOrEqual: turns.append((place, length == .max ? .max : length + 1))
            default: turns.append((place, length))
            }
        }
        return turns
    }
}

extension Rule {
    /// One text for all that decides how the rule behaves; equal texts, equal behaviour. Texts, labels and annotations are no part of it.
    var meaning: String {
        var parts = ["on \(SourceKey(self).subscriptions)", "by \(by)", "event \(isEvent)", "keep \(keepFiringFor)", "every \(every.map { "\($0)" } ?? "")"]
        parts.append("missing \(missing.map { "\($0)" } ?? "")")
        for level in levels {
            parts.append("level \(level.name ?? "") \(level.condition.canonical) \(level.resolveCondition?.canonical ?? "") \(level.pendingDuration)")
        }
        for binding in lets { parts.append("let \(binding.name) \(binding.expression.canonical)") }
        return parts.joined(separator: "\n")
    }
}

extension SourcePlan {
    fileprivate mutating func prepareIndexes() {
        onPresence = [[Int32]](repeating: [], count: fields.count)
        onChange = onPresence
        thresholds = [[Threshold]](repeating: [], count: fields.count)
        let keyed = Set(key.by)
        hasFixedDevice = key.subscriptions.allSatisfy { subscription in
            guard let parts = subscription.device else { return !subscription.filter.captures.contains("device") || keyed.contains("device") }
            return parts.allSatisfy { if case .capture(let name) = $0 { keyed.contains(name) } else { true } }
        }
    }

    /// Puts a rule where a reading finds it: under crossing, change, presence or always.
    fileprivate mutating func index(_ rule: RulePlan) {
        rules.append(rule.number)
        if rule.rule.missing != nil { missingRules.append(rule.number) }
        guard rule.everyNanoseconds == 0, !isOnClock else { return }
        guard !rule.fields.isEmpty else {
            onEveryReading.append(rule.number)
            return
        }
        if rule.isEvent || rule.extras.contains(where: { extras[Int($0)].isEdge }) {
            for field in rule.fields { onPresence[field].append(rule.number) }
            return
        }
        if let constants = rule.constants {
            for (field, value) in constants { thresholds[field].append(Threshold(value: value, rule: rule.number)) }
            return
        }
        for field in rule.fields { onChange[field].append(rule.number) }
        // A field's age starts anew with every reading that carries it, also with the same value.
        for extra in rule.extras {
            if case .age(let place) = extras[Int(extra)].kind { onPresence[ageFields[place]].append(rule.number) }
        }
    }
}

extension RulePlan {
    /// When the conditions are made of nothing but comparisons of fields with numbers: all of these numbers.
    fileprivate var constants: [(field: Int, value: Double)]? {
        var found: [(field: Int, value: Double)] = []
        for level in levels {
            for program in [level.condition, level.recovery].compactMap({ $0 }) {
                guard let atoms = program.atoms else { return nil }
                for atom in atoms {
                    guard atom.slot < firstExtraSlot, case .constant(let constant) = atom.right, let value = constant.finiteNumber else { return nil }
                    found.append((atom.slot, value))
                }
            }
        }
        return found
    }
}

extension Slot {
    /// The number of a numeric slot, when a double holds it exactly.
    var finiteNumber: Double? {
        switch kind {
        case .double:
            let value = Double(bitPattern: bits)
            return value.isFinite ? value : nil
        case .int: return Double(exactly: Int64(bitPattern: bits))
        case .uint: return Double(exactly: bits)
        default: return nil
        }
    }
}
