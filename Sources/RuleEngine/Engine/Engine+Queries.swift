import CEL

/// Queries of the rules: the engine says what is to be asked, and takes what came of it as an input.
extension Engine {
    /// Sets when each query is due, and asks those at once whose rows stand beside readings and are not there yet.
    func startQueries() {
        for number in context.plan.queries.indices where context.plan.queries[number].isWanted {
            let every = context.plan.queries[number].query.every.inNanoseconds
            guard every > 0 else { continue }
            let passed = context.now.nanoseconds % every
            if context.queries[number].nextDue == .distantFuture {
                context.queries[number].nextDue = context.now + (passed < 0 ? -passed : every - passed)
            }
            if context.plan.queries[number].recorded != nil {
                askNextPiece(number)
                continue
            }
            let state = context.queries[number]
            if context.plan.queries[number].isSide, state.askedFor == nil || state.isAnswered && state.series.isEmpty {
                ask(number, for: context.now + (passed < 0 ? -passed - every : -passed))
                context.effects.queries[number]?.askAt = context.now
            }
        }
        context.findNextQuery()
    }

    /// Asks what is due; what was asked before and has no answer is a missed evaluation.
    func runQueries(_ due: Instant) {
        for number in context.queries.indices where context.queries[number].nextDue <= due {
            if context.queries[number].askedFor != nil, !context.queries[number].isAnswered {
                context.queries[number].missed &+= 1
                if context.queries[number].failure == nil {
                    context.queries[number].failure = "there was no answer before the next instant"
                }
            }
            context.queries[number].nextDue = due + context.plan.queries[number].query.every.inNanoseconds
            if context.plan.queries[number].recorded == nil { ask(number, for: due) } else { askNextPiece(number) }
        }
        context.findNextQuery()
    }

    private func ask(_ number: Int, for instant: Instant) {
        context.queries[number].askedFor = instant
        context.queries[number].isAnswered = false
        context.effects.queries[number] = dueQuery(number, instant)
    }

    private func dueQuery(_ number: Int, _ instant: Instant) -> DueQuery {
        let plan = context.plan.queries[number]
        if let recorded = plan.recorded { return duePiece(recorded, number, upTo: instant) }
        return DueQuery(
            id: plan.id, instant: instant, askAt: instant + plan.query.delay, expiresAt: instant + plan.query.every.inNanoseconds,
            text: plan.query.text(at: instant))
    }

    /// What has been asked and not been answered: to be asked again after a restart.
    public var unansweredQueries: [DueQuery] {
        context.queries.indices.compactMap { number in
            let state = context.queries[number]
            guard context.plan.queries[number].isWanted, !state.isAnswered else { return nil }
            return state.askedFor.map { dueQuery(number, $0) }
        }
    }

    /// Takes what came of asking a query. Outcomes of an earlier instant than the last one asked for, and second ones, change nothing.
    public func applyRows(_ outcome: QueryOutcome, at instant: Instant) {
        beginInput(at: instant)
        guard let number = context.plan.queryNumbers[outcome.query], context.queries[number].askedFor == outcome.instant,
            !context.queries[number].isAnswered
        else { return }
        switch outcome.result {
        case .failed(let reason): context.queries[number].failure = reason
        case .rows(let series):
            context.queries[number].isAnswered = true
            context.queries[number].failure = nil
            if context.plan.queries[number].recorded != nil { return takePiece(series, number, upTo: outcome.instant) }
            let plan = context.plan.queries[number]
            let whole = QueryState.complete(series, plan.query, cutoff: plan.query.cutoff(of: outcome.instant))
            context.evaluationInstant = outcome.instant
            defer { context.evaluationInstant = nil }
            for source in plan.sources { feed(whole, to: Int(source)) }
            if plan.isSide { putBeside(whole, number) }
        }
    }

    /// Each series is an instance of the source, its last row a reading.
    private func feed(_ series: [HistorySeries], to number: Int) {
        let plan = context.plan.sources[number]
        for rule in plan.rules { context.noteAnswer(rule) }
        // Without tags there is one instance, whether or not a row has come: its silence counts from the first answer.
        if plan.key.by.isEmpty, series.isEmpty {
            let shard = shards[TopicRouter.shard(of: SourceState.keyBytes([]), among: shards.count)]
            _ = shard.subject(of: shard.sources[number], key: [])
        }
        var seen = Set<[UInt8]>()
        for one in series {
            let values = plan.key.by.map { one.tags[$0] ?? "" }
            let key = SourceState.keyBytes(values)
            // U+0000 parts the values of a key.
            guard !values.contains(where: { $0.utf8.contains(0) }), seen.insert(key).inserted else {
                for rule in plan.rules { context.reportSharedInstance(rule, plan.key.by, values) }
                continue
            }
            let shard = shards[TopicRouter.shard(of: key, among: shards.count)]
            let source = shard.sources[number]
            guard let subject = shard.subject(of: source, key: values) else { continue }
            shard.apply(one, to: source, subject)
        }
    }

    private func putBeside(_ series: [HistorySeries], _ number: Int) {
        // Only what is seen of it is kept.
        context.queries[number].series = series.map { HistorySeries(tags: $0.tags, columns: $0.columns, rows: $0.rows.suffix(1)) }
        context.fillSideTable(number)
        evaluate(shards.flatMap { $0.sideChanged(number) }, .change)
    }
}

/// What windows over recorded readings need is asked for piece by piece.
extension Engine {
    /// Asks for the next piece unless all that will be needed soon is there.
    private func askNextPiece(_ number: Int) {
        guard let plan = context.plan.queries[number].recorded else { return }
        context.queries[number].recorded?.begin(at: context.now)
        guard let known = context.queries[number].recorded?.upTo, case let target = plan.target(at: context.now), known < target else {
            return
        }
        let end = min(known + RecordedPlan.step, target)
        context.queries[number].askedFor = end
        context.queries[number].isAnswered = false
        context.effects.queries[number] = duePiece(plan, number, upTo: end)
    }

    /// The last piece before the target has time, and is asked for when others are not; what is behind is asked for at once.
    private func duePiece(_ plan: RecordedPlan, _ number: Int, upTo end: Instant) -> DueQuery {
        let state = context.queries[number]
        let isAhead = end >= plan.target(at: context.now) && state.recorded?.isKnown(at: context.now) == true
        return DueQuery(
            id: context.plan.queries[number].id, instant: end,
            askAt: isAhead ? context.now + context.plan.queries[number].query.delay : context.now, expiresAt: state.nextDue,
            text: plan.text(after: state.recorded?.upTo ?? end, upTo: end))
    }

    private func takePiece(_ series: [HistorySeries], _ number: Int, upTo end: Instant) {
        let tags = context.plan.queries[number].query.tags ?? []
        context.queries[number].recorded?.take(series, upTo: end, tags: tags, at: context.now)
        for shard in shards { shard.forgetSideRows(of: number) }
        askNextPiece(number)
        // While the beginning is fetched there is nothing to be seen.
        guard context.queries[number].recorded?.isKnown(at: context.now) == true else { return }
        evaluate(shards.flatMap { $0.sideChanged(number) }, .change)
    }
}

extension EngineContext {
    func findNextQuery() { queryDue = queries.lazy.map(\.nextDue).min() ?? .distantFuture }

    func fillSideTable(_ number: Int) {
        let plan = plan.queries[number]
        guard plan.isSide else { return }
        let series = queries[number].series
        queries[number].table.fill(
            series, tags: plan.query.tags ?? [], columns: plan.sideColumns, strings: self.plan.strings)
    }

    /// Queries of another plan: what is asked by both goes on as it was.
    func adoptQueries(_ before: [QueryState], of old: EvaluationPlan) {
        queries = plan.queries.map { next in
            var state = QueryState(next)
            guard next.isWanted, let earlier = old.queryNumbers[next.id].map({ before[$0] }) else { return state }
            let (table, recorded) = (state.table, next.recorded.flatMap { plan in earlier.recorded.map { $0.adopted(by: plan) } })
            state = earlier
            (state.table, state.recorded) = (table, recorded)
            return state
        }
        for number in queries.indices { fillSideTable(number) }
        findNextQuery()
    }

    /// In the place of an instance where the answer as a whole was in error.
    private static let answerOrdinal: Int64 = -1

    func noteAnswer(_ rule: Int32) {
        ruleStates[Int(rule)].evaluations &+= 1
        ruleStates[Int(rule)].lastEvaluationAt = evaluationInstant ?? now
        noteResult(rule, instance: Self.answerOrdinal)
    }

    func reportSharedInstance(_ rule: Int32, _ by: [String], _ values: [String]) {
        _ = noteError(rule, instance: Self.answerOrdinal)
        let labels = LabelText.braces(Dictionary(zip(by, values)) { first, _ in first })
        lastErrors[rule] = "several series of the answer are the instance \(labels): 'by' must tell them apart"
    }
}
