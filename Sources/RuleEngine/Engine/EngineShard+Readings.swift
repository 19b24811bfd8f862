import CEL

/// What a topic leads to in one shard: the subject of a source, and where its fields stand in the decoded row.
struct TopicRoute {
    var source: Int32
    var subject: Int32
    var shard: Int32
    var subscription: Int16
    /// Column of the decoded row → field of the source.
    var columns: [(column: Int32, field: Int32)]
    /// Fields that follow from the topic alone: `topic`, captures that are not in `by`. Owned by the route.
    var constants: [(field: Int32, slot: Slot)]
    var topicFields: TimeFields
    /// The device, for sources whose key does not decide it.
    var device: String?

    /// Fields that hold the reading's own times, -1 when no rule reads them.
    struct TimeFields {
        var eventTime: Int32 = -1
        var receivedAt: Int32 = -1
    }
}

extension EngineShard {
    /// Takes a decoded reading into a subject and evaluates the rules whose truth it can have changed.
    func apply(_ route: TopicRoute, _ decoder: PayloadDecoder, _ payload: UnsafeRawBufferPointer, isRetained: Bool) {
        let source = sources[Int(route.source)]
        let plan = source.plan
        let subject = route.subject
        let row = source.slots.row(subject)
        let width = plan.fields.count
        if plan.readsEdges {
            // What the old frame points to stays alive: replaced slots are released after the evaluation.
            (oldFrame).update(from: row, count: width)
        }
        for word in 0..<(width + 63) / 64 { carried[word] = 0 }
        beginCandidates()
        for (column, field) in route.columns {
            let decoded = decoder.row[Int(column)]
            guard decoded.kind != .absent else { continue }
            take(decoded, payload, into: Int(field), row, source, subject)
        }
        if !route.constants.isEmpty || route.topicFields.eventTime >= 0 || route.topicFields.receivedAt >= 0 {
            takeOwnFields(route, row, source, subject)
        }
        for rule in plan.onEveryReading { add(rule) }
        if !isRetained { beat(source, subject) }
        if !plan.hasFixedDevice, plan.usesDevices { readingConfigRow = route.device.map { configRow(of: $0, in: source) } ?? 0 }
        if candidates.count > 1 { candidates.sort() }
        let cause = isRetained ? EvaluationCause.retainedReading : .liveReading
        for index in candidates.indices { evaluate(candidates[index], source, subject, cause) }
        readingConfigRow = 0
        releaseReplaced()
    }

    private func takeOwnFields(_ route: TopicRoute, _ row: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32) {
        for (field, slot) in route.constants {
            slot.retain()
            replace(Int(field), with: slot, row, source, subject)
        }
        for field in [route.topicFields.eventTime, route.topicFields.receivedAt] where field >= 0 {
            replace(Int(field), with: Slot(context.now), row, source, subject)
        }
    }

    @inline(__always)
    private func take(
        _ decoded: DecodedField, _ payload: UnsafeRawBufferPointer, into field: Int, _ row: UnsafeMutablePointer<Slot>, _ source: SourceState,
        _ subject: Int32
    ) {
        switch decoded.kind {
        case .number: replace(field, with: Slot(decoded.number), row, source, subject)
        case .bool: replace(field, with: Slot(decoded.number != 0), row, source, subject)
        case .null: replace(field, with: .missing, row, source, subject)
        case .string, .container: replace(field, with: slot(decoded, payload), row, source, subject)
        case .absent: break
        }
    }

    private func slot(_ decoded: DecodedField, _ payload: UnsafeRawBufferPointer) -> Slot {
        let bytes = UnsafeRawBufferPointer(rebasing: payload[decoded.range])
        if decoded.kind == .string {
            guard decoded.isEscaped else { return context.plan.strings.slot(utf8: bytes) }
            return PayloadDecoder.unescaped(bytes.bindMemory(to: UInt8.self)).withUnsafeBytes { context.plan.strings.slot(utf8: $0) }
        }
        var cursor = JSONCursor(bytes)
        if let value = try? DecodedValue.value(&cursor), cursor.isAtEnd { return Slot(retaining: value, strings: context.plan.strings) }
        return Slot(retaining: .bytes(Array(bytes)), strings: context.plan.strings)
    }

    /// Sets a field and collects the rules that this can concern. Takes over the reference to `new`.
    @inline(__always)
    private func replace(_ field: Int, with new: Slot, _ row: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32) {
        let plan = source.plan
        let old = row[field]
        carried[field >> 6] |= 1 << UInt64(field & 63)
        if !plan.onPresence[field].isEmpty { for rule in plan.onPresence[field] { add(rule) } }
        if !plan.ageFields.isEmpty, let place = plan.ageFields.firstIndex(of: field) {
            source.setAt[Int(subject) * plan.ageFields.count + place] = new.kind == .missing ? .distantPast : context.now
        }
        if old.isIdentical(to: new) {
            new.release()
            return
        }
        row[field] = new
        if old.kind == .object { replaced.append(old) }
        if !plan.onChange[field].isEmpty { for rule in plan.onChange[field] { add(rule) } }
        if !plan.thresholds[field].isEmpty { addCrossed(plan.thresholds[field], old, new) }
    }

    /// The rules whose constants lie between the old and the new value, both included: only their truth can have changed.
    @inline(__always)
    private func addCrossed(_ thresholds: [Threshold], _ old: Slot, _ new: Slot) {
        guard old.kind == .double, new.kind == .double, case let a = Double(bitPattern: old.bits), case let b = Double(bitPattern: new.bits),
            a == a, b == b
        else {
            for threshold in thresholds { add(threshold.rule) }
            return
        }
        let low = min(a, b), high = max(a, b)
        thresholds.withUnsafeBufferPointer { thresholds in
            var first = 0, end = thresholds.count
            while first < end {
                let middle = (first + end) / 2
                if thresholds[middle].value < low { first = middle + 1 } else { end = middle }
            }
            while first < thresholds.count, thresholds[first].value <= high {
                add(thresholds[first].rule)
                first += 1
            }
        }
    }

    // MARK: Candidates

    private func beginCandidates() {
        candidates.removeAll(keepingCapacity: true)
        stamp &+= 1
        if stamp == 0 {
            for index in candidateStamp.indices { candidateStamp[index] = 0 }
            stamp = 1
        }
    }

    @inline(__always)
    private func add(_ rule: Int32) {
        guard candidateStamp[Int(rule)] != stamp else { return }
        candidateStamp[Int(rule)] = stamp
        candidates.append(rule)
    }

    private func releaseReplaced() {
        guard !replaced.isEmpty else { return }
        for slot in replaced { slot.release() }
        replaced.removeAll(keepingCapacity: true)
    }
}
