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
        var steps: [SequenceStep]
        /// Of all steps together. Nil: broken.
        var subscriptions: SubscriptionReader.Subscriptions?
        /// Whether a step has no filters of its own.
        var usesInherited: Bool
    }

    private struct Step {
        var condition: RuleExpression
        var isAbsence: Bool
        var within: Duration?
        /// Nil: broken.
        var subscriptions: SubscriptionReader.Subscriptions?
        var range: Range<Int>
    }

    /// Without steps when something is wrong, all of which is reported.
    func read(_ entry: YAMLNode.Entry) -> Sequence {
        var found = Sequence(steps: [], subscriptions: nil, usesInherited: true)
        guard let nodes = reading.list(entry.value, "sequence") else { return found }
        guard nodes.count > 1 else {
            reading.report(
                "sequence", "a sequence has at least two steps", at: nodes.first?.headRange ?? entry.keyRange,
                hint: nodes.isEmpty ? nil : "one step alone is 'event: true' with its 'expr'")
            return found
        }
        let steps = nodes.enumerated().map { step($1, isFirst: $0 == 0, isLast: $0 == nodes.count - 1) }
        found.usesInherited = nodes.contains { node in
            if case .mapping(let entries) = node.content { !entries.contains { $0.key == "on" } } else { true }
        }
        let whole = steps.compactMap { $0 }
        guard whole.count == steps.count else { return found }
        (found.steps, found.subscriptions) = together(whole, at: entry.keyRange)
        return found
    }

    private func step(_ node: YAMLNode, isFirst: Bool, isLast: Bool) -> Step? {
        let errors = reading.findings.errorCount
        guard let mapping = MappingReader(node, subject: "a step", keys: Self.stepKeys, in: reading) else { return nil }
        let subscriptions = mapping["on"].map { SubscriptionReader(reading: reading).read($0) } ?? inherited ?? nil
        if !mapping.has("on"), case .none = inherited {
            mapping.missing("a step needs 'on', or the rule an 'on' for all steps that have none")
        }
        let within = within(mapping, isFirst: isFirst)
        let condition = condition(mapping, isFirst: isFirst, isLast: isLast)
        guard let condition, reading.findings.errorCount == errors else { return nil }
        return Step(
            condition: condition, isAbsence: mapping.has("not"), within: within, subscriptions: subscriptions, range: node.headRange)
    }

    private func condition(_ mapping: MappingReader, isFirst: Bool, isLast: Bool) -> RuleExpression? {
        guard let absence = mapping.entry("not") else {
            return mapping.required("expr").flatMap { reading.expression($0, "expr") }
        }
        if mapping.has("expr") {
            reading.report("conflicting-keys", "a step has 'expr' or 'not': what must come, or must not", at: absence.keyRange)
        }
        if !isLast {
            reading.report(
                "sequence", "only the last step of a sequence can be a 'not'", at: absence.keyRange,
                notes: ["what must not come between two steps cannot be said; a reading that is the first step again begins anew"])
        }
        if isFirst { return nil }
        if !mapping.has("within") {
            reading.report("missing-key", "a 'not' needs 'within': how long it must not come", at: absence.keyRange)
        }
        return reading.expression(absence.value, "not")
    }

    private func within(_ mapping: MappingReader, isFirst: Bool) -> Duration? {
        guard let entry = mapping.entry("within") else { return nil }
        if isFirst {
            reading.report("sequence", "'within' counts from the step before: the first step has none", at: entry.keyRange)
        }
        return reading.duration(entry.value, "within", atLeast: .milliseconds(1))
    }

    /// The filters of all steps, each once, in the order of the steps.
    private func together(_ steps: [Step], at range: Range<Int>) -> ([SequenceStep], SubscriptionReader.Subscriptions?) {
        var all: [TopicSubscription] = []
        var found: [SequenceStep] = []
        for step in steps {
            guard let own = step.subscriptions?.all else { return ([], nil) }
            for subscription in own where !all.contains(subscription) {
                if all.contains(where: { $0.filter == subscription.filter }) {
                    reading.report(
                        "sequence", "a filter has the same options in all steps: a message is one reading", at: step.range,
                        notes: ["the filter is \(subscription.filter.subscription)"])
                    return ([], nil)
                }
                all.append(subscription)
            }
            found.append(
                SequenceStep(
                    step.condition, isAbsence: step.isAbsence, within: step.within,
                    subscriptions: own.compactMap { subscription in all.firstIndex(of: subscription) }))
        }
        guard all.count <= Rule.maximumSequenceFilters else {
            reading.report(
                "out-of-range", "the steps of a sequence have at most \(Rule.maximumSequenceFilters) filters together", at: range)
            return ([], nil)
        }
        return (found, SubscriptionReader.Subscriptions(all, range: range))
    }
}
