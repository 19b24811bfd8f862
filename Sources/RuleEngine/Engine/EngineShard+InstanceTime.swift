import CEL

/// Instances with a time of their own: what is due in it, and readings that come late.
extension EngineShard {
    /// The instant at which a rule of the subject is evaluated now.
    @inline(__always)
    func time(of source: SourceState, _ subject: Int32) -> Instant {
        source.index.hasEventTime ? source.clocks[Int(subject)].read(at: context.now) : context.now
    }

    /// The same without anybody noticing.
    func unseenTime(of source: SourceState, _ subject: Int32) -> Instant {
        source.index.hasEventTime ? source.clocks[Int(subject)].time(at: context.now) : context.now
    }

    // MARK: Timers

    /// Sets the timer of a kind of a rule; `distantFuture` takes it away.
    func setInstanceTimer(_ timer: InstanceTimer, _ source: SourceState, _ subject: Int32) {
        source.instanceTimers[Int(subject)].removeAll { $0.rule == timer.rule && $0.kind == timer.kind }
        guard timer.due != .distantFuture else { return }
        let place = source.instanceTimers[Int(subject)].firstIndex { timer < $0 } ?? source.instanceTimers[Int(subject)].count
        source.instanceTimers[Int(subject)].insert(timer, at: place)
        if place == 0 { armInstance(source, subject) }
    }

    private func engineTime(of timer: InstanceTimer, _ source: SourceState, _ subject: Int32) -> Instant {
        max(context.now, source.clocks[Int(subject)].engineTime(of: timer.due))
    }

    /// Sets the engine's timer for the first of the instance's own, unless one is set that comes no later.
    func armInstance(_ source: SourceState, _ subject: Int32) {
        guard let first = source.instanceTimers[Int(subject)].first else { return }
        let due = engineTime(of: first, source, subject), clock = source.clocks[Int(subject)]
        guard due != .distantFuture, (due, first.rule) < (clock.timerAt, clock.timerRule) else { return }
        source.clocks[Int(subject)].timerAt = due
        source.clocks[Int(subject)].timerRule = first.rule
        timers.add(
            Timer(due: due, ordinal: source.subjects[Int(subject)].ordinal, rule: first.rule, subject: subject, kind: .instance))
    }

    /// Whether the engine's timer that was taken is the one that counts, and the instance's time has come; another is set where not.
    func isInstanceDue(_ timer: Timer, _ source: SourceState) -> Bool {
        let clock = source.clocks[Int(timer.subject)]
        guard clock.timerAt == timer.due, clock.timerRule == timer.rule else { return false }
        source.clocks[Int(timer.subject)].timerAt = .distantFuture
        source.clocks[Int(timer.subject)].timerRule = -1
        guard let first = source.instanceTimers[Int(timer.subject)].first else { return false }
        if first.rule == timer.rule, clock.engineTime(of: first.due) <= timer.due { return true }
        armInstance(source, timer.subject)
        return false
    }

    func runInstance(_ source: SourceState, _ subject: Int32) {
        runFirst(source, subject)
        armInstance(source, subject)
    }

    private func runFirst(_ source: SourceState, _ subject: Int32) {
        let timer = source.instanceTimers[Int(subject)].removeFirst()
        source.clocks[Int(subject)].reach(timer.due)
        switch timer.kind {
        case .alert:
            let alert = alertOf[timer.rule, subject]
            if alert >= 0 { stepOnTime(alert, at: timer.due) }
        case .turn: evaluate(timer.rule, source, subject, .timer, at: timer.due)
        case .sequence: completeRun(timer.rule, source, subject, at: timer.due)
        }
    }

    /// What is due before the instant to which a reading takes its instance runs first, each at its own instant, as an input of its own.
    private func runInstance(_ source: SourceState, _ subject: Int32, before instant: Instant) {
        while let first = source.instanceTimers[Int(subject)].first, first.due < instant {
            runFirst(source, subject)
            context.ordinal += 1
        }
    }

    // MARK: Readings

    /// A reading of a source with `time_field`.
    func applyStamped(
        _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer,
        _ source: SourceState, _ subject: Int32, isRetained: Bool
    ) {
        let stamp = stamp(shape, decoder, payload)
        let measuredAt = stamp ?? context.now
        let clock = source.clocks[Int(subject)]
        if clock.isSet, measuredAt < clock.newest {
            context.counters.lateReadings &+= 1
            guard clock.newest - measuredAt <= context.bounds.allowedLateness.inNanoseconds else {
                context.counters.lateReadingsRefused &+= 1
                return
            }
            at = time(of: source, subject)
            applyLate(shape, circumstance, decoder, payload, source, subject, measuredAt, isSample: !isRetained || stamp != nil)
            return
        }
        if clock.isSet { runInstance(source, subject, before: max(clock.shown, measuredAt)) }
        source.clocks[Int(subject)].set(to: measuredAt, at: context.now)
        at = source.clocks[Int(subject)].time(at: context.now)
        takeIn(
            shape, circumstance, decoder, payload, source, subject, measuredAt: measuredAt, isRetained: isRetained,
            isSample: !isRetained || stamp != nil)
        armInstance(source, subject)
    }

    /// Nil: the reading is measured when it is received.
    private func stamp(_ shape: RouteShape, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer) -> Instant? {
        let found: Instant?
        if shape.stamp >= 0 {
            found = EventTime.instant(decoder.row[Int(shape.stamp)], in: payload)
        } else if shape.stamp == RouteShape.decodersTime {
            // That a message has no time of its own is for its decoder to know.
            guard let time = decoder.decodedTime else { return nil }
            found = time
        } else {
            return nil
        }
        guard let stamp = found else {
            context.counters.stampsUnreadable &+= 1
            return nil
        }
        guard stamp - context.now <= EventTime.tolerance else {
            context.counters.stampsAhead &+= 1
            return nil
        }
        return stamp
    }

    /// A reading that was measured before the newest one: what is newer stays, windows take it in where it belongs, and rules are evaluated as things stand now.
    private func applyLate(
        _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer,
        _ source: SourceState, _ subject: Int32, _ measuredAt: Instant, isSample: Bool
    ) {
        let index = source.index
        let row = source.slots.row(subject)
        lateRow.update(from: row, count: index.fieldCount)
        for word in 0..<(index.fieldCount + 63) / 64 { carried[word] = 0 }
        beginCandidates()
        readingAt = measuredAt
        takeLateFields(shape, circumstance, decoder, payload, row, source, subject)
        for place in index.everyReading { addCandidate(index.rules[place]) }
        if !source.tally.count(carried, at: context.now) { countApart(source) }
        if isSample, source.plan.windowPlan != nil { sample(source, subject, circumstance, from: lateRow) }
        evaluateCandidates(source, subject, circumstance, .lateReading)
        releaseReplaced()
    }

    private func takeLateFields(
        _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer,
        _ row: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32
    ) {
        func take(_ field: Int, _ slot: Slot) {
            let age = source.index.fields[field].age
            lateRow[field] = slot
            if source.setAt[Int(subject) * source.plan.ageFields.count + Int(age)] < readingAt {
                replace(field, with: slot, row, source, subject)
                lateRow[field] = row[field]
                return
            }
            carried[field >> 6] |= 1 << UInt64(field & 63)
            let places = source.index.fields[field]
            for place in places.presence..<places.presenceEnd { addCandidate(source.index.rules[Int(place)]) }
            if slot.kind == .object { replaced.append(slot) }
        }
        if let scalar = shape.scalar, decoder.isScalar {
            if scalar.field >= 0, scalar.column >= 0, let slot = slot(of: decoder.row[Int(scalar.column)], payload) {
                take(Int(scalar.field), slot)
            }
        } else {
            for (column, field) in shape.columns {
                if let slot = slot(of: decoder.row[Int(column)], payload) { take(Int(field), slot) }
            }
        }
        for (field, slot) in circumstance?.constants ?? [] {
            slot.retain()
            take(Int(field), slot)
        }
        for field in shape.timeFields { take(Int(field), Slot(readingAt)) }
        for field in shape.receiptFields { take(Int(field), Slot(context.now)) }
    }
}
