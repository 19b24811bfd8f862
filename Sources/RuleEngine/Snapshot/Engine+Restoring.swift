import CEL

extension Engine {
    /// An engine that stands where the one stood of which a checkpoint was taken. The plan has to be of the same rules; the number of shards may be another, and bounds are those of the checkpoint. Nil when the bytes are damaged, of
    /// another version, or of other rules.
    public convenience init?(plan: EvaluationPlan, settings: EngineSettings = EngineSettings(), restoring bytes: some Sequence<UInt8>) {
        self.init(plan: plan, settings: settings)
        var reader = SnapshotReader(bytes)
        guard reader.readByte() == EngineCheckpoint.version, let common = reader.readBytes(), restoreCommon(common) else { return nil }
        for shard in shards { for source in shard.sources { shard.fillVariables(of: source) } }
        while let length = reader.readInt64(), length != -1 {
            guard length >= 0, length <= Int64(reader.remaining), let record = reader.readSlice(Int(length)), restoreSubject(record) else {
                return nil
            }
        }
        guard reader.isAtEnd else { return nil }
    }

    private func restoreCommon(_ bytes: [UInt8]) -> Bool {
        var reader = SnapshotReader(bytes)
        guard let now = reader.readInstant(), let ordinal = reader.readInt64(), let late = reader.readInt64(),
            let started = reader.readBool(), let readsBacklog = reader.readBool(), let floor = reader.readInstant(),
            let next = reader.readInt64(), let bounds = reader.readBounds(), restoreNames(&reader), restoreOwnAlerts(&reader),
            restoreScriptAlerts(&reader), context.readQueries(from: &reader),
            let clocks = reader.readCount()
        else { return false }
        (context.now, context.ordinal, lateOrdinal, hasStarted) = (now, ordinal, late, started)
        (context.isReadingBacklog, context.beatFloor, context.nextSubjectOrdinal) = (readsBacklog, floor, next)
        context.bounds = bounds
        for _ in 0..<clocks {
            guard let due = reader.readInstant(), let rule = reader.readInt64().flatMap(Int32.init(exactly:)),
                rule == -1 || plan.rules.indices.contains(Int(rule))
            else { return false }
            if rule == -1 { sweepAt = due }
            clock.add(Timer(due: due, ordinal: -1, rule: rule, subject: -1, kind: .clock))
        }
        return restoreDecoders(&reader) && reader.isAtEnd
    }

    /// What a decoder remembered that is not installed any more is forgotten.
    private func restoreDecoders(_ reader: inout SnapshotReader) -> Bool {
        guard let count = reader.readCount() else { return false }
        for _ in 0..<count {
            guard let name = reader.readText(), let memory = reader.readMemory() else { return false }
            plan.decoders[name]?.restore(memory)
        }
        return true
    }

    private func restoreNames(_ reader: inout SnapshotReader) -> Bool {
        guard let variables = reader.readCount() else { return false }
        for _ in 0..<variables {
            guard let name = reader.readText(), let value = reader.readDocument() else { return false }
            context.variables[name] = value
        }
        guard let devices = reader.readCount() else { return false }
        for _ in 0..<devices {
            guard let id = reader.readText(), let config = reader.readDocument(), let labels = reader.readTexts(),
                case .some(let location) = reader.readPlace()
            else { return false }
            context.devices[id] = EngineContext.DeviceEntry(config: config, labels: labels, location: location)
        }
        return true
    }

    private func restoreOwnAlerts(_ reader: inout SnapshotReader) -> Bool {
        guard let due = reader.readInstant(), let count = reader.readCount() else { return false }
        context.ownAlertDue = due
        for _ in 0..<count {
            guard let record = reader.readDocument().flatMap(AlertRecord.init(document:)), let lastCauseAt = reader.readInstant() else {
                return false
            }
            context.ownAlerts[record.id] = EngineContext.OwnAlert(record: record, lastCauseAt: lastCauseAt)
        }
        return true
    }

    private func restoreScriptAlerts(_ reader: inout SnapshotReader) -> Bool {
        guard let count = reader.readCount() else { return false }
        for _ in 0..<count {
            guard let record = reader.readDocument().flatMap(AlertRecord.init(document:)) else { return false }
            context.scriptAlerts[record.id] = record
        }
        return true
    }

    private func restoreSubject(_ record: ArraySlice<UInt8>) -> Bool {
        var reader = SnapshotReader(record)
        guard let number = reader.readInt64(), plan.sources.indices.contains(Int(clamping: number)), let ordinal = reader.readInt64(),
            ordinal >= 0, let key = reader.readBytes()
        else { return false }
        let shard = shards[TopicRouter.shard(of: plan.sources[Int(number)].key.home(of: key), among: shards.count)]
        return shard.restore(shard.sources[Int(number)], key: key, ordinal: ordinal, &reader) && reader.isAtEnd
    }
}

extension EngineShard {
    fileprivate func restore(_ source: SourceState, key: [UInt8], ordinal: Int64, _ reader: inout SnapshotReader) -> Bool {
        guard key.withUnsafeBytes({ source.keys.find($0) }) < 0 else { return false }
        let subject = key.withUnsafeBytes { source.add(key: $0, ordinal: ordinal) }
        context.counters.subjects += 1
        placeInConfigRow(source, subject)
        guard let lastBeat = reader.readInstant(), let isSilent = reader.readBool(), let isUnevaluated = reader.readBool() else {
            return false
        }
        source.subjects[Int(subject)].lastBeat = lastBeat
        source.subjects[Int(subject)].hasFallenSilent = isSilent
        source.subjects[Int(subject)].isUnevaluated = isUnevaluated
        for field in source.plan.fields.indices {
            guard case .some(let value) = reader.readValue() else { return false }
            if let value { source.slots.row(subject)[field] = CELSlot.make(value, context.plan) }
        }
        let ages = source.plan.ageFields.count
        for age in 0..<ages {
            guard let at = reader.readInstant() else { return false }
            source.setAt[Int(subject) * ages + age] = at
        }
        guard restoreSilence(source, subject, ordinal, &reader), restoreWindows(source, subject, &reader),
            case .some(let instanceTimer) = restoreClock(source, subject, ordinal, &reader),
            restoreDeparture(source, subject, &reader), restoreRuns(source, subject, ordinal, &reader),
            restoreTimers(source, subject, ordinal, &reader),
            restoreAlerts(source, subject, &reader)
        else { return false }
        if source.index.hasEventTime {
            // Where something was overdue, when it is looked at depends on when that was found: it is as it was.
            source.clocks[Int(subject)].timerAt = instanceTimer?.due ?? .distantFuture
            source.clocks[Int(subject)].timerRule = instanceTimer?.rule ?? -1
            if let instanceTimer { timers.add(instanceTimer) }
        }
        return true
    }

    /// The timer is set as it was: after a reconnect it is not what one would set now.
    private func restoreSilence(_ source: SourceState, _ subject: Int32, _ ordinal: Int64, _ reader: inout SnapshotReader) -> Bool {
        if source.index.hasMissingRules {
            guard let at = reader.readInstant(), let rule = reader.readInt64().flatMap(Int32.init(exactly:)),
                let due = reader.readInstant(), let next = reader.readInt64().flatMap(Int32.init(exactly:)),
                due == .distantFuture ? next == -1 : source.plan.missingRules.contains(next)
            else { return false }
            source.silences[Int(subject)].handledAt = at
            source.silences[Int(subject)].handledRule = rule
            source.silences[Int(subject)].timerAt = due
            source.silences[Int(subject)].timerRule = next
            if next >= 0 { timers.add(Timer(due: due, ordinal: ordinal, rule: next, subject: subject, kind: .silence)) }
        }
        guard source.index.learnsIntervals else { return true }
        guard let rhythm = Rhythm(from: &reader) else { return false }
        source.rhythms[Int(subject)] = rhythm
        return true
    }

    private func restoreWindows(_ source: SourceState, _ subject: Int32, _ reader: inout SnapshotReader) -> Bool {
        guard let plan = source.plan.windowPlan else { return true }
        guard let bytes = reader.readBytes(), let windows = WindowSet(plan, restoring: bytes) else { return false }
        source.windows[Int(subject)] = windows
        return true
    }

    private func restoreDeparture(_ source: SourceState, _ subject: Int32, _ reader: inout SnapshotReader) -> Bool {
        guard source.members != nil else { return true }
        guard let due = reader.readInstant() else { return false }
        setDeparture(due, source, subject)
        return true
    }

    /// The engine's timer for the instance, if one is set; the outer nil: damaged.
    private func restoreClock(_ source: SourceState, _ subject: Int32, _ ordinal: Int64, _ reader: inout SnapshotReader) -> Timer?? {
        guard source.index.hasEventTime else { return .some(nil) }
        guard let newest = reader.readInstant(), let arrivedAt = reader.readInstant(), let shown = reader.readInstant(),
            let due = reader.readInstant(), let rule = reader.readInt64().flatMap(Int32.init(exactly:)),
            due == .distantFuture ? rule == -1 : source.plan.rules.contains(rule)
        else { return nil }
        source.clocks[Int(subject)] = InstanceClock(newest: newest, arrivedAt: arrivedAt, shown: shown)
        guard due != .distantFuture else { return .some(nil) }
        return Timer(due: due, ordinal: ordinal, rule: rule, subject: subject, kind: .instance)
    }

    private func restoreRuns(_ source: SourceState, _ subject: Int32, _ ordinal: Int64, _ reader: inout SnapshotReader) -> Bool {
        for number in source.plan.sequences {
            guard case let rule = context.plan.rules[Int(number)], let sequence = rule.sequence,
                let run = SequenceRun(of: sequence, from: &reader), !source.index.hasEventTime || run.timerAt == .distantFuture
            else { return false }
            source.runs[source.place(ofRun: sequence, subject)] = run
            if source.index.hasEventTime {
                armRun(rule, sequence, source, subject)
            } else if run.timerAt != .distantFuture {
                timers.add(Timer(due: run.timerAt, ordinal: ordinal, rule: number, subject: subject, kind: .sequence))
            }
        }
        return true
    }

    private func restoreTimers(_ source: SourceState, _ subject: Int32, _ ordinal: Int64, _ reader: inout SnapshotReader) -> Bool {
        for rule in source.plan.rules {
            let plan = context.plan.rules[Int(rule)]
            let key = TimerKey(rule: rule, ordinal: ordinal)
            if !plan.ageTurns.isEmpty || !plan.windows.isEmpty {
                guard let due = reader.readInstant() else { return false }
                if source.index.hasEventTime {
                    setInstanceTimer(InstanceTimer(due: due, rule: rule, kind: .turn), source, subject)
                } else if due != .distantFuture {
                    ageTimers[key] = due
                    timers.add(Timer(due: due, ordinal: ordinal, rule: rule, subject: subject, kind: .age))
                }
            }
            guard !plan.clockTurns.isEmpty else { continue }
            guard let due = reader.readInstant() else { return false }
            if due != .distantFuture {
                clockTimers[key] = due
                timers.add(Timer(due: due, ordinal: ordinal, rule: rule, subject: subject, kind: .turn))
            }
        }
        return true
    }

    private func restoreAlerts(_ source: SourceState, _ subject: Int32, _ reader: inout SnapshotReader) -> Bool {
        guard let count = reader.readCount() else { return false }
        for _ in 0..<count {
            guard let number = reader.readInt64().flatMap(Int32.init(exactly:)), source.plan.rules.contains(number),
                case let rule = context.plan.rules[Int(number)], alertOf[number, subject] < 0,
                let activeAt = reader.readInstant(), let ordinal = reader.readInt64(), let transition = reader.readInt64(),
                let firedAt = reader.readInstant(), let lifecycle = AlertLifecycle(levels: rule.levels.count, from: &reader),
                let hasLabels = reader.readBool()
            else { return false }
            let alert = add(rule, source, subject, lifecycle)
            alerts[Int(alert)].activeAt = activeAt
            alerts[Int(alert)].ordinal = ordinal
            alerts[Int(alert)].transition = transition
            alerts[Int(alert)].firedAt = firedAt
            if hasLabels {
                guard let labels = reader.readTexts() else { return false }
                alerts[Int(alert)].labels = FixedLabels(labels)
            }
            arm(alert)
        }
        return true
    }
}

extension SequenceRun {
    fileprivate init?(of sequence: SequencePlan, from reader: inout SnapshotReader) {
        guard let phase = reader.readByte().flatMap(Phase.init(rawValue:)), let steps = reader.readInt64().flatMap(Int32.init(exactly:)),
            let at = reader.readInstant(), let timerAt = reader.readInstant(), steps >= 0, steps <= sequence.steps.count,
            phase != .underWay || (1..<sequence.steps.count).contains(Int(steps))
        else { return nil }
        self.init(phase: phase, steps: steps, at: at, timerAt: timerAt)
    }
}

extension AlertLifecycle {
    fileprivate init?(levels: Int, from reader: inout SnapshotReader) {
        self.init(levels: levels)
        guard let phase = reader.readByte().flatMap(Phase.init(rawValue:)), phase != .inactive,
            let level = reader.readInt64().flatMap(Int8.init(exactly:)), (-1..<levels).contains(Int(level)),
            let isMissing = reader.readBool(), let recovering = reader.readInstant()
        else { return nil }
        (self.phase, self.level, self.isMissing) = (phase, level, isMissing)
        recoveringSince = recovering == .distantFuture ? nil : recovering
        for place in 0..<levels {
            guard let since = reader.readInstant() else { return nil }
            setTrueSince(place, since == .distantFuture ? nil : since)
        }
    }
}
