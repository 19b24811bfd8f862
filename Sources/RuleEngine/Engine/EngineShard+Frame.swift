import CEL

/// Slots for an evaluation: the subject's fields and whatever else its expressions see.
extension EngineShard {
    /// Copies the fields of a subject; for an event only those that the reading carries.
    func loadFields(_ source: SourceState, _ subject: Int32, onlyCarried: Bool) {
        let row = source.slots.row(subject)
        for field in 0..<source.plan.fields.count { frame[field] = onlyCarried && !isCarried(field) ? .missing : row[field] }
    }

    func loadExtras(_ extras: [Int32], _ source: SourceState, _ subject: Int32, _ cause: EvaluationCause) {
        for place in extras {
            frame[firstExtraSlot + Int(place)] = value(of: source.plan.extras[Int(place)], source, subject, cause, alert: -1)
        }
    }

    /// Gives back what `loadExtras` made.
    func releaseFrame() {
        guard !frameGarbage.isEmpty else { return }
        for slot in frameGarbage { slot.release() }
        frameGarbage.removeAll(keepingCapacity: true)
    }

    private func keep(_ slot: Slot) -> Slot {
        if slot.kind == .object { frameGarbage.append(slot) }
        return slot
    }

    private func text(_ text: String) -> Slot { keep(Slot(retaining: .string(text), strings: context.plan.strings)) }

    func value(of extra: Extra, _ source: SourceState, _ subject: Int32, _ cause: EvaluationCause, alert: Int32) -> Slot {
        switch extra.kind {
        case .capture(let place):
            let values = source.keyValues(subject)
            return values.indices.contains(place) ? text(values[place]) : .missing
        case .config(let place): return source.configRows.row(configRow(source, subject))[place]
        case .deviceLabel(let label):
            let device = source.deviceOfConfigRow[Int(configRow(source, subject))]
            return context.devices[device]?.labels[label].map(text) ?? .missing
        case .variable(let place): return source.variables.row(0)[place]
        case .now: return Slot(context.now)
        case .age(let place):
            let set = source.setAt[Int(subject) * source.plan.ageFields.count + place]
            return set == .distantPast ? .missing : Slot(durationNanoseconds: max(0, context.now - set))
        case .binding(let program): return result(of: program, frame)
        case .previous(let program):
            guard cause == .liveReading, isAnyCarried(extra.fields) else { return .missing }
            return result(of: program, beforeReading(extra))
        case .changed(let program):
            guard cause == .liveReading, isAnyCarried(extra.fields) else { return Slot(false) }
            let before = result(of: program, beforeReading(extra)), after = result(of: program, frame)
            guard before.kind != .missing, before.kind != .error, after.kind != .missing, after.kind != .error else { return Slot(false) }
            return Slot(!before.isIdentical(to: after))
        case .became(let program):
            guard cause == .liveReading, isAnyCarried(extra.fields) else { return Slot(false) }
            guard program.truth(beforeReading(extra)) == .no else { return Slot(false) }
            return Slot(program.truth(frame) == .yes)
        case .alertState, .alertValue, .alertActiveAt, .label: return .missing
        }
    }

    private func configRow(_ source: SourceState, _ subject: Int32) -> Int32 {
        source.plan.hasFixedDevice ? source.subjects[Int(subject)].configRow : readingConfigRow
    }

    /// What a program gives, as a slot that lives until `releaseFrame`.
    private func result(of program: Program, _ slots: UnsafeMutablePointer<Slot>) -> Slot {
        let quick = program.number(slots)
        guard quick.kind == .error else { return quick }
        guard case .value(let value) = program.evaluate(slots) else { return .error }
        return keep(Slot(retaining: value, strings: context.plan.strings))
    }

    /// The frame as it was before the reading at hand: old fields, and the extras an edge needs, which do not depend on edges themselves.
    private func beforeReading(_ edge: Extra) -> UnsafeMutablePointer<Slot> {
        for place in edge.needs {
            let slot = firstExtraSlot + Int(place)
            // The subject's plan is found through the frame in use: extras of one source only.
            if case .binding(let program) = currentExtras[Int(place)].kind {
                oldFrame[slot] = result(of: program, oldFrame)
            } else {
                oldFrame[slot] = currentExtras[Int(place)].isEdge ? .missing : frame[slot]
            }
        }
        return oldFrame
    }

    private var currentExtras: [Extra] { sources[Int(currentSource)].plan.extras }
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
