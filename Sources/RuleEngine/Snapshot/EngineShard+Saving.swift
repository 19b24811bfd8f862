import CEL

/// A subject as a record of a checkpoint: key, last known values, windows, silence, alerts.
extension EngineShard {
    /// To be called before anything of a subject, or of its alerts, changes.
    @inline(__always)
    func touch(_ source: SourceState, _ subject: Int32) {
        if source.isSaving { saveBeforeChange(source, subject) }
    }

    @inline(never)
    private func saveBeforeChange(_ source: SourceState, _ subject: Int32) {
        if source.isUnsaved(subject) { save(source, subject) }
    }

    func save(_ source: SourceState, _ subject: Int32) {
        source.unsaved[Int(subject) >> 6] &= ~(1 << UInt64(subject & 63))
        let head = source.subjects[Int(subject)]
        var writer = SnapshotWriter()
        writer.write(Int64(source.number))
        writer.write(head.ordinal)
        writer.write(bytes: source.keys.withBytes(subject) { Array($0) })
        writer.write(head.lastBeat)
        writer.write(head.hasFallenSilent)
        writer.write(head.isUnevaluated)
        let row = source.slots.row(subject)
        for field in source.plan.fields.indices { writer.write(row[field], context.plan.strings) }
        let ages = source.plan.ageFields.count
        for age in 0..<ages { writer.write(source.setAt[Int(subject) * ages + age]) }
        if source.index.hasMissingRules {
            writer.write(source.silences[Int(subject)].handledAt)
            writer.write(Int64(source.silences[Int(subject)].handledRule))
            writer.write(source.silences[Int(subject)].timerAt)
            writer.write(Int64(source.silences[Int(subject)].timerRule))
        }
        if source.index.learnsIntervals { source.rhythms[Int(subject)].write(to: &writer) }
        if source.plan.windowPlan != nil { writer.write(bytes: source.windows[Int(subject)].snapshot()) }
        if source.index.hasEventTime { writeClock(source.clocks[Int(subject)], &writer) }
        if let members = source.members { writer.write(members[departureOf: subject]) }
        if source.index.hasSequences { writeRuns(source, subject, &writer) }
        writeTimers(source, subject, head.ordinal, &writer)
        writeAlerts(source, subject, head, &writer)
        context.checkpoint?.add(source: source.number, ordinal: head.ordinal, writer.finish())
    }

    private func writeClock(_ clock: InstanceClock, _ writer: inout SnapshotWriter) {
        writer.write(clock.newest)
        writer.write(clock.arrivedAt)
        writer.write(clock.shown)
        writer.write(clock.timerAt)
        writer.write(Int64(clock.timerRule))
    }

    private func writeRuns(_ source: SourceState, _ subject: Int32, _ writer: inout SnapshotWriter) {
        for place in 0..<source.plan.sequences.count {
            let run = source.runs[Int(subject) * source.plan.sequences.count + place]
            writer.write(byte: run.phase.rawValue)
            writer.write(Int64(run.steps))
            writer.write(run.at)
            writer.write(run.timerAt)
        }
    }

    private func writeTimers(_ source: SourceState, _ subject: Int32, _ ordinal: Int64, _ writer: inout SnapshotWriter) {
        for rule in source.plan.rules {
            let plan = context.plan.rules[Int(rule)]
            let key = TimerKey(rule: rule, ordinal: ordinal)
            if !plan.ageTurns.isEmpty || !plan.windows.isEmpty { writer.write(turnTimer(source, subject, key) ?? .distantFuture) }
            if !plan.clockTurns.isEmpty { writer.write(clockTimers[key] ?? .distantFuture) }
        }
    }

    private func turnTimer(_ source: SourceState, _ subject: Int32, _ key: TimerKey) -> Instant? {
        guard source.index.hasEventTime else { return ageTimers[key] }
        return source.instanceTimers[Int(subject)].first { $0.rule == key.rule && $0.kind == .turn }?.due
    }

    private func writeAlerts(_ source: SourceState, _ subject: Int32, _ head: SourceState.Subject, _ writer: inout SnapshotWriter) {
        writer.write(Int(head.activeAlerts))
        guard head.activeAlerts > 0 else { return }
        for rule in source.plan.rules {
            let number = alertOf[rule, subject]
            guard number >= 0 else { continue }
            let alert = alerts[Int(number)]
            writer.write(Int64(rule))
            writer.write(alert.activeAt)
            writer.write(alert.ordinal)
            writer.write(alert.transition)
            writer.write(alert.firedAt)
            writer.write(byte: alert.lifecycle.phase.rawValue)
            writer.write(Int64(alert.lifecycle.level))
            writer.write(alert.lifecycle.isMissing)
            writer.write(alert.lifecycle.recoveringSince ?? .distantFuture)
            for level in context.plan.rules[Int(rule)].levels.indices { writer.write(alert.lifecycle.trueSince(level) ?? .distantFuture) }
            writer.write(alert.labels != nil)
            if let labels = alert.labels { writer.write(labels.values) }
        }
    }
}
