import CEL

/// Rows of queries as readings of instances, and beside them.
extension EngineShard {
    /// Takes the last row of a series as a reading of its instance, and evaluates the rules.
    func apply(_ series: HistorySeries, to source: SourceState, _ subject: Int32) {
        guard let last = series.rows.last else { return }
        touch(source, subject)
        let row = source.slots.row(subject)
        if source.index.readsEdges { oldFrame.update(from: row, count: source.index.fieldCount) }
        (at, readingAt) = (context.now, context.now)
        let fields = SeriesFields(series, last)
        for (field, path) in source.plan.fields.enumerated() {
            carried[field >> 6] |= 1 << UInt64(field & 63)
            put(slot(of: path, fields, last), into: field, row, source, subject)
        }
        source.subjects[Int(subject)].isUnevaluated = false
        if !last.isEmpty { beat(source, subject) }
        if source.plan.windowPlan != nil { sample(source, subject, nil, from: row) }
        beginOccasion(.liveReading, at: context.now)
        for rule in source.plan.rules { evaluateNow(rule, source, subject) }
        endOccasion()
        releaseReplaced()
    }

    private func slot(of path: FieldPath, _ fields: SeriesFields, _ last: HistoryRow) -> Slot {
        switch path.origin {
        case .eventTime: return Slot(last.at)
        case .receivedAt: return Slot(context.now)
        case .topic, .capture: return .missing
        case .payload: return context.slot(fields.path(path.elements), in: fields.document(for: path.elements))
        }
    }

    /// Sets a field. Takes over the reference to `new`.
    private func put(_ new: Slot, into field: Int, _ row: UnsafeMutablePointer<Slot>, _ source: SourceState, _ subject: Int32) {
        if let age = source.plan.ageFields.firstIndex(of: field) {
            source.setAt[Int(subject) * source.plan.ageFields.count + age] = new.kind == .missing ? .distantPast : context.now
        }
        let old = row[field]
        guard !old.isIdentical(to: new) else { return new.release() }
        row[field] = new
        if old.kind == .object { replaced.append(old) }
    }

    // MARK: Side inputs

    /// The value of a side input's column for an instance; missing while no series of the answer is its own.
    func sideValue(_ side: Int, _ column: Int, _ source: SourceState, _ subject: Int32) -> Slot {
        let row = sideRow(side, source, subject)
        return row < 0 ? .missing : context.queries[source.plan.sides[side].query].table.slot(row, column)
    }

    private func sideRow(_ side: Int, _ source: SourceState, _ subject: Int32) -> Int32 {
        let plan = source.plan.sides[side]
        let place = Int(subject) * source.plan.sides.count + side
        if source.sideRows[place] == SourceState.unknownSideRow {
            let values = source.keyValues(subject)
            let key = SideTable.key(plan.keyPlaces.map { values.indices.contains($0) ? values[$0] : "" })
            source.sideRows[place] = context.queries[plan.query].row(of: key)
        }
        return source.sideRows[place]
    }

    /// What a window over recorded readings says; missing until all its samples have been fetched.
    func recordedValue(_ side: Int, _ window: Int, _ source: SourceState, _ subject: Int32) -> Slot {
        let row = sideRow(side, source, subject)
        return Slot(context.queries[source.plan.sides[side].query].recorded?.value(of: window, row: row, at: at))
    }

    /// The first instant after the present one when a window over recorded readings, an extra by its place, says something else because time passes.
    func nextRecordedChange(_ extra: Int, _ source: SourceState, _ subject: Int32) -> Instant? {
        guard case .recorded(let side, let window) = source.plan.extras[extra].kind else { return nil }
        let row = sideRow(side, source, subject)
        return context.queries[source.plan.sides[side].query].recorded?.nextChange(of: window, row: row, after: at)
    }

    func forgetSideRows(of query: Int) {
        for source in sources {
            for side in source.plan.sides.indices where source.plan.sides[side].query == query {
                for place in stride(from: side, to: source.sideRows.count, by: source.plan.sides.count) {
                    source.sideRows[place] = SourceState.unknownSideRow
                }
            }
        }
    }

    /// Evaluations that new rows of a side input make necessary.
    func sideChanged(_ query: Int) -> [PlannedEvaluation] {
        sources.flatMap { source -> [PlannedEvaluation] in
            guard let side = source.plan.sides.firstIndex(where: { $0.query == query }) else { return [] }
            for place in source.sideRows.indices where source.sideRows[place] < 0 { source.sideRows[place] = SourceState.unknownSideRow }
            let rules = source.plan.rules.filter { number in
                let rule = context.plan.rules[Int(number)]
                return rule.everyNanoseconds == 0 && !rule.isEvent
                    && rule.extras.contains {
                        switch source.plan.extras[Int($0)].kind {
                        case .side(side, _), .recorded(side, _): true
                        default: false
                        }
                    }
            }
            return evaluations(of: rules, in: source)
        }
    }
}

/// What expressions see of a series: the columns of its last row, and all rows as `rows`.
private struct SeriesFields {
    private let series: HistorySeries
    private let columns: Document

    init(_ series: HistorySeries, _ last: HistoryRow) {
        self.series = series
        columns = Self.document(series.columns, last)
    }

    private static func document(_ columns: [String], _ row: HistoryRow) -> Document {
        .object([Document.Member("time", .instant(row.at))] + zip(columns, row.values).map { Document.Member($0, $1) })
    }

    func document(for path: [FieldPath.Element]) -> Document {
        guard path.first == .name("rows") else { return columns }
        return ["rows": .array(series.rows.map { Self.document(series.columns, $0) })]
    }

    /// A column's name may hold what reads as a path: a recorded field `battery.level`.
    func path(_ path: [FieldPath.Element]) -> [FieldPath.Element] {
        guard path.count > 1, path.first != .name("rows") else { return path }
        var name = ""
        for element in path {
            switch element {
            case .name(let part): name += (name.isEmpty ? "" : ".") + part
            case .index(let index): name += "[\(index)]"
            }
        }
        return series.columns.contains(name) ? [.name(name)] : path
    }
}
