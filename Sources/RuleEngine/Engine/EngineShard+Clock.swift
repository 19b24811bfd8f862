import CEL

/// Calendars and the sun: what they say, and when that turns.
extension EngineShard {
    private func location(_ source: SourceState, _ subject: Int32) -> GeoPoint? {
        source.locationOfConfigRow[Int(configRow(source, subject))] ?? context.plan.surroundings.location
    }

    /// Nothing is known of the sun where nobody has said where that is.
    func sun(_ member: SunMember, _ source: SourceState, _ subject: Int32) -> Slot {
        guard let place = location(source, subject) else { return .missing }
        switch member {
        case .elevation: return Slot(Sun.elevation(at: context.now, seenFrom: place))
        case .isUp: return Slot(Sun.elevation(at: context.now, seenFrom: place) > Sun.horizon)
        case .nextRise: return sunTimes.crossings(of: Sun.horizon, after: context.now, seenFrom: place).up.map { Slot($0) } ?? .missing
        case .nextSet: return sunTimes.crossings(of: Sun.horizon, after: context.now, seenFrom: place).down.map { Slot($0) } ?? .missing
        }
    }

    /// Sets a timer for the next instant at which something in the rule's conditions turns by the clock. The frame holds the rule's extras.
    func armClock(_ rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard !rule.clockTurns.isEmpty else { return }
        var next = Instant.distantFuture
        for turn in rule.clockTurns { next = min(next, self.next(turn, source, subject)) }
        guard next != .distantFuture else { return }
        let ordinal = source.subjects[Int(subject)].ordinal
        let key = TimerKey(rule: rule.number, ordinal: ordinal)
        if let armed = clockTimers[key], armed <= next { return }
        clockTimers[key] = next
        timers.add(Timer(due: next, ordinal: ordinal, rule: rule.number, subject: subject, kind: .turn))
    }

    /// An alert that was restored has no evaluation that would set its timer.
    func armClock(afterRestoring rule: RulePlan, _ source: SourceState, _ subject: Int32) {
        guard !rule.clockTurns.isEmpty else { return }
        beginOccasion(.change, at: time(of: source, subject))
        loadFields(source, subject, .all)
        loadExtras(rule.extras, source, subject)
        armClock(rule, source, subject)
        endOccasion()
    }

    private func next(_ turn: RulePlan.ClockTurn, _ source: SourceState, _ subject: Int32) -> Instant {
        switch turn {
        case .calendar(let place):
            source.calendarAnswers[place].refresh(source.plan.calendars[place], at: context.now)
            return source.calendarAnswers[place].until
        case .horizon: return nextCrossing(of: Sun.horizon, source, subject)
        case .elevation(let elevation): return nextCrossing(of: elevation, source, subject)
        case .elevationInSlot(let slot): return frame[slot].finiteNumber.map { nextCrossing(of: $0, source, subject) } ?? .distantFuture
        }
    }

    private func nextCrossing(of elevation: Double, _ source: SourceState, _ subject: Int32) -> Instant {
        guard let place = location(source, subject) else { return .distantFuture }
        let (up, down) = sunTimes.crossings(of: elevation, after: context.now, seenFrom: place)
        return min(up ?? .distantFuture, down ?? .distantFuture)
    }
}
