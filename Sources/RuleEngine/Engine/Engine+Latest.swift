import CEL

/// `latest`: readings on other topics. Each topic is a subject of a source of its own, which may be in another shard than the instances that see it.
extension Engine {
    /// Evaluates the rules that see the reading which was just taken in, but those for which it was a reading of their own: they have been.
    func evaluateDependents(of entry: TopicRouter.Entry) { evaluate(dependents(of: entry), .change) }

    /// Evaluations of the rules that see the reading which was just taken in, each once.
    func dependents(of entry: TopicRouter.Entry) -> [PlannedEvaluation] {
        var found: [PlannedEvaluation] = []
        for place in Int(entry.first)..<Int(entry.first + entry.count) {
            let route = router.routes[place]
            let source = shards[Int(route.shard)].sources[Int(router.shapes[Int(route.shape)].source)]
            guard source.plan.key.isForOthers, source.lastReading == context.readings else { continue }
            if source.members != nil {
                found += shards[Int(route.shard)].evaluations(seeing: route.subject, in: source)
                continue
            }
            source.keys.withBytes(route.subject) { key in
                for dependents in source.plan.dependents { for shard in shards { found += shard.evaluations(of: dependents, seeing: key) } }
            }
        }
        // A rule may name the topic in several ways.
        var seen = Set<TimerKey>()
        return found.filter { seen.insert(TimerKey(rule: $0.rule, ordinal: $0.ordinal)).inserted }
    }

    /// Forgets topics that were not heard for long and that no instance sees.
    func forgetSilentTopics() {
        let oldest = context.now + -context.bounds.forgetAfter.inNanoseconds
        for (number, plan) in context.plan.sources.enumerated() where plan.key.isLatest {
            let groups = shards.flatMap { shard in shard.sources.flatMap { $0.groups(seeing: Int32(number)) } }
            for shard in shards {
                let source = shard.sources[number]
                for subject in source.known where source.subjects[Int(subject)].lastBeat < oldest {
                    let isSeen = source.keys.withBytes(subject) { key in groups.contains { $0.contains(key) } }
                    if !isSeen { shard.forget(source, subject) }
                }
            }
        }
    }
}

extension SourceState {
    fileprivate func groups(seeing source: Int32) -> [SubjectGroups] {
        plan.latests.indices.filter { plan.latests[$0].source == source }.map { groups[$0] }
    }
}

extension EngineShard {
    /// A field of the last reading on a topic that is named with the instance's values. The slot is the other subject's.
    func latest(_ place: Int, _ field: Int, _ source: SourceState, _ subject: Int32) -> Slot {
        let number = Int(source.plan.latests[place].source)
        return source.keys.withBytes(subject) { key in
            source.groups[place].withGroupKey(of: key) { name in
                context.shards[TopicRouter.shard(ofBytes: name, among: context.shards.count)]._withUnsafeGuaranteedRef { shard in
                    let other = shard.sources[number]
                    let known = other.keys.find(name)
                    return known < 0 ? .missing : other.slots.row(known)[field]
                }
            }
        }
    }

    fileprivate func evaluations(of dependents: DependentRules, seeing key: UnsafeRawBufferPointer) -> [PlannedEvaluation] {
        let source = sources[Int(dependents.source)]
        var found: [PlannedEvaluation] = []
        source.groups[dependents.latest].forEach(in: key) { subject in
            guard source.lastReading != context.readings || source.lastSubject != subject else { return }
            found += evaluations(of: dependents.rules, source, subject)
        }
        return found
    }
}
