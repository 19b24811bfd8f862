import CEL

/// Where a run of a sequence stands, and why it stands there.
extension Engine {
    func explanation(
        of sequence: SequencePlan, _ rule: RulePlan, _ shard: EngineShard, _ source: SourceState, _ subject: Int32, _ key: [String: String]
    ) -> String {
        let instance = rule.rule.identity.alert + LabelText.braces(key)
        let run = source.runs[source.place(ofRun: sequence, subject)]
        let now = shard.unseenTime(of: source, subject)
        let awaited = run.isLate(sequence, at: now) ? 0 : run.awaited
        let step = sequence.steps[awaited]
        return "\(instance) sequence: \(run.standing(sequence, at: now))\n"
            + "\(instance) step \(awaited + 1) \(step.isAbsence ? "not" : "expr"):\n"
            + Self.indented(step.condition.explain(shard.frame).render()) + Self.afterReading
    }
}

extension SequenceRun {
    /// `step 1 of 3 came at …, step 2 is awaited until …`.
    func standing(_ sequence: SequencePlan, at now: Instant) -> String {
        let came = "step \(steps) of \(sequence.steps.count) came at \(at)"
        let next = "step \(steps + 1)"
        switch phase {
        case .idle: return "no step has come, step 1 is awaited"
        case .complete: return "it was complete at \(at), step 1 is awaited"
        case .broken: return "\(next) said what must not happen, which happened at \(at); step 1 is awaited"
        case .late: return "\(came), \(next) did not come in time; step 1 is awaited"
        case .underWay:
            guard let deadline = deadline(sequence) else { return "\(came), \(next) is awaited" }
            if sequence.steps[awaited].isAbsence { return "\(came), \(next) must not come until \(deadline)" }
            if isLate(sequence, at: now) { return "\(came), \(next) did not come until \(deadline); step 1 is awaited" }
            return "\(came), \(next) is awaited until \(deadline)"
        }
    }
}
