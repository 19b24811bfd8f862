import CEL

/// Rules with `sequence`: readings that take the run of an instance on, and the time that completes it.
extension EngineShard {
    /// A reading that may be a step. Only a live one is: the steps come in their order, which a late or a retained one is out of.
    func follow(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard occasion.cause == .liveReading, let sequence = rule.sequence else { return }
        context.evaluations &+= 1
        loadFields(source, subject, .carried)
        var isKnown = true
        let change = source.runs[source.place(ofRun: sequence, subject)].take(sequence, at: at) { place in
            let step = sequence.steps[place]
            guard step.subscriptions & matchedSubscriptions != 0 else { return false }
            loadExtras(step.extras, source, subject)
            let truth = step.condition.truth(frame)
            if truth == .missing || truth == .error { isKnown = false }
            if truth == .error { report(rule, step.condition, frame, source, subject) }
            return truth == .yes
        }
        if isKnown, context.ruleStates[Int(rule.number)].health != .ok {
            context.noteResult(rule.number, instance: source.subjects[Int(subject)].ordinal)
        }
        guard change != SequenceRun.Change() else { return }
        context.sequenceChanges?.append((rule.rule.identity, change))
        armRun(rule, sequence, source, subject)
        if change.isComplete { occur(rule, source, subject) }
    }

    // MARK: Time

    /// Whether time may still complete a run of a subject, which is remembered until then.
    func isRunPending(_ source: SourceState, _ subject: Int32) -> Bool {
        source.plan.sequences.contains { number in
            guard let sequence = context.plan.rules[Int(number)].sequence else { return false }
            return source.runs[source.place(ofRun: sequence, subject)].completion(sequence) != nil
        }
    }

    /// Sets the timer of an absence that is under way, unless one is set that comes no later.
    func armRun(_ rule: RulePlan, _ sequence: SequencePlan, _ source: SourceState, _ subject: Int32) {
        guard sequence.steps.last?.isAbsence == true else { return }
        let place = source.place(ofRun: sequence, subject)
        let due = source.runs[place].completion(sequence) ?? .distantFuture
        if source.index.hasEventTime {
            return setInstanceTimer(InstanceTimer(due: due, rule: rule.number, kind: .sequence), source, subject)
        }
        guard due < source.runs[place].timerAt else { return }
        source.runs[place].timerAt = due
        timers.add(
            Timer(due: due, ordinal: source.subjects[Int(subject)].ordinal, rule: rule.number, subject: subject, kind: .sequence))
    }

    /// Sets the timers of a subject whose runs come from elsewhere.
    func armRuns(_ source: SourceState, _ subject: Int32) {
        for number in source.plan.sequences {
            let rule = context.plan.rules[Int(number)]
            if let sequence = rule.sequence { armRun(rule, sequence, source, subject) }
        }
    }

    /// Whether a timer that was taken is the one that counts, and completes the run; another is set where the run ends later.
    func isRunDue(_ timer: Timer, _ source: SourceState) -> Bool {
        let rule = context.plan.rules[Int(timer.rule)]
        guard let sequence = rule.sequence, case let place = source.place(ofRun: sequence, timer.subject),
            source.runs[place].timerAt == timer.due
        else { return false }
        source.runs[place].timerAt = .distantFuture
        if let due = source.runs[place].completion(sequence), due <= timer.due { return true }
        armRun(rule, sequence, source, timer.subject)
        return false
    }

    /// What the last step says must not happen has not happened.
    func completeRun(_ number: Int32, _ source: SourceState, _ subject: Int32, at instant: Instant) {
        let rule = context.plan.rules[Int(number)]
        guard let sequence = rule.sequence else { return }
        context.sequenceChanges?.append((rule.rule.identity, SequenceRun.Change(came: sequence.steps.count - 1, isComplete: true)))
        source.runs[source.place(ofRun: sequence, subject)].complete(at: instant)
        beginOccasion(.timer, at: instant)
        occur(rule, source, subject)
        endOccasion()
    }
}

extension SourceState {
    func place(ofRun sequence: SequencePlan, _ subject: Int32) -> Int { Int(subject) * plan.sequences.count + sequence.place }

    /// Takes over the runs of a subject of the source before a reload, of rules that mean what they meant.
    func takeRuns(of subject: Int32, _ before: SourceState, into target: Int32, _ migration: Migration) {
        for old in before.plan.sequences {
            guard let earlier = migration.old.rules[Int(old)].sequence, let number = migration.successor[Int(old)],
                !migration.changed[Int(number)], plan.sequences.contains(number),
                let sequence = migration.new.rules[Int(number)].sequence
            else { continue }
            runs[place(ofRun: sequence, target)] = before.runs[before.place(ofRun: earlier, subject)]
            runs[place(ofRun: sequence, target)].timerAt = .distantFuture
        }
    }
}
