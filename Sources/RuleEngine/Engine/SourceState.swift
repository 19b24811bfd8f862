import CEL

/// The subjects of one source in one shard: their keys, last known values and beats.
final class SourceState {
    struct Subject: BitwiseCopyable {
        /// Last non-retained reading, or when it was registered.
        var lastBeat = Instant.distantPast
        /// The order in which the engine met its subjects, never given twice; -1: there is no such subject.
        var ordinal: Int64 = -1
        /// Row of `configRows`; 0: none, a device that nobody declared.
        var configRow: Int32 = 0
        /// Active alerts of all rules, times four, and two flags: a subject takes 24 bytes.
        private var activeAlertsAndFlags: UInt32 = 0

        init(ordinal: Int64 = -1, isUnevaluated: Bool = false) {
            self.ordinal = ordinal
            self.isUnevaluated = isUnevaluated
        }

        /// Active alerts of all rules.
        var activeAlerts: Int32 {
            get { Int32(bitPattern: activeAlertsAndFlags >> 2) }
            set { activeAlertsAndFlags = UInt32(bitPattern: newValue) << 2 | activeAlertsAndFlags & 3 }
        }
        /// Silence has spoken since the last beat: the next reading decides anew for rules with `missing`.
        var hasFallenSilent: Bool {
            get { activeAlertsAndFlags & 1 != 0 }
            set { activeAlertsAndFlags = activeAlertsAndFlags & ~1 | (newValue ? 1 : 0) }
        }
        /// The next reading, which may be the first, concerns all rules, whatever it changes.
        var isUnevaluated: Bool {
            get { activeAlertsAndFlags & 2 != 0 }
            set { activeAlertsAndFlags = activeAlertsAndFlags & ~2 | (newValue ? 2 : 0) }
        }

        var isKnown: Bool { ordinal >= 0 }
    }

    let plan: SourcePlan
    let index: SourceIndex
    let number: Int32
    /// Keys: the values of `by`, joined by U+0000, which no topic holds.
    let keys = ByteTable()
    let slots: SlotTable
    let subjects = FlatTable<Subject>()
    /// When the fields in `plan.ageFields` were set: a row a subject.
    let setAt = FlatTable<Instant>()
    /// A row a subject, for sources with rules that have `missing`.
    let silences = FlatTable<SubjectSilence>()
    /// A row a subject, for sources that learn a deadline.
    let rhythms = FlatTable<Rhythm>()
    /// A row a subject, for sources with event time.
    let clocks = FlatTable<InstanceClock>()
    var instanceTimers: [[InstanceTimer]] = []
    /// A row a subject, for sources with windows.
    var windows: [WindowSet] = []
    /// A row a subject, for sources with sequences, in the order of `plan.sequences`.
    let runs = FlatTable<SequenceRun>()
    /// For each subject and side input, the row of its table: -1 for none, `unknownSideRow` when nobody has looked yet.
    var sideRows: [Int32] = []
    static let unknownSideRow: Int32 = -2
    /// Values of `plan.configPaths`; row 0 is all missing.
    let configRows: SlotTable
    var configRowOfDevice: [String: Int32] = [:]
    var deviceOfConfigRow: [String] = [""]
    /// Where the device of a row stands, for sources that look at the sun.
    var locationOfConfigRow: [GeoPoint?] = [nil]
    /// In the order of `plan.calendars`.
    var calendarAnswers: [CalendarAnswer]
    /// Subjects whose device a row is of.
    var subjectsOfConfigRow: [[Int32]] = [[]]
    /// For each of `plan.latests`: the subjects by the values that its topic is named with.
    let groups: [SubjectGroups]
    /// Where its subjects are members of groups.
    let members: MemberGroups?
    /// The last reading that was taken in, by its number, and the subject that it was of. Kept where rules see readings of other sources.
    var lastReading: UInt64 = 0
    var lastSubject: Int32 = -1
    let variables: SlotTable
    /// Whether a checkpoint is being taken, and the subjects that are not in it yet, a bit each.
    var isSaving = false
    var unsaved: [UInt64] = []
    /// Readings by the set of fields that they carried.
    let tally: FieldTally

    init(plan: SourcePlan, index: SourceIndex, number: Int32) {
        self.plan = plan
        self.index = index
        self.number = number
        slots = SlotTable(width: plan.fields.count)
        configRows = SlotTable(width: plan.configPaths.count)
        configRows.reach(0)
        calendarAnswers = plan.calendars.map { _ in CalendarAnswer() }
        groups = plan.latests.map { SubjectGroups(keyPlaces: $0.keyPlaces) }
        members = plan.key.membership == nil ? nil : MemberGroups(plan)
        variables = SlotTable(width: plan.variablePaths.count)
        variables.reach(0)
        tally = FieldTally(fields: plan.fields.count)
    }

    func add(key: UnsafeRawBufferPointer, ordinal: Int64) -> Int32 {
        let number = keys.insert(key)
        slots.reach(number)
        for group in groups { group.add(number, of: key) }
        members?.add(number, of: key, in: self)
        subjects.extend(to: Int(number) + 1, with: Subject())
        subjects[Int(number)] = Subject(ordinal: ordinal, isUnevaluated: true)
        let ages = plan.ageFields.count
        if ages > 0 {
            setAt.extend(to: (Int(number) + 1) * ages, with: .distantPast)
            for place in 0..<ages { setAt[Int(number) * ages + place] = .distantPast }
        }
        if !plan.sides.isEmpty {
            while sideRows.count < (Int(number) + 1) * plan.sides.count { sideRows.append(Self.unknownSideRow) }
            for side in plan.sides.indices { sideRows[Int(number) * plan.sides.count + side] = Self.unknownSideRow }
        }
        if index.hasSequences {
            runs.extend(to: (Int(number) + 1) * plan.sequences.count, with: SequenceRun())
            for place in plan.sequences.indices { runs[Int(number) * plan.sequences.count + place] = SequenceRun() }
        }
        if index.hasMissingRules {
            silences.extend(to: Int(number) + 1, with: SubjectSilence())
            silences[Int(number)] = SubjectSilence()
        }
        if let windowPlan = plan.windowPlan {
            while windows.count <= Int(number) { windows.append(WindowSet(windowPlan)) }
            windows[Int(number)] = WindowSet(windowPlan)
        }
        if index.hasEventTime {
            clocks.extend(to: Int(number) + 1, with: InstanceClock())
            clocks[Int(number)] = InstanceClock()
            while instanceTimers.count <= Int(number) { instanceTimers.append([]) }
            instanceTimers[Int(number)] = []
        }
        if index.learnsIntervals {
            rhythms.extend(to: Int(number) + 1, with: Rhythm())
            rhythms[Int(number)] = Rhythm()
        }
        return number
    }

    func remove(_ subject: Int32) {
        for group in groups { group.remove(subject) }
        members?.remove(subject)
        keys.remove(subject)
        slots.clear(subject)
        subjects[Int(subject)].ordinal = -1
        if let windowPlan = plan.windowPlan { windows[Int(subject)] = WindowSet(windowPlan) }
        if index.hasEventTime {
            clocks[Int(subject)] = InstanceClock()
            instanceTimers[Int(subject)] = []
        }
    }

    func keyValues(_ subject: Int32) -> [String] {
        guard !plan.key.by.isEmpty else { return [] }
        return keys.string(subject).split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
    }

    static func keyBytes(_ values: [String]) -> [UInt8] { Array(values.joined(separator: "\0").utf8) }

    /// The device that a key stands for; nil when the key does not decide it.
    func device(ofKey values: [String]) -> String? {
        guard plan.hasFixedDevice else { return nil }
        let captures = Dictionary(zip(plan.key.by, values)) { first, _ in first }
        if plan.key.query != nil { return Self.device(plan.key.device, captures: captures) }
        return plan.key.subscriptions.first.flatMap { Self.device($0.device, captures: captures) }
    }

    /// The device that captures name, by a pattern or, without one, by the capture `device`.
    static func device(_ parts: [TopicSubscription.DevicePart]?, captures: [String: String]) -> String? {
        guard let parts else { return captures["device"] }
        var text = ""
        for part in parts {
            switch part {
            case .literal(let literal): text += literal
            case .capture(let name):
                guard let value = captures[name] else { return nil }
                text += value
            }
        }
        return text
    }

    /// Subjects of a device whose id follows from their keys.
    func subjects(ofDevice id: String) -> [Int32] {
        guard plan.hasFixedDevice else { return [] }
        if plan.key.by == ["device"], plan.key.device == nil, plan.key.subscriptions.allSatisfy({ $0.device == nil }) {
            let subject = SourceState.keyBytes([id]).withUnsafeBytes { keys.find($0) }
            return subject >= 0 ? [subject] : []
        }
        if plan.usesDevices { return configRowOfDevice[id].map { subjectsOfConfigRow[Int($0)] } ?? [] }
        return known.filter { device(ofKey: keyValues($0)) == id }
    }

    /// Numbers of its subjects, in no order that means anything.
    var known: [Int32] { subjects.indices.filter { subjects[$0].isKnown }.map { Int32($0) } }
}
