/// Falling silent: deadlines of `missing`, fixed or learned.
extension EngineShard {
    /// When a rule with `missing` speaks about a subject; nil while that is not known.
    private func silenceDeadline(_ rule: Int32, _ source: SourceState, _ subject: Int32, at instant: Instant) -> Instant? {
        silenceLength(context.plan.rules[Int(rule)], source, subject).map {
            let last = source.subjects[Int(subject)].lastBeat
            // Rows of queries do not come from the broker.
            return source.plan.key.query != nil && context.isDisconnected ? last + $0 : max(last, context.silenceFloor(at: instant)) + $0
        }
    }

    /// Nanoseconds without a beat that are silence to a rule; nil where there is no `missing`, or it is not learned.
    private func silenceLength(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) -> Int64? {
        switch rule.rule.missing?.deadline {
        case .after(let duration): return duration.inNanoseconds
        case .beats(let count):
            guard let median = source.rhythms[Int(subject)].median else { return nil }
            let (product, overflow) = median.multipliedReportingOverflow(by: Int64(count))
            return overflow ? .max : product
        case nil: return nil
        }
    }

    /// Whether silence has decided for a rule: until a reading comes nothing else does, be it a window that moves, the clock or a configuration.
    func isSilent(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) -> Bool {
        let head = source.subjects[Int(subject)]
        guard head.hasFallenSilent, let outcome = rule.rule.missing?.outcome, outcome != .hold,
            let length = silenceLength(rule, source, subject)
        else { return false }
        return head.lastBeat + length <= context.now
    }

    /// Sets the timer of the next deadline that has not been dealt with, unless one is set that comes no later.
    func armSilence(_ source: SourceState, _ subject: Int32, at instant: Instant = .distantPast) {
        guard source.index.hasMissingRules else { return }
        let silence = source.silences[Int(subject)]
        var next: (due: Instant, rule: Int32)?
        for rule in source.plan.missingRules {
            guard let due = silenceDeadline(rule, source, subject, at: instant), due != .distantFuture,
                (due, rule) > (silence.handledAt, silence.handledRule), next.map({ (due, rule) < $0 }) ?? true
            else { continue }
            next = (due, rule)
        }
        guard let next, next < (silence.timerAt, silence.timerRule) else { return }
        source.silences[Int(subject)].timerAt = next.due
        source.silences[Int(subject)].timerRule = next.rule
        timers.add(Timer(due: next.due, ordinal: source.subjects[Int(subject)].ordinal, rule: next.rule, subject: subject, kind: .silence))
    }

    /// Whether a timer that was taken is the one that counts, and a deadline has come that has not been dealt with; the timer is set anew where not.
    func isSilenceDue(_ timer: Timer, _ source: SourceState) -> Bool {
        let subject = Int(timer.subject)
        guard source.silences[subject].timerAt == timer.due, source.silences[subject].timerRule == timer.rule else { return false }
        source.silences[subject].timerAt = .distantFuture
        source.silences[subject].timerRule = -1
        if let due = silenceDeadline(timer.rule, source, timer.subject, at: timer.due), due <= timer.due,
            (due, timer.rule) > (source.silences[subject].handledAt, source.silences[subject].handledRule)
        {
            return true
        }
        armSilence(source, timer.subject, at: timer.due)
        return false
    }

    func runSilence(_ timer: Timer, _ source: SourceState) {
        let subject = timer.subject
        guard let due = silenceDeadline(timer.rule, source, subject, at: timer.due) else { return }
        source.silences[Int(subject)].handledAt = due
        source.silences[Int(subject)].handledRule = timer.rule
        source.subjects[Int(subject)].hasFallenSilent = true
        fallSilent(context.plan.rules[Int(timer.rule)], source, subject)
        armSilence(source, subject)
    }

    /// A reading has come: silence begins to count anew.
    @inline(__always)
    func beat(_ source: SourceState, _ subject: Int32) {
        let last = source.subjects[Int(subject)].lastBeat
        source.subjects[Int(subject)].lastBeat = context.now
        guard source.index.hasMissingRules else { return }
        if source.index.learnsIntervals { source.rhythms[Int(subject)].beat(after: context.now - last) }
        if source.subjects[Int(subject)].hasFallenSilent {
            source.subjects[Int(subject)].hasFallenSilent = false
            source.silences[Int(subject)].handledAt = .distantPast
            source.silences[Int(subject)].handledRule = -1
            armSilence(source, subject)
        } else if source.index.learnsIntervals {
            armSilence(source, subject)
        }
    }
}
