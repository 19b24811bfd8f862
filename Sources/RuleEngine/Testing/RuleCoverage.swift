import CEL

/// Which branches of which rules tests have reached: conditions that were true and false, levels, and the states an alert can get into.
public struct RuleCoverage: Sendable {
    public struct Entry: Sendable {
        public var rule: RuleIdentity
        public var reached: [String]
        public var missed: [String]
    }

    private var branches: [RuleIdentity: [String]] = [:]
    private var order: [RuleIdentity] = []
    private var counts: [RuleIdentity: [String: Int]] = [:]
    private var lastOccurrences: [RuleIdentity: Instant] = [:]

    public init() {}

    /// In the order of files and rules.
    public var entries: [Entry] {
        order.map { rule in
            let all = branches[rule] ?? []
            let counts = counts[rule] ?? [:]
            return Entry(rule: rule, reached: all.filter { counts[$0] != nil }, missed: all.filter { counts[$0] == nil })
        }
    }
    public var total: Int { entries.reduce(0) { $0 + $1.reached.count + $1.missed.count } }
    public var reached: Int { entries.reduce(0) { $0 + $1.reached.count } }

    /// Takes up the rules of a plan; those that are known already go on.
    mutating func add(_ plan: EvaluationPlan) {
        for rule in plan.rules where rule.rule.isEnabled && branches[rule.rule.identity] == nil {
            order.append(rule.rule.identity)
            branches[rule.rule.identity] = Self.branches(of: rule.rule)
        }
    }

    private static func branches(of rule: Rule) -> [String] {
        guard rule.sequence.isEmpty else { return branches(of: rule.sequence) + ["occurred"] }
        var found: [String] = []
        for level in rule.levels {
            let place = level.name.map { "\($0) " } ?? ""
            found += ["\(place)expr true", "\(place)expr false"]
            if level.resolveCondition != nil { found += ["\(place)resolve_expr true", "\(place)resolve_expr false"] }
            if rule.hasLevels { found.append("\(place)reached") }
        }
        return withoutUnreachable(found + (rule.isEvent ? ["occurred"] : states(of: rule)), rule)
    }

    private static func states(of rule: Rule) -> [String] {
        var found: [String] = []
        if rule.levels.contains(where: { $0.pendingDuration > .zero }) { found.append("pending") }
        if rule.keepFiringFor > .zero { found.append("recovering") }
        found += ["firing", "resolved"]
        if let missing = rule.missing, missing.outcome != .hold { found.append("missing") }
        return found
    }

    /// A condition that is a constant has one side only, and without a condition only silence makes it fire.
    private static func withoutUnreachable(_ branches: [String], _ rule: Rule) -> [String] {
        guard rule.levels.count == 1 else { return branches }
        switch rule.levels[0].condition.source.text.trimmed {
        case "false": return branches.filter { $0 != "expr true" }
        case "true": return branches.filter { !["expr false", "resolved"].contains($0) }
        default: return branches
        }
    }

    private static func branches(of sequence: [SequenceStep]) -> [String] {
        sequence.enumerated().flatMap { place, step in
            if step.isAbsence { return ["step \(place + 1) broken"] }
            return ["step \(place + 1)"] + (step.within == nil ? [] : ["step \(place + 1) late"])
        }
    }

    mutating func note(_ rule: RuleIdentity, _ change: SequenceRun.Change) {
        if let came = change.came { count(rule, "step \(came + 1)") }
        guard let place = change.endedAt else { return }
        count(rule, "step \(place + 1) \(change.ended == .late ? "late" : "broken")")
    }

    mutating func note(_ rule: RuleIdentity, _ expression: String, _ truth: Program.Truth) {
        switch truth {
        case .yes: count(rule, "\(expression) true")
        case .no: count(rule, "\(expression) false")
        case .missing, .error: break
        }
    }

    func hasOccurred(_ rule: RuleIdentity, at instant: Instant) -> Bool { lastOccurrences[rule] == instant }

    mutating func note(_ transition: AlertTransition) {
        let alert = transition.alert
        if alert.isOccurrence {
            count(alert.rule, "expr true")
            count(alert.rule, "occurred")
            lastOccurrences[alert.rule] = alert.changedAt
            return
        }
        if alert.reason == .missing { count(alert.rule, "missing") }
        noteConditions(alert)
        if let level = alert.level, alert.state == .firing { count(alert.rule, "\(level) reached") }
        switch alert.state {
        case .pending, .firing, .recovering, .resolved: count(alert.rule, alert.state.rawValue)
        case .inactive, .nodata: break
        }
    }

    /// What a change says of the conditions: a timer may find one true, or false, that no reading does, on the clock or in a window.
    private mutating func noteConditions(_ alert: AlertRecord) {
        switch (alert.state, alert.reason) {
        case (.pending, .condition), (.firing, .condition), (.firing, .duration), (.firing, .level):
            count(alert.rule, "\(alert.level.map { "\($0) " } ?? "")expr true")
        case (.resolved, .condition), (.resolved, .kept): count(alert.rule, "expr false")
        default: break
        }
    }

    private mutating func count(_ rule: RuleIdentity, _ branch: String) { counts[rule, default: [:]][branch, default: 0] += 1 }
}

extension String {
    fileprivate var trimmed: Substring {
        let start = drop { $0.isWhitespace }
        return start.reversed().drop { $0.isWhitespace }.isEmpty
            ? start : start.prefix(start.count - start.reversed().prefix { $0.isWhitespace }.count)
    }
}
