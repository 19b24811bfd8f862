import CEL

/// One input looked at by the rules of one subject: what is computed for a rule is there for the next.
struct Occasion {
    enum Fields: UInt8 { case none, all, carried }

    var cause = EvaluationCause.change
    /// Which fields the frame holds.
    var fields = Fields.none
    var stamp: UInt32 = 0
}

/// Slots for an evaluation: the subject's fields and whatever else its expressions see.
extension EngineShard {
    @inline(__always)
    func beginOccasion(_ cause: EvaluationCause, at instant: Instant) {
        at = instant
        occasion.cause = cause
        occasion.fields = .none
        nextStamp()
    }

    @inline(__always)
    func endOccasion() {
        guard !frameGarbage.isEmpty else { return }
        for place in frameGarbage.indices { frameGarbage[place].release() }
        frameGarbage.clear()
    }

    @inline(__always)
    private func nextStamp() {
        occasion.stamp &+= 1
        guard occasion.stamp == 0 else { return }
        extraStamp.update(repeating: 0, count: extraCount)
        occasion.stamp = 1
    }

    /// Copies the fields of a subject; for an event only those that the reading carries.
    @inline(__always)
    func loadFields(_ source: SourceState, _ subject: Int32, _ wanted: Occasion.Fields) {
        guard occasion.fields != wanted else { return }
        if occasion.fields != .none { nextStamp() }
        occasion.fields = wanted
        // Of a late reading, an event sees what it carried, not what is newer.
        let row = wanted == .carried && occasion.cause == .lateReading ? lateRow : source.slots.row(subject)
        let count = source.index.fieldCount
        if wanted == .all {
            frame.update(from: row, count: count)
        } else {
            for field in 0..<count { frame[field] = isCarried(field) ? row[field] : .missing }
        }
    }

    @inline(__always)
    func loadExtras(_ extras: [Int32], _ source: SourceState, _ subject: Int32) {
        for place in extras where extraStamp[Int(place)] != occasion.stamp {
            extraStamp[Int(place)] = occasion.stamp
            let window = source.index.windowOfExtra[Int(place)]
            frame[firstExtraSlot + Int(place)] =
                window >= 0
                ? Slot(source.windows[Int(subject)].value(of: Int(window), at: at))
                : value(of: source.plan.extras[Int(place)], source, subject)
        }
    }

    /// Gives a slot's box, if it has one, back when the occasion is over.
    func keep(_ slot: Slot) -> Slot {
        if slot.kind == .object { frameGarbage.append(slot) }
        return slot
    }

    func text(_ text: String) -> Slot { keep(Slot(retaining: .string(text), strings: context.plan.strings)) }

    func value(of extra: Extra, _ source: SourceState, _ subject: Int32) -> Slot {
        switch extra.kind {
        case .capture(let place):
            let values = source.keyValues(subject)
            return values.indices.contains(place) ? text(values[place]) : .missing
        case .config(let place): return source.configRows.row(configRow(source, subject))[place]
        case .deviceLabel(let label):
            let device = source.deviceOfConfigRow[Int(configRow(source, subject))]
            return context.devices[device]?.labels[label].map(text) ?? .missing
        case .variable(let place): return source.variables.row(0)[place]
        case .now: return Slot(context.evaluationInstant ?? context.now)
        case .age(let place):
            let set = source.setAt[Int(subject) * source.plan.ageFields.count + place]
            guard set != .distantPast, source.slots.row(subject)[source.plan.ageFields[place]].kind != .missing else { return .missing }
            return Slot(durationNanoseconds: max(0, at - set))
        case .binding(let program): return result(of: program, frame)
        case .latest(let place, let field): return latest(place, field, source, subject)
        case .members(let place): return members(place, source, subject)
        case .calendar(let place):
            source.calendarAnswers[place].refresh(source.plan.calendars[place], at: context.now)
            return Slot(source.calendarAnswers[place].isTrue)
        case .sun(let member): return sun(member, source, subject)
        case .window(let number): return Slot(source.windows[Int(subject)].value(of: number, at: at))
        case .side(let side, let column): return sideValue(side, column, source, subject)
        case .recorded(let side, let window): return recordedValue(side, window, source, subject)
        case .previous(let program):
            guard occasion.cause == .liveReading, isAnyCarried(extra.fields) else { return .missing }
            return result(of: program, beforeReading(extra, source))
        case .changed(let program):
            guard occasion.cause == .liveReading, isAnyCarried(extra.fields) else { return Slot(false) }
            let before = result(of: program, beforeReading(extra, source)), after = result(of: program, frame)
            guard before.kind != .missing, before.kind != .error, after.kind != .missing, after.kind != .error else { return Slot(false) }
            return Slot(!before.isIdentical(to: after))
        case .became(let program):
            guard occasion.cause == .liveReading, isAnyCarried(extra.fields) else { return Slot(false) }
            guard program.truth(beforeReading(extra, source)) == .no else { return Slot(false) }
            return Slot(program.truth(frame) == .yes)
        case .alertState, .alertValue, .alertActiveAt, .label: return .missing
        }
    }

    func configRow(_ source: SourceState, _ subject: Int32) -> Int32 {
        source.plan.hasFixedDevice ? source.subjects[Int(subject)].configRow : readingConfigRow
    }

    /// What a program gives, as a slot that lives as long as the occasion.
    private func result(of program: Program, _ slots: UnsafeMutablePointer<Slot>) -> Slot {
        let quick = program.number(slots)
        guard quick.kind == .error else { return quick }
        guard case .value(let value) = program.evaluate(slots) else { return .error }
        return keep(Slot(retaining: value, strings: context.plan.strings))
    }

    /// The frame as it was before the reading at hand: old fields, and the extras an edge needs, which do not depend on edges themselves.
    private func beforeReading(_ edge: Extra, _ source: SourceState) -> UnsafeMutablePointer<Slot> {
        for place in edge.needs {
            let slot = firstExtraSlot + Int(place)
            let needed = source.plan.extras[Int(place)]
            if case .binding(let program) = needed.kind {
                oldFrame[slot] = result(of: program, oldFrame)
            } else {
                oldFrame[slot] = needed.isEdge ? .missing : frame[slot]
            }
        }
        return oldFrame
    }
}

extension Slot {
    init(_ instant: Instant) {
        var seconds = instant.nanoseconds / 1_000_000_000
        var nanoseconds = instant.nanoseconds % 1_000_000_000
        if nanoseconds < 0 {
            seconds -= 1
            nanoseconds += 1_000_000_000
        }
        self.init(timestampSeconds: seconds, nanoseconds: Int32(nanoseconds))
    }
}
