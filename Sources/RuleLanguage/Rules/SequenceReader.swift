import RuleEngine

/// `sequence`: steps, each with a condition, the filters that it looks at, and how long after the step before it may come.
struct SequenceReader {
    let reading: FileReading
    /// What a step without `on` looks at; the outer nil: there is nothing, the inner one: it is broken, which has been reported.
    let inherited: SubscriptionReader.Subscriptions??

    private static let stepKeys =
        ["expr", "not", "on", "within"].map { KnownKey($0) }
        + [KnownKey("for", refused: "a step is one reading: it takes no 'for'")]

    struct Sequence {
        /// Where something is wrong, what can be read of them.
        var steps: [SequenceStep]
        /// Of all steps together. Nil: broken.
        var subscriptions: SubscriptionReader.Subscriptions?
        /// The steps' own `on`.
        var topics: [YAMLNode] = []
        /// Whether a step has no filters of its own.
        var usesInherited: Bool
    }

    private struct Step {
        /// One, where nothing is wrong.
        var conditions: [RuleExpression]
        var isAbsence = false
        var within: Duration?
        /// Nil: broken.
        var subscriptions: SubscriptionReader.Subscriptions?
        var range: Range<Int>
    }

    /// What is wrong is reported.
    func read(_ entry: YAMLNode.Entry) -> Sequence {
        var found = Sequence(steps: [], subscriptions: nil, usesInherited: true)
        guard let nodes = reading.list(entry.value, "sequence") else { return found }
        if nodes.count < 2 {
            reading.report(
                "sequence", "a sequence has at least two steps", at: nodes.first?.headRange ?? entry.keyRange,
                hint: nodes.isEmpty ? nil : "one step alone is 'event: true' with its 'expr'")
        }
        // Of a lone step it is not known whether it is the first or the last.
        let steps = nodes.enumerated().map { step($1, isFirst: $0 == 0 && nodes.count > 1, isLast: $0 == nodes.count - 1) }
        let own = nodes.map { node in
            if case .mapping(let entries) = node.content { entries.first { $0.key == "on" }?.value } else { YAMLNode?.none }
        }
        found.usesInherited = own.contains { $0 == nil }
        found.topics = own.compactMap { $0 }
        (found.steps, found.subscriptions) = together(steps, at: entry.keyRange)
        return found
    }

    private func step(_ node: YAMLNode, isFirst: Bool, isLast: Bool) -> Step {
        guard let mapping = MappingReader(node, subject: "a step", keys: Self.stepKeys, in: reading) else {
            return Step(conditions: [], range: node.headRange)
        }
        let subscriptions = mapping["on"].map { SubscriptionReader(reading: reading).read($0) } ?? inherited ?? nil
        if !mapping.has("on"), case .none = inherited {
            mapping.missing("a step needs 'on', or the rule an 'on' for all steps that have none")
        }
        let within = within(mapping, isFirst: isFirst)
        let conditions = conditions(mapping, isFirst: isFirst, isLast: isLast)
        return Step(
            conditions: conditions, isAbsence: mapping.has("not"), within: within, subscriptions: subscriptions, range: node.headRange)
    }

    /// Of `expr` or `not`; of both where both are there.
    private func conditions(_ mapping: MappingReader, isFirst: Bool, isLast: Bool) -> [RuleExpression] {
        guard let absence = mapping.entry("not") else {
            return [mapping.required("expr").flatMap { reading.expression($0, "expr") }].compactMap { $0 }
        }
        if mapping.has("expr") {
            reading.report("conflicting-keys", "a step has 'expr' or 'not': what must come, or must not", at: absence.keyRange)
        }
        if !isLast {
            reading.report(
                "sequence", "only the last step of a sequence can be a 'not'", at: absence.keyRange,
                notes: ["what must not come between two steps cannot be said; a reading that is the first step again begins anew"])
        }
        if !isFirst, !mapping.has("within") {
            reading.report("missing-key", "a 'not' needs 'within': how long it must not come", at: absence.keyRange)
        }
        return [mapping["expr"].flatMap { reading.expression($0, "expr") }, reading.expression(absence.value, "not")].compactMap { $0 }
    }

    private func within(_ mapping: MappingReader, isFirst: Bool) -> Duration? {
        guard let entry = mapping.entry("within") else { return nil }
        if isFirst {
            reading.report("sequence", "'within' counts from the step before: the first step has none", at: entry.keyRange)
        }
        return reading.duration(entry.value, "within", atLeast: .milliseconds(1))
    }

    /// The filters of all steps, each once, in the order of the steps; nil when something is wrong with them.
    private func together(_ steps: [Step], at range: Range<Int>) -> ([SequenceStep], SubscriptionReader.Subscriptions?) {
        var all: [TopicSubscription] = []
        var found: [SequenceStep] = []
        var isWhole = !steps.isEmpty
        for step in steps {
            let own = step.subscriptions?.all
            if own == nil { isWhole = false }
            for subscription in own ?? [] where !all.contains(subscription) {
                if all.contains(where: { $0.filter == subscription.filter }) {
                    isWhole = false
                    reading.report(
                        "sequence", "a filter has the same options in all steps: a message is one reading", at: step.range,
                        notes: ["the filter is \(subscription.filter.subscription)"])
                } else {
                    all.append(subscription)
                }
            }
            let places = (own ?? []).compactMap { subscription in all.firstIndex(of: subscription) }
            found += step.conditions.map {
                SequenceStep($0, isAbsence: step.isAbsence, within: step.within, subscriptions: places)
            }
        }
        guard all.count <= Rule.maximumSequenceFilters else {
            reading.report(
                "out-of-range", "the steps of a sequence have at most \(Rule.maximumSequenceFilters) filters together", at: range)
            return (found.map { SequenceStep($0.condition, isAbsence: $0.isAbsence, within: $0.within, subscriptions: []) }, nil)
        }
        return (found, isWhole ? SubscriptionReader.Subscriptions(all, range: range) : nil)
    }
}
