public import CEL

extension EvaluationPlan {
    /// Compiles a catalogue: names resolved, types checked, indexes built. With errors there is no plan; warnings come along with one.
    ///
    /// - Parameter decoders: those of plugins; the names of all that rules ask for.
    public static func compile(
        _ catalog: RuleCatalog, environment: Environment = RuleLanguageEnvironment.standard, surroundings: Surroundings = .unknown,
        decoders: [String: any TelemetryDecoder] = [:]
    ) -> (plan: EvaluationPlan?, diagnostics: [Diagnostic]) {
        let environment = environment.adding(zones: surroundings.zones)
        let strings = InternedStrings()
        let sources = SourceBuilders()
        var rules: [RulePlan] = []
        var diagnostics: [Diagnostic] = []
        let queries = QueryBuilder()
        for rule in catalog.rules {
            let place = sources.place(of: SourceKey(rule))
            let scope = RuleScope(
                rule: rule, source: sources.all[place], environment: environment, strings: strings, surroundings: surroundings,
                queries: queries, sources: sources)
            let plan = RuleCompiler(scope: scope).plan(number: Int32(rules.count), source: Int32(place))
            diagnostics += scope.diagnostics
            if let plan { rules.append(plan) }
        }
        let found = diagnostics.inOrder
        guard !found.hasErrors else { return (nil, found) }
        let builders = sources.all
        for builder in builders { builder.finishWindows(sampleLimit: surroundings.windowSamples) }
        for builder in builders { builder.plan.prepareIndexes() }
        for rule in rules where rule.rule.isEnabled { builders[Int(rule.source)].plan.index(rule) }
        for number in builders.indices {
            for (latest, dependents) in builders[number].plan.dependents(among: rules) {
                builders[Int(builders[number].plan.latests[latest].source)].plan.dependents.append(
                    DependentRules(source: Int32(number), latest: latest, rules: dependents))
            }
        }
        for rule in rules where rule.memberSource >= 0 {
            builders[Int(rule.memberSource)].plan.membership.add(rule, of: builders[Int(rule.source)].plan)
        }
        for builder in builders {
            for field in builder.plan.thresholds.indices {
                builder.plan.thresholds[field].sort { ($0.value, $0.rule) < ($1.value, $1.rule) }
            }
        }
        return (
            EvaluationPlan(
                catalog: catalog, rules: rules, sources: builders.map(\.plan), strings: strings, surroundings: surroundings,
                queries: queries.plans, decoders: decoders),
            found
        )
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
        let steps = rule.sequence.compactMap(step)
        scope.place = .label
        let labels = rule.labels.map { (name: $0.name, template: template($0.template)) }
        scope.place = .text
        let value = rule.value.flatMap { scope.compile($0) }
        let annotations = rule.annotations.map { (name: $0.name, template: template($0.template)) }
        let firing = rule.firingActions.compactMap(action)
        let resolved = rule.resolvedActions.compactMap(action)
        checkLabels(labels)
        scope.diagnostics += scope.diagnosticsOfUnusedLets()
        guard levels.count == rule.levels.count, steps.count == rule.sequence.count else { return nil }
        let programs = levels.flatMap { [$0.condition, $0.recovery].compactMap { $0 } } + steps.map(\.condition)
        var fields = Set<Int>()
        var extras = Set<Int32>()
        for program in programs {
            let reach = scope.source.reach(program)
            fields.formUnion(reach.fields)
            extras.formUnion(reach.extras)
        }
        checkClock(fields)
        checkShare(extras)
        checkWatches(programs, extras)
        let (query, queries) = queryNumbers(source)
        let texts = RulePlan.TextPlans(
            value: value, valueExtras: value.map { scope.source.reach($0).extras } ?? [], labels: labels, annotations: annotations,
            firingActions: firing, resolvedActions: resolved)
        return RulePlan(
            rule, number: number, source: source, levels: levels, sequence: sequence(steps, number), extras: extras.sorted(),
            fields: fields.sorted(), texts: texts, ageTurns: ageTurns(programs, extras), windows: windows(extras),
            windowTurns: windowTurns(programs, extras),
            clockTurns: clockTurns(programs, extras), query: query, queries: queries,
            latestFilters: scope.latestFilters, memberSource: scope.finishMembers())
    }

    private func step(_ step: SequenceStep) -> SequencePlan.Step? {
        guard let condition = scope.compile(step.condition, expecting: .bool) else { return nil }
        return SequencePlan.Step(
            condition: condition, isAbsence: step.isAbsence, within: step.within?.inNanoseconds,
            subscriptions: step.subscriptions.reduce(0) { $0 | SequencePlan.bit(of: $1) }, extras: scope.source.reach(condition).extras)
    }

    private func sequence(_ steps: [SequencePlan.Step], _ number: Int32) -> SequencePlan? {
        guard !steps.isEmpty else { return nil }
        if rule.isEnabled { scope.source.plan.sequences.append(number) }
        return SequencePlan(steps: steps, place: max(0, scope.source.plan.sequences.count - 1))
    }

    private func template(_ template: Template) -> TemplatePlan {
        var parts: [TemplatePlan.Part] = []
        for part in template.parts {
            switch part {
            case .literal(let text): parts.append(.literal(text))
            case .expression(let expression):
                // What is wrong with one is reported, and there is no plan then; the others are looked at all the same.
                guard let program = scope.compile(expression) else { continue }
                parts.append(.program(program, extras: scope.source.reach(program).extras))
            }
        }
        return TemplatePlan(parts: parts)
    }

    private func action(_ action: RuleAction) -> RulePlan.ActionPlan? {
        switch action {
        case .publish(let publish):
            return .publish(
                topic: template(publish.topic), payload: template(publish.payload), qos: publish.qos, retain: publish.retain)
        case .call(let call): return members(call.arguments).map { .call(call.function, arguments: $0) }
        }
    }

    private func members(_ arguments: [NamedArgument]) -> RulePlan.ArgumentPlan? {
        let plans = arguments.compactMap { named in argument(named.value).map { (name: named.name, value: $0) } }
        return plans.count == arguments.count ? .object(plans) : nil
    }

    private func argument(_ argument: ArgumentTemplate) -> RulePlan.ArgumentPlan? {
        switch argument {
        case .constant(let document): return .constant(document)
        case .value(let expression): return scope.compile(expression).map { .value($0, extras: scope.source.reach($0).extras) }
        case .text(let template): return .text(self.template(template))
        case .list(let items):
            let plans = items.compactMap { self.argument($0) }
            return plans.count == items.count ? .list(plans) : nil
        case .object(let named): return members(named)
        }
    }

    /// What is remembered between readings is right only where all of them come.
    private func checkShare(_ extras: Set<Int32>) {
        guard let group = rule.subscriptions.lazy.compactMap(\.filter.share).first else { return }
        let remembers = extras.contains { place in
            switch scope.source.plan.extras[Int(place)].kind {
            case .window, .members: true
            default: scope.source.plan.extras[Int(place)].isEdge
            }
        }
        // An occurrence is made of one reading, unless it is a sequence of them.
        guard !rule.isEvent || remembers || !rule.sequence.isEmpty else { return }
        scope.diagnostics.append(
            Diagnostic(
                .warning, code: "shared-state",
                "the rule remembers earlier readings, of which each server of a shared subscription gets a part",
                at: rule.location, notes: ["it is right while one server alone subscribes in the group '\(group)'"]))
    }

    /// A label may not depend on a measured value: it would be another alert at each reading.
    private func checkLabels(_ labels: [(name: String, template: TemplatePlan)]) {
        for (name, plan) in labels {
            for case .program(let program, _) in plan.parts {
                let reach = scope.source.reach(program)
                let kinds = reach.extras.map { scope.source.plan.extras[Int($0)].kind }
                let isOfSide = kinds.contains { if case .side = $0 { true } else { false } }
                guard isOfSide || kinds.contains(where: \.isLatest) || !reach.fields.isEmpty else { continue }
                let path = reach.fields.min().map { scope.source.plan.fields[$0].description } ?? (isOfSide ? "with" : "latest")
                let place = rule.labels.last { $0.name == name }?.template.source.location ?? rule.location
                scope.diagnostics.append(
                    Diagnostic(
                        code: "label-measured", "a label may not depend on a measured value: '\(name)' reads '\(path)'", at: place,
                        hint: "put it into an annotation"))
            }
        }
    }

    private func queryNumbers(_ source: Int32) -> (own: Int?, all: [Int]) {
        let own = rule.query.map { scope.queries.number(of: $0) }
        let sides = rule.sides.map { scope.queries.number(of: $0.query) } + scope.recordedQueries
        if rule.isEnabled {
            if let own { scope.queries.add(source: source, to: own) }
            for number in [own].compactMap({ $0 }) + sides { scope.queries.want(number) }
        }
        return (own, [own].compactMap { $0 } + sides)
    }

    private func checkClock(_ fields: Set<Int>) {
        guard rule.subscriptions.isEmpty, rule.query == nil, let field = fields.min() else { return }
        let path = scope.source.plan.fields[field].description
        scope.diagnostics.append(
            Diagnostic(
                code: "unknown-field", "a rule without 'on' has no readings: '\(path)'", at: rule.levels[0].condition.source.location))
    }

    /// `age(x)` and the like where no comparison says when to look at them.
    private func checkWatches(_ programs: [Program], _ extras: Set<Int32>) {
        guard looksBetweenReadings else { return }
        let watched = Set(
            comparisons(programs, extras).filter {
                turn($0.slot, $0.comparison, $0.right) != nil || turn($0.slot, at: $0.right) != nil
                    || elevationTurn($0.slot, $0.right) != nil
            }.map(\.slot))
        scope.diagnostics += scope.unwatched.filter { !watched.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
    }

    /// A rule with `every` looks at its instants only, an event at readings.
    private var looksBetweenReadings: Bool { rule.every == nil && !rule.isEvent }

    private func windows(_ extras: Set<Int32>) -> [Int32] {
        guard looksBetweenReadings else { return [] }
        return extras.sorted().filter { scope.source.plan.extras[Int($0)].kind.isWindow }
    }

    /// `duration_over_time(condition, d) > x` and the like, where `x` does not depend on readings.
    private func windowTurns(_ programs: [Program], _ extras: Set<Int32>) -> [RulePlan.WindowTurn] {
        guard looksBetweenReadings else { return [] }
        return comparisons(programs, extras).compactMap { turn($0.slot, at: $0.right) }
    }

    private func turn(_ slot: Int, at limit: Atom.Operand) -> RulePlan.WindowTurn? {
        guard slot >= firstExtraSlot, case .window(let place) = scope.source.plan.extras[slot - firstExtraSlot].kind,
            scope.source.isOfCondition(window: place)
        else { return nil }
        if case .slot(let other) = limit {
            guard other >= firstExtraSlot, scope.source.plan.extras[other - firstExtraSlot].fields.isEmpty else { return nil }
        }
        return RulePlan.WindowTurn(window: Int32(slot - firstExtraSlot), limit: limit)
    }

    /// Every comparison that the conditions make, those in `let` too, each way round.
    private func comparisons(_ programs: [Program], _ extras: Set<Int32>) -> [(slot: Int, comparison: Comparison, right: Atom.Operand)] {
        let bindings = extras.sorted().compactMap { place -> Program? in
            if case .binding(let program) = scope.source.plan.extras[Int(place)].kind { program } else { nil }
        }
        return (programs + bindings).flatMap(\.comparisons).flatMap { found in
            var both = [(found.slot, found.comparison, found.right)]
            if case .slot(let right) = found.right { both.append((right, found.comparison.mirrored, .slot(found.slot))) }
            return both
        }
    }

    /// `age(x) > d`: when the comparison turns, where `d` does not depend on readings.
    private func ageTurns(_ programs: [Program], _ extras: Set<Int32>) -> [RulePlan.AgeTurn] {
        guard looksBetweenReadings else { return [] }
        return comparisons(programs, extras).compactMap { turn($0.slot, $0.comparison, $0.right) }
    }

    /// What turns by the clock.
    private func clockTurns(_ programs: [Program], _ extras: Set<Int32>) -> [RulePlan.ClockTurn] {
        guard looksBetweenReadings else { return [] }
        var turns: [RulePlan.ClockTurn] = []
        for place in extras.sorted() {
            switch scope.source.plan.extras[Int(place)].kind {
            case .calendar(let calendar): turns.append(.calendar(calendar))
            case .sun(.isUp), .sun(.nextRise), .sun(.nextSet): turns.append(.horizon)
            default: continue
            }
        }
        turns += comparisons(programs, extras).compactMap { elevationTurn($0.slot, $0.right) }
        return turns.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func elevationTurn(_ slot: Int, _ right: Atom.Operand) -> RulePlan.ClockTurn? {
        guard slot >= firstExtraSlot, case .sun(.elevation) = scope.source.plan.extras[slot - firstExtraSlot].kind else { return nil }
        switch right {
        case .constant(let constant): return constant.finiteNumber.map { .elevation($0) }
        case .slot(let other):
            guard other >= firstExtraSlot, scope.source.plan.extras[other - firstExtraSlot].fields.isEmpty else { return nil }
            return .elevationInSlot(other)
        }
    }

    private func turn(_ slot: Int, _ comparison: Comparison, _ right: Atom.Operand) -> RulePlan.AgeTurn? {
        guard slot >= firstExtraSlot, case .age(let place) = scope.source.plan.extras[slot - firstExtraSlot].kind else { return nil }
        let limit: RulePlan.AgeTurn.Limit
        switch right {
        case .constant(let constant):
            guard constant.kind == .duration else { return nil }
            limit = .constant(Int64(bitPattern: constant.bits))
        case .slot(let other):
            guard other >= firstExtraSlot, scope.source.plan.extras[other - firstExtraSlot].fields.isEmpty else { return nil }
            limit = .slot(other)
        }
        switch comparison {
        case .greater, .lessOrEqual: return RulePlan.AgeTurn(place: place, limit: limit, offsets: [1])
        case .less, .greaterOrEqual: return RulePlan.AgeTurn(place: place, limit: limit, offsets: [0])
        case .equal, .notEqual: return RulePlan.AgeTurn(place: place, limit: limit, offsets: [0, 1])
        }
    }
}

extension Rule {
    /// One text for all that decides how the rule behaves; equal texts, equal behaviour. Texts, labels and annotations are no part of it.
    var meaning: String {
        var parts = [
            "by \(by.joined(separator: "\0"))", "event \(isEvent)", "keep \(keepFiringFor.inNanoseconds)",
            "every \(every?.inNanoseconds ?? 0)",
            "missing \(missing?.meaning ?? "")",
        ]
        for subscription in subscriptions { parts.append("on \(subscription.meaning)") }
        for level in levels {
            parts.append(
                "level \(level.name ?? "") \(level.condition.canonical) \(level.resolveCondition?.canonical ?? "") \(level.pendingDuration.inNanoseconds)"
            )
        }
        if let query { parts.append("influx \(query.id)") }
        if let device { parts.append("device \(device.meaning)") }
        for side in sides { parts.append("with \(side.name) \(side.query.id)") }
        for step in sequence { parts.append(step.meaning) }
        for binding in lets { parts.append("let \(binding.name) \(binding.expression.canonical)") }
        return parts.joined(separator: "\n")
    }
}

extension SourceKey {
    /// Equal for equal keys, over edits of the rules and starts of the server.
    var meaning: String { (subscriptions.map(\.meaning) + ["by"] + by).joined(separator: "\n") }
}

extension MissingPolicy {
    fileprivate var meaning: String {
        switch deadline {
        case .after(let duration): "\(outcome.rawValue) after \(duration.inNanoseconds)"
        case .beats(let count): "\(outcome.rawValue) after \(count) beats"
        }
    }
}

extension [TopicSubscription.DevicePart] {
    fileprivate var meaning: String {
        map { part in
            switch part {
            case .literal(let text): text
            case .capture(let name): "{\(name)}"
            }
        }.joined()
    }
}

extension TopicSubscription {
    /// All of it but the quality of service, and with the names of the captures.
    fileprivate var meaning: String {
        let levels = filter.levels.map { level in
            switch level {
            case .literal(let text): text
            case .any(let capture): "{\(capture ?? "+")}"
            case .rest(let capture): "{\(capture ?? "")#}"
            }
        }
        let decoder =
            switch decoder {
            case .automatic: "automatic"
            case .text: "text"
            case .bytes: "bytes"
            case .named(let name): "named \(name)"
            }
        let time = timeField?.joined(separator: "\0") ?? (takesDecodersTime ? "\0" : "")
        return [
            filter.share ?? "", levels.joined(separator: "/"), decoder, time, valueAs ?? "", device?.meaning ?? "", retained.rawValue,
        ].joined(separator: "\u{1}")
    }
}

extension SourcePlan {
    fileprivate mutating func prepareIndexes() {
        onPresence = [[Int32]](repeating: [], count: fields.count)
        onChange = onPresence
        thresholds = [[Threshold]](repeating: [], count: fields.count)
        // A late reading must not replace what is newer: then the time of every field is kept.
        if hasEventTime { ageFields += fields.indices.filter { !ageFields.contains($0) } }
        usesDevices = !configPaths.isEmpty || extras.contains { $0.kind.isOfDevice }
        let keyed = Set(key.by)
        hasFixedDevice = key.subscriptions.allSatisfy { subscription in
            guard let parts = subscription.device else {
                return !subscription.filter.captures.contains("device") || keyed.contains("device")
            }
            return parts.allSatisfy { if case .capture(let name) = $0 { keyed.contains(name) } else { true } }
        }
    }

    /// Puts a rule where a reading finds it: under crossing, change, presence or always.
    fileprivate mutating func index(_ rule: RulePlan) {
        rules.append(rule.number)
        if let missing = rule.rule.missing, missing.outcome != .hold {
            missingRules.append(rule.number)
            if case .beats = missing.deadline { learnsIntervals = true }
        }
        guard rule.everyNanoseconds == 0, !isOnClock else { return }
        guard !mayChangeAtAnyReading(rule) else {
            onEveryReading.append(rule.number)
            return
        }
        if rule.isEvent {
            for field in rule.fields { onPresence[field].append(rule.number) }
            return
        }
        if let constants = rule.constants {
            for (field, value) in constants { thresholds[field].append(Threshold(value: value, rule: rule.number)) }
            return
        }
        for field in rule.fields { onChange[field].append(rule.number) }
    }

    /// Its rules that are evaluated at each reading on another topic, by the place of that in `latests`. An event is one of its own readings.
    fileprivate func dependents(among all: [RulePlan]) -> [(latest: Int, rules: [Int32])] {
        latests.indices.compactMap { latest in
            let found = rules.filter { number in
                let rule = all[Int(number)]
                guard rule.everyNanoseconds == 0, !rule.isEvent else { return false }
                return rule.extras.contains { if case .latest(latest, _) = extras[Int($0)].kind { true } else { false } }
            }
            return found.isEmpty ? nil : (latest, found)
        }
    }

    /// Whether a reading can make a difference to the rule that changes none of the fields it reads.
    private func mayChangeAtAnyReading(_ rule: RulePlan) -> Bool {
        // Where there may be no room for an alert, a condition that was true and stays so can begin one at any reading.
        if rule.fields.isEmpty || rule.rule.limit != nil { return true }
        let kinds = rule.extras.map { extras[Int($0)] }
        for extra in kinds {
            if extra.isEdge { return true }
            switch extra.kind {
            case .age, .now, .window, .recorded, .sun(.elevation), .latest, .members: return true
            case .config, .deviceLabel, .sun: if !hasFixedDevice { return true }
            default: continue
            }
        }
        guard rule.isEvent else { return false }
        // An event sees only what is carried: a comparison of what is not has no result, anything else may have one.
        return !rule.conditions.allSatisfy { condition in
            condition.atoms?.allSatisfy { atom in
                guard atom.slot < firstExtraSlot else { return false }
                if case .slot(let other) = atom.right { return other < firstExtraSlot }
                return true
            } ?? false
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
                    guard atom.slot < firstExtraSlot, case .constant(let constant) = atom.right, let value = constant.finiteNumber else {
                        return nil
                    }
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
