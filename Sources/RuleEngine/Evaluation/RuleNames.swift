import CEL

/// What is being compiled, since not every name can be used everywhere.
enum ExpressionPlace {
    case condition, label, text
}

/// Collects what the rules of one source read, while their expressions are compiled.
final class SourceBuilder {
    var plan: SourcePlan
    private var fieldPlaces: [FieldPath: Int] = [:]
    private var extraPlaces: [String: Int] = [:]
    /// Windows as they were asked for: the expression's place and what is asked; their numbers in the plan are known at the end.
    private var windows: [(expression: Int, specification: WindowSpecification)] = []
    private var sampledTexts: [String] = []
    private var sampledMeanings: [String] = []
    /// What extras stand for, whatever the numbers of their slots.
    private var extraMeanings: [String] = []

    init(_ key: SourceKey) { plan = SourcePlan(key: key) }

    func field(_ path: FieldPath) -> Int? {
        if let place = fieldPlaces[path] { return place }
        guard plan.fields.count < firstExtraSlot else { return nil }
        plan.fields.append(path)
        fieldPlaces[path] = plan.fields.count - 1
        return plan.fields.count - 1
    }

    /// The slot of an extra; the same key, the same slot.
    ///
    /// - Parameter meaning: what it stands for, where the key has numbers in it that another plan may not have.
    func extra(
        _ key: String, meaning: String? = nil, _ kind: @autoclosure () -> Extra.Kind, over program: Program? = nil, fields: Set<Int> = [],
        isEdge: Bool = false
    ) -> Int {
        if let place = extraPlaces[key] { return firstExtraSlot + place }
        let reach = program.map(reach) ?? (fields: [], extras: [], hasEdge: false)
        let kind = kind()
        let extra = Extra(
            kind: kind, fields: reach.fields.union(fields).sorted(), needs: reach.extras, isEdge: isEdge || reach.hasEdge,
            isOfAlert: kind.isOfAlert || reach.extras.contains { plan.extras[Int($0)].isOfAlert })
        plan.extras.append(extra)
        extraPlaces[key] = plan.extras.count - 1
        extraMeanings.append((meaning ?? key) + (program.map { " of \(self.meaning($0))" } ?? ""))
        if extra.isEdge { plan.readsEdges = true }
        return firstExtraSlot + plan.extras.count - 1
    }

    /// Everything a program reads, through extras too. Extras come in the order in which they can be computed.
    func reach(_ program: Program) -> (fields: Set<Int>, extras: [Int32], hasEdge: Bool) {
        var fields = Set<Int>()
        var extras = Set<Int32>()
        var hasEdge = false
        for slot in program.slotsUsed {
            guard slot >= firstExtraSlot else {
                fields.insert(slot)
                continue
            }
            let extra = plan.extras[slot - firstExtraSlot]
            fields.formUnion(extra.fields)
            extras.formUnion(extra.needs)
            extras.insert(Int32(slot - firstExtraSlot))
            if extra.isEdge { hasEdge = true }
        }
        return (fields, extras.sorted(), hasEdge)
    }

    /// What the names in a program stand for: the same in every plan in which it means the same.
    private func meaning(_ program: Program) -> String {
        program.slotsUsed.map { slot in
            guard slot >= firstExtraSlot else { return "\(plan.fields[slot].origin) \(plan.fields[slot])" }
            return extraMeanings[slot - firstExtraSlot]
        }.joined(separator: ", ")
    }

    /// The place of a window among those asked for; the same window of the same expression, the same place.
    func window(_ specification: WindowSpecification, over program: Program, text: String, samples: SampleKind) -> Int {
        // What is known to be a number or a truth value has one history for all functions.
        let isScalar = [.double, .int, .uint, .bool].contains(program.resultType)
        let samples = isScalar ? .numbers : samples
        let kind =
            switch samples {
            case .numbers: ""
            case .texts: " or its text"
            case .anything: " or anything"
            }
        let key = "\(text) \(program.slotsUsed)\(kind)"
        var expression = sampledTexts.firstIndex(of: key) ?? sampledTexts.count
        if expression == sampledTexts.count {
            let reach = reach(program)
            sampledTexts.append(key)
            sampledMeanings.append("\(text) of \(meaning(program))\(kind)")
            let isOfMembers = reach.extras.contains { plan.extras[Int($0)].kind.isMembers }
            plan.sampled.append(
                SampledExpression(
                    program: program, samples: samples, extras: reach.extras, fields: reach.fields.sorted(), isOfMembers: isOfMembers)
            )
            expression = sampledTexts.count - 1
        }
        if let place = windows.firstIndex(where: { $0.expression == expression && $0.specification == specification }) { return place }
        windows.append((expression, specification))
        return windows.count - 1
    }

    /// Whether a window, by its place among those asked for, is of a condition.
    func isOfCondition(window place: Int) -> Bool { windows[place].specification.function.kind == .truth }

    /// Makes the plan of all windows; their numbers run expression by expression, so the extras are told theirs.
    func finishWindows(sampleLimit: Int) {
        guard !windows.isEmpty else { return }
        var numbers = [Int](repeating: 0, count: windows.count)
        var expressions: [WindowPlan.Expression] = []
        var next = 0
        for (expression, meaning) in sampledMeanings.enumerated() {
            let own = windows.indices.filter { windows[$0].expression == expression }
            // Two that mean the same are told apart by their order.
            let earlier = sampledMeanings.prefix(expression).count { $0 == meaning }
            let text = earlier == 0 ? meaning : "\(meaning) \(earlier)"
            expressions.append(WindowPlan.Expression(text: text, windows: own.map { windows[$0].specification }))
            for place in own {
                numbers[place] = next
                next += 1
            }
        }
        plan.windowPlan = WindowPlan(expressions, sampleLimit: sampleLimit)
        for place in plan.extras.indices {
            if case .window(let asked) = plan.extras[place].kind { plan.extras[place].kind = .window(numbers[asked]) }
        }
    }

    func calendar(_ function: CalendarFunction) -> Int {
        if let place = plan.calendars.firstIndex(of: function) { return place }
        plan.calendars.append(function)
        return plan.calendars.count - 1
    }

    /// The place of another topic among those of the source.
    func latest(_ plan: LatestPlan) -> Int {
        if let place = self.plan.latests.firstIndex(of: plan) { return place }
        self.plan.latests.append(plan)
        return self.plan.latests.count - 1
    }

    /// The place of a side input among those of the source.
    func side(_ plan: SidePlan) -> Int {
        if let place = self.plan.sides.firstIndex(of: plan) { return place }
        self.plan.sides.append(plan)
        return self.plan.sides.count - 1
    }

    func configPath(_ path: [FieldPath.Element]) -> Int { Self.place(of: path, in: &plan.configPaths) }
    func variablePath(_ path: [FieldPath.Element]) -> Int { Self.place(of: path, in: &plan.variablePaths) }

    func agePlace(_ field: Int) -> Int {
        if let place = plan.ageFields.firstIndex(of: field) { return place }
        plan.ageFields.append(field)
        return plan.ageFields.count - 1
    }

    private static func place(of path: [FieldPath.Element], in paths: inout [[FieldPath.Element]]) -> Int {
        if let place = paths.firstIndex(of: path) { return place }
        paths.append(path)
        return paths.count - 1
    }
}

/// The sources of a catalogue, each made when the first rule asks for it.
final class SourceBuilders {
    private(set) var all: [SourceBuilder] = []
    private var places: [SourceKey: Int] = [:]

    func place(of key: SourceKey) -> Int {
        if let place = places[key] { return place }
        all.append(SourceBuilder(key))
        places[key] = all.count - 1
        return all.count - 1
    }
}

/// The names of one rule: built-ins, then `let`, then captures, then members of the payload.
final class RuleScope {
    let rule: Rule
    let source: SourceBuilder
    let environment: Environment
    let strings: InternedStrings
    let surroundings: Surroundings
    let queries: QueryBuilder
    let sources: SourceBuilders
    /// Filters of the topics that `latest` names.
    var latestFilters: [TopicFilter] = []
    /// Where the members of its instances stand in `SourcePlan.memberLists`, once an expression asks for them.
    var memberPlace: Int?
    /// Fields that its expressions select from members, or from what may be one.
    var selectedFields: Set<String> = []
    /// Types of the lets that are records, or hold some.
    fileprivate(set) var recordTypes: [String: CELType] = [:]
    /// Numbers of the queries for recorded readings that its windows take.
    var recordedQueries: [Int] = []
    var place = ExpressionPlace.condition
    var diagnostics: [Diagnostic] = []
    /// Calls in conditions whose value changes at every instant, by their slots, and what is said of one that nothing watches.
    private(set) var unwatched: [Int: Diagnostic] = [:]
    private var callsUnderWay: [(slot: Int, found: CELDiagnostic)] = []
    /// Warnings about calls in the expression that is being compiled.
    private var warningsUnderWay: [CELDiagnostic] = []
    private var lets: [String: Int] = [:]
    private var letsUnderWay: Set<String> = []
    /// The lets that expressions have named so far.
    private(set) var letsNamed: Set<String> = []
    private let captures: Set<String>

    init(
        rule: Rule, source: SourceBuilder, environment: Environment, strings: InternedStrings, surroundings: Surroundings,
        queries: QueryBuilder, sources: SourceBuilders
    ) {
        self.surroundings = surroundings
        self.rule = rule
        self.source = source
        self.environment = environment
        self.strings = strings
        self.queries = queries
        self.sources = sources
        captures = Set(rule.subscriptions.flatMap(\.filter.captures))
    }

    /// Compiles an expression of the rule; its mistakes are collected.
    func compile(_ expression: RuleExpression, expecting: CELType? = nil) -> Program? {
        let outer = (callsUnderWay, warningsUnderWay)
        (callsUnderWay, warningsUnderWay) = ([], [])
        defer { (callsUnderWay, warningsUnderWay) = outer }
        var names = RuleNames(scope: self)
        let result = environment.compile(expression.expression, names: &names, strings: strings, expecting: expecting)
        diagnostics += (result.diagnostics + warningsUnderWay).map(expression.source.diagnostic)
        for call in callsUnderWay where unwatched[call.slot] == nil { unwatched[call.slot] = expression.source.diagnostic(call.found) }
        return result.diagnostics.contains { $0.severity == .error } ? nil : result.program
    }

    /// A call that changes at every instant, `age(x)`: unless something watches when a comparison with it turns, it is looked at now and then only.
    ///
    /// - Parameter turns: whether comparisons with it can be watched.
    func note(_ name: String, _ span: Span, slot: Int, turns: Bool = true) {
        guard place == .condition else { return }
        let message = "'\(name)' is looked at here only when there is another occasion to evaluate the rule"
        let found = CELDiagnostic(
            span: span, severity: .warning, code: "unwatched-time", message: message,
            hint: turns
                ? "compare it by itself with a constant, a 'config' or a 'vars' value, or give the rule 'every'"
                : "that is at its readings; with 'every' it is looked at by the clock")
        callsUnderWay.append((slot, found))
    }

    func warn(_ found: CELDiagnostic) { warningsUnderWay.append(found) }

    /// The outer nil: there is no such name; the inner one: what it stands for is wrong, which has been reported.
    func letSlot(_ name: String) -> Int?? {
        if let slot = lets[name] { return slot }
        guard let binding = rule.lets.last(where: { $0.name == name }) else { return .none }
        letsNamed.insert(name)
        guard letsUnderWay.insert(name).inserted else {
            diagnostics.append(
                Diagnostic(code: "let-cycle", "'let' names cannot depend on themselves: '\(name)'", at: binding.expression.source.location))
            return .some(nil)
        }
        defer { letsUnderWay.remove(name) }
        guard let program = compile(binding.expression) else { return .some(nil) }
        if program.resultType.holdsRecords { recordTypes[name] = program.resultType }
        // A name for something that has a slot already is another name for it: comparisons with it turn as those with the thing itself.
        if let slot = program.bareSlot {
            lets[name] = slot
            return slot
        }
        let text = "let \(binding.expression.canonical)"
        let slot = source.extra("\(text) \(program.slotsUsed)", meaning: text, .binding(program), over: program)
        lets[name] = slot
        return slot
    }
}

/// Gives names and host functions to the expressions of a rule, while they are compiled.
struct RuleNames: NameResolver {
    let scope: RuleScope

    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
        guard case .name(let first)? = path.first else { return .unknown(nearest: nil, known: []) }
        let rest = path.dropFirst().map(FieldPath.Element.init)
        let source = scope.source
        switch first {
        case "config":
            let slot = source.extra("config \(rest)", .config(source.configPath(rest)))
            return .slot(slot, consumed: path.count)
        case "vars":
            guard !rest.isEmpty else {
                return .refused(code: "unknown-name", message: "'vars' alone is no value: it is followed by a variable's name, vars.<name>")
            }
            let slot = source.extra("vars \(rest)", .variable(source.variablePath(rest)))
            return .slot(slot, consumed: path.count)
        case "device" where rest.first == .name("labels") && path.count >= 3:
            guard case .name(let label) = rest[1] else { break }
            return .slot(source.extra("device.labels \(label)", .deviceLabel(label)), consumed: 3)
        case "labels": return label(path)
        case "payload": return field(FieldPath(origin: .payload, elements: rest), consumed: path.count)
        case "topic": return field(FieldPath(origin: .topic), consumed: 1, type: .string)
        case "time": return field(FieldPath(origin: .eventTime), consumed: 1, type: .timestamp)
        case "received_at": return field(FieldPath(origin: .receivedAt), consumed: 1, type: .timestamp)
        case "now":
            guard scope.rule.every != nil || scope.place == .text else {
                return .refused(
                    code: "now-needs-every", message: "'now' needs 'every': without it nothing says when to look at the clock",
                    hint: "is_between(now, '22:00', '06:00') and is_weekday(now) need none")
            }
            return .slot(source.extra("now", .now), type: .timestamp, consumed: 1)
        case "sun" where path.count >= 2: return sun(path, span)
        case "alert": return alert(path)
        case "members": return members()
        default: break
        }
        if let side = scope.rule.sides.first(where: { $0.name == first }) { return column(of: side, path) }
        if let slot = scope.letSlot(first) {
            // What is wrong with it has been reported: anything may stand here.
            guard let slot else { return .slot(source.extra("vars \(rest)", .variable(source.variablePath(rest))), consumed: path.count) }
            return .slot(slot, type: scope.recordTypes[first] ?? .dyn, consumed: 1)
        }
        if let place = scope.rule.by.firstIndex(of: first) {
            return .slot(source.extra("capture \(first)", .capture(place)), type: .string, consumed: 1)
        }
        if scope.rule.subscriptions.contains(where: { $0.filter.captures.contains(first) }) {
            return field(FieldPath(origin: .capture(first)), consumed: 1, type: .string)
        }
        guard !scope.rule.subscriptions.isEmpty || scope.rule.query != nil else {
            return .unknown(nearest: nearestName(to: first, in: ["vars", "now", "labels"]), known: ["vars", "now", "labels"])
        }
        return field(FieldPath(origin: .payload, elements: path.map(FieldPath.Element.init)), consumed: path.count)
    }

    private func field(_ path: FieldPath, consumed: Int, type: CELType = .dyn) -> NameResolution {
        guard let place = scope.source.field(path) else {
            return .unknown(nearest: nil, known: ["at most \(firstExtraSlot) fields of one source"])
        }
        return .slot(place, type: type, consumed: consumed)
    }

    /// `baseline.kw`: a column of a side input.
    private func column(of side: SideInput, _ path: [PathElement]) -> NameResolution {
        guard path.count >= 2, case .name(let name) = path[1] else {
            return .unknown(nearest: nil, known: ["\(side.name).<column>"])
        }
        let query = scope.queries.number(of: side.query)
        let places = (side.query.tags ?? []).compactMap { scope.rule.by.firstIndex(of: $0) }
        let place = scope.source.side(SidePlan(query: query, keyPlaces: places))
        let column = scope.queries.column(name, of: query)
        return .slot(
            scope.source.extra("with \(query) \(places) \(name)", meaning: "with \(side.query.id) \(name)", .side(place, column)),
            consumed: 2)
    }

    private func label(_ path: [PathElement]) -> NameResolution {
        let known = ["alertname"] + scope.rule.by + scope.rule.labels.map(\.name)
        guard path.count >= 2, case .name(let name) = path[1], known.contains(name) || scope.rule.hasLevels && name == "severity" else {
            guard path.count >= 2, case .name(let name) = path[1] else {
                return .unknown(nearest: nil, known: known.map { "labels.\($0)" })
            }
            return .unknown(nearest: nearestName(to: name, in: known).map { "labels.\($0)" }, known: known.map { "labels.\($0)" })
        }
        if scope.place == .text { return .slot(scope.source.extra("label \(name)", .label(name)), type: .string, consumed: 2) }
        if name == "alertname" { return .constant(.string(scope.rule.identity.alert), consumed: 2) }
        if let text = scope.rule.labels.last(where: { $0.name == name })?.template.constant { return .constant(.string(text), consumed: 2) }
        if let place = scope.rule.by.firstIndex(of: name) {
            return .slot(scope.source.extra("capture \(name)", .capture(place)), type: .string, consumed: 2)
        }
        return .unknown(nearest: nil, known: ["labels with a fixed text"])
    }

    private func sun(_ path: [PathElement], _ span: Span) -> NameResolution {
        let members = SunMember.allCases.map { "sun.\($0.rawValue)" }
        guard case .name(let name) = path[1], let member = SunMember(rawValue: name) else {
            if case .name(let name) = path[1] { return .unknown(nearest: nearestName(to: "sun.\(name)", in: members), known: members) }
            return .unknown(nearest: nil, known: members)
        }
        let type: CELType =
            switch member {
            case .elevation: .double
            case .isUp: .bool
            case .nextRise, .nextSet: .timestamp
            }
        let slot = scope.source.extra("sun \(name)", .sun(member))
        if member == .elevation { scope.note("sun.elevation", span, slot: slot) }
        return .slot(slot, type: type, consumed: 2)
    }

    private func alert(_ path: [PathElement]) -> NameResolution {
        let members = ["alert.state", "alert.value", "alert.active_at"]
        guard scope.place == .text else {
            return .refused(
                code: "alert-in-condition", message: "'alert' is known in annotations and actions, not in conditions and labels")
        }
        guard path.count >= 2, case .name(let member) = path[1] else { return .unknown(nearest: nil, known: members) }
        switch member {
        case "state": return .slot(scope.source.extra("alert.state", .alertState), type: .string, consumed: 2)
        case "value": return .slot(scope.source.extra("alert.value", .alertValue), consumed: 2)
        case "active_at": return .slot(scope.source.extra("alert.active_at", .alertActiveAt), type: .timestamp, consumed: 2)
        default: return .unknown(nearest: nearestName(to: "alert.\(member)", in: members), known: members)
        }
    }

    mutating func call(_ call: HostCall) -> CallResolution {
        guard call.receiver == nil else { return .notMine }
        switch call.name {
        case "previous", "changed", "became", "age":
            guard call.arguments.count == 1 else {
                return .invalid([CELDiagnostic(span: call.span, code: "argument-count", message: "'\(call.name)' takes one argument")])
            }
            if scope.place == .label {
                return .invalid([
                    CELDiagnostic(span: call.span, code: "label-measured", message: "a label may not depend on a measured value")
                ])
            }
            return edge(call)
        case "is_between", "is_weekday": return CalendarCall(call: call, scope: scope).resolve()
        case _ where WindowFunction.named(call.name) == nil && windowName(meantBy: call) != nil:
            return .invalid([
                CELDiagnostic(
                    span: call.span, code: "unknown-function", message: "unknown function '\(call.name)'",
                    hint: windowName(meantBy: call).map { "did you mean '\($0)'?" })
            ])
        case _ where WindowFunction.named(call.name) != nil: return WindowCall(call: call, scope: scope).resolve()
        case "latest": return LatestCall(call: call, scope: scope).resolve()
        case "duration": return ConfiguredDuration(call: call, scope: scope).resolve()
        default: return .notMine
        }
    }

    /// `avg(x, '5m')` is called `avg_over_time`, and `deriv_over_time` is `deriv`.
    private func windowName(meantBy call: HostCall) -> String? {
        guard call.arguments.count > 1, case .literal(.string)? = call.arguments.last?.root.kind else { return nil }
        let suffix = "_over_time"
        let stem = call.name.hasSuffix(suffix) ? String(call.name.dropLast(suffix.count)) : call.name
        return WindowFunction.Stem(rawValue: stem)?.overTimeName
    }

    private mutating func edge(_ call: HostCall) -> CallResolution {
        let argument = call.arguments[0]
        if let local = argument.freeNames.first(where: call.localNames.contains) {
            let message = "'\(call.name)' cannot see '\(local)', which only exists inside a comprehension"
            return .invalid([CELDiagnostic(span: call.argumentSpans[0], code: "local-name", message: message)])
        }
        var names = self
        let expected: CELType? = call.name == "became" ? .bool : nil
        let result = scope.environment.compile(argument, names: &names, strings: scope.strings, expecting: expected)
        guard let program = result.program, !result.diagnostics.contains(where: { $0.severity == .error }) else {
            return .invalid(result.diagnostics)
        }
        let reach = scope.source.reach(program)
        if reach.extras.contains(where: { scope.source.plan.extras[Int($0)].kind.isMembers }) { return refusedOfMembers(call) }
        guard !reach.fields.isEmpty else {
            let message = "'\(call.name)' takes something that readings carry"
            return .invalid([CELDiagnostic(span: call.argumentSpans[0], code: "no-field", message: message)])
        }
        if call.name != "age",
            reach.extras.contains(where: { scope.source.plan.extras[Int($0)].kind.isWindow })
        {
            let message = "'\(call.name)' cannot look at a window: what it was before the reading is not kept"
            return .invalid([CELDiagnostic(span: call.argumentSpans[0], code: "not-supported", message: message)])
        }
        let text = "\(call.name) \(argument.description)"
        let key = "\(text) \(program.slotsUsed)"
        switch call.name {
        case "previous":
            return .slot(scope.source.extra(key, meaning: text, .previous(program), over: program, isEdge: true), type: program.resultType)
        case "changed": return .slot(scope.source.extra(key, meaning: text, .changed(program), over: program, isEdge: true), type: .bool)
        case "became": return .slot(scope.source.extra(key, meaning: text, .became(program), over: program, isEdge: true), type: .bool)
        default:
            guard argument.root.isPath, program.slotsUsed.count == 1, let field = program.slotsUsed.first, field < firstExtraSlot else {
                return .invalid([CELDiagnostic(span: call.argumentSpans[0], code: "no-field", message: "'age' takes a field")])
            }
            let slot = scope.source.extra(key, meaning: text, .age(scope.source.agePlace(field)), over: program)
            scope.note(call.name, call.span, slot: slot)
            return .slot(slot, type: .duration)
        }
    }
}

extension Expression.Node {
    /// Whether it is a plain chain of selections: `x`, `a.b`, `a[0].b`.
    var isPath: Bool {
        switch kind {
        case .name: true
        case .select(let operand, let field): !field.isOptional && operand.isPath
        case .index(let operand, let key, isOptional: false): if case .literal = key.kind { operand.isPath } else { false }
        default: false
        }
    }
}

extension FieldPath.Element {
    init(_ element: PathElement) {
        switch element {
        case .name(let name): self = .name(name)
        case .index(let index): self = .index(index)
        }
    }
}
