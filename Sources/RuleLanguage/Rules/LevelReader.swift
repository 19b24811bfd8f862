import RuleEngine

/// The conditions of a rule: `expr`, `resolve_expr` and `for`, or `levels` of them.
struct LevelReader {
    let reading: FileReading
    let isEvent: Bool
    /// Then there must be no conditions, which is reported elsewhere: those that stand there are read for what else is wrong with them.
    var isBesideSequence = false

    private static let keys = ["expr", "resolve_expr", "for"].map { KnownKey($0) }

    /// Without those that are wrong, which has been reported.
    func read(_ rule: MappingReader) -> [Level] {
        guard let levels = rule.entry("levels") else {
            return isBesideSequence && !rule.has("expr") ? [] : level(nil, rule).map { [$0] } ?? []
        }
        for key in ["expr", "resolve_expr", "for"] where !isBesideSequence {
            guard let entry = rule.entry(key) else { continue }
            reading.report(
                "conflicting-keys", "with 'levels', '\(key)' stands in each level and not in the rule", at: entry.keyRange,
                notes: ["'levels' stands at \(reading.place(levels.keyRange))"])
        }
        guard let entries = reading.entries(levels.value, "levels") else { return [] }
        guard !entries.isEmpty else {
            reading.report("missing-key", "'levels' needs at least one level, such as warning: {expr: …}", at: levels.keyRange)
            return []
        }
        return entries.compactMap { entry -> Level? in
            guard !entry.key.isEmpty else {
                reading.report("wrong-type", "a level needs a name", at: entry.keyRange)
                return nil
            }
            return MappingReader(entry.value, subject: "a level", keys: Self.keys, in: reading).flatMap { level(entry.key, $0) }
        }
    }

    private func level(_ name: String?, _ mapping: MappingReader) -> Level? {
        if isEvent, !isBesideSequence {
            for key in ["resolve_expr", "for"] {
                guard let entry = mapping.entry(key) else { continue }
                reading.report("event", "an event is an occurrence and lasts no time: it takes no '\(key)'", at: entry.keyRange)
            }
        }
        let condition: RuleExpression?
        if let node = mapping["expr"] {
            condition = reading.expression(node, "expr")
        } else {
            mapping.missing(name == nil ? "a rule needs 'expr' or 'levels'" : "a level needs 'expr'")
            condition = nil
        }
        // What is wrong with these two is counted as an error of the rule, which is then not taken.
        let resolve = mapping["resolve_expr"].flatMap { reading.expression($0, "resolve_expr") }
        let pending = mapping["for"].flatMap { reading.duration($0, "for") }
        return condition.map { Level(name: name, condition: $0, resolveCondition: resolve, pendingDuration: pending ?? .zero) }
    }
}
