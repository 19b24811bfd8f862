import CEL

extension EngineShard {
    /// Takes a decoded reading into a subject and evaluates the rules whose truth it can have changed.
    @inline(__always)
    func apply(
        _ route: TopicRoute, _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder,
        _ payload: UnsafeRawBufferPointer, isRetained: Bool
    ) {
        sourceTable[Int(shape.source)]._withUnsafeGuaranteedRef { source in
            apply(route, shape, circumstance, decoder, payload, source, isRetained: isRetained)
        }
    }

    private func apply(
        _ route: TopicRoute, _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder,
        _ payload: UnsafeRawBufferPointer, _ source: SourceState, isRetained: Bool
    ) {
        touch(source, route.subject)
        if source.index.hasEventTime {
            applyStamped(shape, circumstance, decoder, payload, source, route.subject, isRetained: isRetained)
            return
        }
        at = context.now
        takeIn(
            shape, circumstance, decoder, payload, source, route.subject, measuredAt: context.now, isRetained: isRetained,
            isSample: !isRetained)
    }

    /// Takes a reading in that is not late, `at` being the instant at which rules are evaluated.
    @inline(__always)
    func takeIn(
        _ shape: RouteShape, _ circumstance: RouteCircumstance?, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer,
        _ source: SourceState, _ subject: Int32, measuredAt: Instant, isRetained: Bool, isSample: Bool
    ) {
        readingAt = measuredAt
        let index = source.index
        if index.hasSequences { matchedSubscriptions = shape.matched }
        let row = source.slots.row(subject)
        // What the old frame points to stays alive: replaced slots are released after the evaluation.
        if index.readsEdges { oldFrame.update(from: row, count: index.fieldCount) }
        for word in 0..<(index.fieldCount + 63) / 64 { carried[word] = 0 }
        beginCandidates()
        takeFields(shape, decoder, payload, row, source, subject)
        if let circumstance {
            for (field, slot) in circumstance.constants {
                slot.retain()
                replace(Int(field), with: slot, row, source, subject)
            }
        }
        for field in shape.timeFields { replace(Int(field), with: Slot(measuredAt), row, source, subject) }
        for field in shape.receiptFields { replace(Int(field), with: Slot(context.now), row, source, subject) }
        for place in index.everyReading { addCandidate(index.rules[place]) }
        if !source.tally.count(carried, at: context.now) { countApart(source) }
        addUnevaluated(source, subject)
        if !isRetained { beat(source, subject) }
        if isSample, source.plan.windowPlan != nil { sample(source, subject, circumstance, from: row) }
        evaluateCandidates(source, subject, circumstance, isRetained ? .retainedReading : .liveReading)
        releaseReplaced()
    }

    /// Gives the windows what this reading says of their expressions; without a result there is no sample.
    func sample(_ source: SourceState, _ subject: Int32, _ circumstance: RouteCircumstance?, from row: UnsafeMutablePointer<Slot>) {
        if source.index.readsDeviceOfReading { readingConfigRow = circumstance?.device.map { configRow(of: $0, in: source) } ?? 0 }
        for number in source.plan.sampled.indices {
            let field = Int(source.index.fieldOfSampled[number])
            let result: Slot
            if field >= 0 {
                guard isCarried(field) else { continue }
                result = row[field]
            } else {
                let expression = source.plan.sampled[number]
                // What members say now is no sample of a past instant.
                guard expression.isOfMembers ? row != lateRow : isAnyCarried(expression.fields) else { continue }
                result = evaluate(expression, source, subject, row)
            }
            let value: Double
            switch result.kind {
            case .double: value = Double(bitPattern: result.bits)
            case .int: value = Double(Int64(bitPattern: result.bits))
            case .uint: value = Double(result.bits)
            case .bool: value = result.bits == 0 ? 0 : 1
            case .duration: value = Double(Int64(bitPattern: result.bits)) / 1e9
            case .missing, .null: continue
            default:
                guard let other = otherSample(source.plan.sampled[number], source, subject, row) else {
                    reportSample(number, source, subject)
                    continue
                }
                value = other
            }
            // Of two readings of a device with one stamp the second corrects the first; two that were received at one instant are two.
            source.windows[Int(subject)].add(
                Sample(at: readingAt, value: value), to: number, at: at, besideOthers: source.index.samplesStandTogether)
        }
        readingConfigRow = 0
    }

    private func evaluate(_ expression: SampledExpression, _ source: SourceState, _ subject: Int32, _ row: UnsafeMutablePointer<Slot>)
        -> Slot
    {
        beginOccasion(.liveReading, at: at)
        occasion.fields = .all
        frame.update(from: row, count: source.index.fieldCount)
        loadExtras(expression.extras, source, subject)
        defer { endOccasion() }
        return expression.program.number(frame)
    }

    /// The sample that windows make of what is neither a number nor a truth value; nil when it is none to them.
    private func otherSample(_ expression: SampledExpression, _ source: SourceState, _ subject: Int32, _ row: UnsafeMutablePointer<Slot>)
        -> Double?
    {
        beginOccasion(.liveReading, at: at)
        occasion.fields = .all
        frame.update(from: row, count: source.index.fieldCount)
        loadExtras(expression.extras, source, subject)
        defer { endOccasion() }
        guard case .value(let value) = expression.program.evaluate(frame) else { return nil }
        switch (expression.samples, value) {
        case (.anything, _): return 1
        case (.texts, .string(let text)): return Sample.value(standingFor: text)
        case (.numbers, .string): return value.promotedNumber
        default: return nil
        }
    }

    /// A text, a list or an error where windows take a number is an error of the rules that look at them; there is no sample.
    private func reportSample(_ expression: Int, _ source: SourceState, _ subject: Int32) {
        guard let windows = source.plan.windowPlan?.windows else { return }
        let sampled = source.plan.sampled[expression].program
        for number in source.plan.rules {
            let looks = context.plan.rules[Int(number)].extras.contains { place in
                guard case .window(let window) = source.plan.extras[Int(place)].kind else { return false }
                return windows[window].expression == expression
            }
            guard looks else { continue }
            guard context.noteError(number, instance: source.subjects[Int(subject)].ordinal) else { continue }
            context.lastErrors[number] = "windows take numbers and truth values, and '\(sampled.expression)' was neither"
        }
    }

    @inline(__always)
    func evaluateCandidates(_ source: SourceState, _ subject: Int32, _ circumstance: RouteCircumstance?, _ cause: EvaluationCause) {
        if source.index.isSeenAcross {
            (source.lastReading, source.lastSubject) = (context.readings, subject)
            source.members?.change(subject)
        }
        guard candidateCount > 0 else { return }
        if candidateCount > 1 { sortCandidates() }
        if source.index.readsDeviceOfReading { readingConfigRow = circumstance?.device.map { configRow(of: $0, in: source) } ?? 0 }
        beginOccasion(cause, at: at)
        for place in 0..<candidateCount { evaluateNow(candidates[place], source, subject) }
        endOccasion()
        readingConfigRow = 0
    }

    @inline(__always)
    private func takeFields(
        _ shape: RouteShape, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer, _ row: UnsafeMutablePointer<Slot>,
        _ source: SourceState,
        _ subject: Int32
    ) {
        if let scalar = shape.scalar, decoder.isScalar {
            guard scalar.field >= 0, scalar.column >= 0 else { return }
            take(decoder.row[Int(scalar.column)], payload, into: Int(scalar.field), row, source, subject)
            return
        }
        for (column, field) in shape.columns where decoder.row[Int(column)].kind != .absent {
            take(decoder.row[Int(column)], payload, into: Int(field), row, source, subject)
        }
    }

    /// Rules that have to look at this reading whatever it changes: after silence, after a reload, and at the first reading, since something can be true
    /// of nothing.
    @inline(__always)
    private func addUnevaluated(_ source: SourceState, _ subject: Int32) {
        let head = source.subjects[Int(subject)]
        if head.isUnevaluated {
            source.subjects[Int(subject)].isUnevaluated = false
            for rule in source.plan.rules where context.plan.rules[Int(rule)].everyNanoseconds == 0 { addCandidate(rule) }
        }
        if head.hasFallenSilent {
            for rule in source.plan.missingRules where context.plan.rules[Int(rule)].everyNanoseconds == 0 { addCandidate(rule) }
        }
    }

    /// A reading whose set of fields the tally has no room for.
    func countApart(_ source: SourceState) {
        for number in source.plan.rules {
            let rule = context.plan.rules[Int(number)]
            guard rule.everyNanoseconds == 0, rule.countedFields.isEmpty || isAnyCarried(rule.countedFields) else { continue }
            context.ruleStates[Int(number)].evaluations &+= 1
            context.ruleStates[Int(number)].lastEvaluationAt = context.now
        }
    }

    @inline(__always)
    private func take(
        _ decoded: DecodedField, _ payload: UnsafeRawBufferPointer, into field: Int, _ row: UnsafeMutablePointer<Slot>,
        _ source: SourceState,
        _ subject: Int32
    ) {
        switch decoded.kind {
        case .number: replace(field, with: Slot(decoded.number), row, source, subject)
        case .bool: replace(field, with: Slot(decoded.number != 0), row, source, subject)
        case .null: replace(field, with: .missing, row, source, subject)
        case .string, .container, .bytes: replace(field, with: slot(decoded, payload), row, source, subject)
        case .absent: break
        }
    }

    /// Nil when the reading does not carry it. The caller owns the reference.
    func slot(of decoded: DecodedField, _ payload: UnsafeRawBufferPointer) -> Slot? {
        switch decoded.kind {
        case .number: Slot(decoded.number)
        case .bool: Slot(decoded.number != 0)
        case .null: .missing
        case .string, .container, .bytes: slot(decoded, payload)
        case .absent: nil
        }
    }

    private func slot(_ decoded: DecodedField, _ payload: UnsafeRawBufferPointer) -> Slot {
        let bytes = UnsafeRawBufferPointer(rebasing: payload[decoded.start..<decoded.end])
        switch decoded.kind {
        case .string:
            guard decoded.isEscaped else { return context.plan.strings.slot(utf8: bytes) }
            return PayloadDecoder.unescaped(bytes.bindMemory(to: UInt8.self)).withUnsafeBytes { context.plan.strings.slot(utf8: $0) }
        case .container:
            var cursor = JSONCursor(bytes)
            guard let value = try? DecodedValue.value(&cursor) else { return .missing }
            return Slot(retaining: value, strings: context.plan.strings)
        default: return Slot(retaining: .bytes(Array(bytes)), strings: context.plan.strings)
        }
    }

    /// Sets a field and collects the rules that this can concern. Takes over the reference to `new`.
    @inline(__always)
    func replace(_ field: Int, with new: Slot, _ row: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32) {
        let index = source.index
        let places = index.fields[field]
        let old = row[field]
        carried[field >> 6] |= 1 << UInt64(field & 63)
        for place in places.presence..<places.presenceEnd { addCandidate(index.rules[Int(place)]) }
        if places.age >= 0 {
            source.setAt[Int(subject) * source.plan.ageFields.count + Int(places.age)] =
                new.kind == .missing && !index.hasEventTime ? .distantPast : readingAt
        }
        if old.isIdentical(to: new) {
            new.release()
            return
        }
        row[field] = new
        if old.kind == .object { replaced.append(old) }
        for place in places.change..<places.changeEnd { addCandidate(index.rules[Int(place)]) }
        if places.threshold < places.thresholdEnd { addCrossed(index, places, old, new) }
    }

    /// The rules whose constants lie between the old and the new value, both included: only their truth can have changed.
    @inline(__always)
    private func addCrossed(_ index: SourceIndex, _ places: SourceIndex.Field, _ old: Slot, _ new: Slot) {
        guard old.kind == .double, new.kind == .double, case let a = Double(bitPattern: old.bits),
            case let b = Double(bitPattern: new.bits),
            a == a, b == b
        else {
            for place in places.threshold..<places.thresholdEnd { addCandidate(index.thresholdRules[Int(place)]) }
            return
        }
        let low = min(a, b), high = max(a, b)
        var first = Int(places.threshold), end = Int(places.thresholdEnd)
        let last = end
        while first < end {
            let middle = (first + end) / 2
            if index.thresholds[middle] < low { first = middle + 1 } else { end = middle }
        }
        while first < last, index.thresholds[first] <= high {
            addCandidate(index.thresholdRules[first])
            first += 1
        }
    }

    // MARK: Candidates

    /// A few by insertion: they are mostly in order.
    @inline(__always)
    private func sortCandidates() {
        guard candidateCount <= 24 else { return sortManyCandidates() }
        for place in 1..<candidateCount {
            let rule = candidates[place]
            var hole = place
            while hole > 0, candidates[hole - 1] > rule {
                candidates[hole] = candidates[hole - 1]
                hole -= 1
            }
            candidates[hole] = rule
        }
    }

    @inline(never)
    private func sortManyCandidates() {
        var found = UnsafeMutableBufferPointer(start: candidates, count: candidateCount)
        found.sort()
    }

    @inline(__always)
    func beginCandidates() {
        candidateCount = 0
        stamp &+= 1
        if stamp == 0 {
            candidateStamp.update(repeating: 0, count: context.plan.rules.count)
            stamp = 1
        }
    }

    @inline(__always)
    func addCandidate(_ rule: Int32) {
        guard candidateStamp[Int(rule)] != stamp else { return }
        candidateStamp[Int(rule)] = stamp
        candidates[candidateCount] = rule
        candidateCount += 1
    }

    @inline(__always)
    func releaseReplaced() {
        guard !replaced.isEmpty else { return }
        for place in replaced.indices { replaced[place].release() }
        replaced.clear()
    }
}
