import CEL

/// What rule tests need of the engine beyond what the server needs.
extension Engine {
    /// A reading some of whose members are doubles that JSON cannot say; the payload has `null` in their places.
    func ingest(
        topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, nonFinite: [PayloadComposer.NonFinite], isRetained: Bool,
        at instant: Instant
    ) {
        guard !nonFinite.isEmpty else { return ingest(topic: topic, payload: payload, isRetained: isRetained, at: instant) }
        // Timers that are due before the reading run first; those of its own instant behind it.
        advance(to: instant + -1)
        if instant > context.now {
            context.now = instant
            context.ordinal = 0
        } else {
            context.ordinal += 1
        }
        context.readings &+= 1
        let entry = router.entry(of: topic)
        for place in Int(entry.first)..<Int(entry.first + entry.count) {
            let route = router.routes[place]
            let shape = router.shapes[Int(route.shape)]
            if isRetained, shape.isSkippedWhenRetained { continue }
            let decoder = router.decoderTable[Int(shape.decoder)].takeUnretainedValue()
            guard (try? decoder.decode(payload, topic: topic, message: context.readings)) != nil, !decoder.isPassedOver else { continue }
            for (column, path) in decoder.paths.enumerated() where decoder.row[column].kind == .null {
                guard let member = nonFinite.first(where: { $0.path == path.elements }) else { continue }
                decoder.row[column].kind = .number
                decoder.row[column].number = member.number
            }
            let circumstance = route.circumstance < 0 ? nil : router.circumstances[Int(route.circumstance)]
            shards[Int(route.shard)].apply(route, shape, circumstance, decoder, decoder.content, isRetained: isRetained)
        }
        evaluateDependents(of: entry)
    }

    /// What the expressions of a rule come to now, for the instances whose key agrees with `labels`: a block of text an instance and expression.
    ///
    /// Edges (`previous`, `changed`, `became`) are only seen while a reading is taken in, so that they are shown as they are between readings.
    func explanations(of rule: RulePlan, labels: [String: String], limit: Int) -> [String] {
        var found: [String] = []
        for shard in shards {
            let source = shard.sources[Int(rule.source)]
            for subject in source.known.sorted(by: { source.subjects[Int($0)].ordinal < source.subjects[Int($1)].ordinal })
            where found.count < limit {
                let key = Dictionary(zip(source.plan.key.by, source.keyValues(subject)), uniquingKeysWith: { first, _ in first })
                guard key.allSatisfy({ name, value in labels[name].map { $0 == value } ?? true }) else { continue }
                found.append(explanation(of: rule, shard, source, subject, key))
            }
        }
        return found
    }

    private func explanation(of rule: RulePlan, _ shard: EngineShard, _ source: SourceState, _ subject: Int32, _ key: [String: String])
        -> String
    {
        shard.beginOccasion(.change, at: shard.unseenTime(of: source, subject))
        shard.loadFields(source, subject, .all)
        shard.loadExtras(rule.extras, source, subject)
        defer { shard.endOccasion() }
        if let sequence = rule.sequence { return explanation(of: sequence, rule, shard, source, subject, key) }
        let instance = rule.rule.identity.alert + LabelText.braces(key)
        let isActive = shard.alertOf[rule.number, subject] >= 0
        var text = ""
        for level in rule.levels {
            let place = level.name.map { "levels.\($0)." } ?? ""
            text += "\(instance) \(place)expr:\n\(Self.indented(level.condition.explain(shard.frame).render()))"
            if isActive, let recovery = level.recovery {
                text += "\(instance) \(place)resolve_expr:\n\(Self.indented(recovery.explain(shard.frame).render()))"
            }
        }
        if rule.isEvent {
            text += Self.afterReading
        }
        return text
    }

    static let afterReading =
        "    an event sees only the fields that its reading carries, and edges only in it: this is how they stand after it\n"

    static func indented(_ text: String) -> String {
        text.split(separator: "\n").map { "    \($0)\n" }.joined()
    }

    // MARK: Coverage

    /// Evaluates all rules of the instances that a topic belongs to, and those that see it, for counting only: nothing changes.
    ///
    /// - Parameter active: the instances that were not inactive before the reading, by rule and subject; brought up to date.
    func measure(topic: UnsafeRawBufferPointer, active: inout Set<UInt64>, into coverage: inout RuleCoverage) {
        let entry = router.entry(of: topic)
        for place in Int(entry.first)..<Int(entry.first + entry.count) {
            let route = router.routes[place]
            let shard = shards[Int(route.shard)]
            let source = shard.sources[Int(router.shapes[Int(route.shape)].source)]
            shard.measure(source.plan.rules, source, route.subject, active: &active, into: &coverage)
        }
        for other in dependents(of: entry) {
            let shard = shards[other.shard]
            shard.measure([other.rule], shard.sources[Int(other.source)], other.subject, active: &active, into: &coverage)
        }
    }
}

extension EngineShard {
    fileprivate func measure(
        _ rules: [Int32], _ source: SourceState, _ subject: Int32, active: inout Set<UInt64>, into coverage: inout RuleCoverage
    ) {
        beginOccasion(.change, at: unseenTime(of: source, subject))
        for number in rules {
            let rule = context.plan.rules[Int(number)]
            guard rule.rule.isEnabled, rule.sequence == nil else { continue }
            loadFields(source, subject, .all)
            loadExtras(rule.extras, source, subject)
            let isActive = alertOf[number, subject] >= 0
            let instance = UInt64(UInt32(bitPattern: number)) << 32 | UInt64(UInt32(bitPattern: subject))
            let wasActive = active.contains(instance)
            if isActive != wasActive { if isActive { active.insert(instance) } else { active.remove(instance) } }
            measure(rule, source, hasAlert: isActive || wasActive, into: &coverage)
        }
        endOccasion()
    }

    private func measure(_ rule: RulePlan, _ source: SourceState, hasAlert: Bool, into coverage: inout RuleCoverage) {
        let identity = rule.rule.identity
        if rule.isEvent, rule.extras.contains(where: { source.plan.extras[Int($0)].isEdge }) {
            // An edge is seen while its reading is taken in, and not any more: what was no occurrence was false.
            if !coverage.hasOccurred(identity, at: context.now) { coverage.note(identity, "expr", .no) }
            return
        }
        for level in rule.levels {
            let place = level.name.map { "\($0) " } ?? ""
            coverage.note(identity, "\(place)expr", level.condition.truth(frame))
            guard hasAlert, let recovery = level.recovery else { continue }
            coverage.note(identity, "\(place)resolve_expr", recovery.truth(frame))
        }
    }
}

/// Labels as people read them.
enum LabelText {
    /// `{device="f1", site="oslo"}`; empty for none.
    static func braces(_ labels: [String: String]) -> String {
        guard !labels.isEmpty else { return "" }
        let sorted = labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        return "{" + sorted.map { "\($0.key)=\(Document.string($0.value).json)" }.joined(separator: ", ") + "}"
    }
}
