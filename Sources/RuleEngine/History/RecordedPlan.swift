/// Shifted windows of one length and shift over one recorded field, frozen: which samples are fetched for them, and when.
///
/// Samples are fetched piece by piece, each once, in the order of time and ahead of need: at a multiple of `step` those that enter the windows before the multiple after the next. What the windows
/// say of them is worked out here, so that it is what windows over the engine's own samples say.
struct RecordedPlan: Sendable {
    /// How long a piece is, nanoseconds.
    static let step: Int64 = 300_000_000_000
    /// What is asked for ahead of need must have been written.
    static let leastShift: Int64 = 3 * step

    private let head: String
    private let tail: String
    /// Nanoseconds.
    let length: Int64
    let shift: Int64
    /// How far behind the engine's time that of an instance may be: with event time it is.
    let lag: Int64
    /// The functions that are asked of the windows, in the order of their numbers.
    private(set) var functions: [WindowFunction] = []
    private(set) var windows = WindowPlan([])

    init(_ selection: RecordedSelection, field: String, length: Int64, shift: Int64, hasEventTime: Bool) {
        (head, tail) = selection.query(of: field)
        (self.length, self.shift) = (length, shift)
        lag = hasEventTime ? Self.step : 0
    }

    /// What names the query, besides the source whose instances it is for.
    var text: String { "\(length)/\(shift) \(head)\(tail)" }

    mutating func window(_ function: WindowFunction) -> Int {
        if let place = functions.firstIndex(of: function) { return place }
        functions.append(function)
        let specifications = functions.map { WindowSpecification($0, over: .time(length), shiftedBy: shift) }
        windows = WindowPlan([WindowPlan.Expression(text: text, windows: specifications)])
        return functions.count - 1
    }

    /// The newest instant before the windows of all instances.
    func lower(at now: Instant) -> Instant { now + -(shift.addingSaturated(length).addingSaturated(lag)) }

    /// Samples up to here are there before they are needed.
    func target(at now: Instant) -> Instant {
        let passed = now.nanoseconds % Self.step
        return now + -(passed < 0 ? passed + Self.step : passed) + (2 * Self.step - shift)
    }

    func text(after start: Instant, upTo end: Instant) -> String { "\(head)time > '\(start)' AND time <= '\(end)'\(tail)" }
}

/// What has been fetched of a recorded field: the samples of each series, and the windows over them.
struct RecordedSeries: Sendable {
    private let plan: RecordedPlan
    private var places: [String: Int32] = [:]
    private var sets: ContiguousArray<WindowSet> = []
    /// Of series that the answers do not have.
    private let none: WindowSet
    /// Samples later than `after`, up to and with `upTo`, are there.
    private(set) var after = Instant.distantPast
    private(set) var upTo = Instant.distantPast

    init(_ plan: RecordedPlan) {
        self.plan = plan
        none = WindowSet(plan.windows)
    }

    func row(of key: String) -> Int32 { places[key] ?? -1 }

    /// Whether all samples are there that a window reaches at an instant.
    func isKnown(at now: Instant) -> Bool {
        let end = now + -plan.shift
        return after <= end + -plan.length && end <= upTo
    }

    mutating func value(of window: Int, row: Int32, at now: Instant) -> WindowValue? {
        guard isKnown(at: now) else { return nil }
        guard sets.indices.contains(Int(row)) else {
            var none = none
            return none.value(of: window, at: now)
        }
        return sets[Int(row)].value(of: window, at: now)
    }

    func nextChange(of window: Int, row: Int32, after now: Instant) -> Instant? {
        guard isKnown(at: now), sets.indices.contains(Int(row)) else { return nil }
        return sets[Int(row)].nextChange(of: window, after: now)
    }

    /// Where the windows would have to go on from samples that they can not reach any more, or begin, they begin anew.
    mutating func begin(at now: Instant) {
        let lower = plan.lower(at: now)
        guard upTo < lower else { return }
        (after, upTo) = (lower, lower)
        places = [:]
        sets = []
    }

    /// Takes the samples of a piece, which begins where the last one ended.
    mutating func take(_ series: [HistorySeries], upTo end: Instant, tags: [String], at now: Instant) {
        for one in series {
            let values = tags.map { one.tags[$0] ?? "" }
            // U+0000 parts the values of a key.
            guard !values.contains(where: { $0.utf8.contains(0) }) else { continue }
            let key = SideTable.key(values)
            for row in one.rows where upTo < row.at && row.at <= end {
                guard let value = row.values.first?.sample else { continue }
                let place = places[key] ?? Int32(sets.count)
                if Int(place) == sets.count {
                    places[key] = place
                    sets.append(WindowSet(plan.windows))
                }
                // At its own instant: the windows are moved by those who look at them.
                sets[Int(place)].add(Sample(at: row.at, value: value), to: 0, at: row.at, besideOthers: true)
            }
        }
        upTo = max(upTo, end)
        forget(at: now)
    }

    /// Samples that no window will reach, and series that have no others.
    private mutating func forget(at now: Instant) {
        let lower = plan.lower(at: now)
        after = max(after, lower)
        for place in sets.indices {
            for window in plan.functions.indices { _ = sets[place].value(of: window, at: now + -plan.lag) }
        }
        let kept = places.filter { sets[Int($0.value)].newest(of: 0).map { $0 > lower } ?? false }
        guard kept.count < places.count else { return }
        let keys = kept.keys.sorted()
        sets = ContiguousArray(keys.map { sets[Int(kept[$0] ?? 0)] })
        places = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1, Int32($0)) })
    }

    /// The same samples under a plan that may ask other functions of them.
    func adopted(by next: RecordedPlan) -> RecordedSeries {
        guard next.functions != plan.functions else { return self }
        var series = RecordedSeries(next)
        (series.places, series.after, series.upTo) = (places, after, upTo)
        series.sets = ContiguousArray(sets.map { WindowSet(next.windows, restoring: $0.snapshot()) ?? WindowSet(next.windows) })
        return series
    }
}

extension Document {
    /// A number or a truth value, as windows take it.
    fileprivate var sample: Double? {
        switch self {
        case .bool(let truth): truth ? 1 : 0
        default: number
        }
    }
}

// MARK: snapshots

extension RecordedSeries {
    func write(to writer: inout SnapshotWriter) {
        writer.write(after)
        writer.write(upTo)
        writer.write(places.count)
        for (key, place) in places.sorted(by: { $0.key < $1.key }) {
            writer.write(key)
            writer.write(bytes: sets[Int(place)].snapshot())
        }
    }

    init?(_ plan: RecordedPlan, from reader: inout SnapshotReader) {
        self.init(plan)
        guard let after = reader.readInstant(), let upTo = reader.readInstant(), let count = reader.readCount() else { return nil }
        (self.after, self.upTo) = (after, upTo)
        for _ in 0..<count {
            guard let key = reader.readText(), places[key] == nil, let bytes = reader.readBytes(),
                let set = WindowSet(plan.windows, restoring: bytes)
            else { return nil }
            places[key] = Int32(sets.count)
            sets.append(set)
        }
    }
}
