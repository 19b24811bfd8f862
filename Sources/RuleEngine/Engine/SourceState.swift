import CEL

/// The subjects of one source in one shard: their keys, last known values and beats.
final class SourceState {
    struct Subject {
        /// Last non-retained reading, or when it was registered.
        var lastBeat = Instant.distantPast
        /// The order in which the engine met its subjects.
        var ordinal: Int64 = 0
        /// Row of `configRows`; 0: none, a device that nobody declared.
        var configRow: Int32 = 0
        /// Active alerts of all rules.
        var activeAlerts: Int32 = 0
        /// How many of the source's `missing` rules have already come due since the last beat.
        var silenceStage: UInt16 = 0
        var isKnown = false
    }

    let plan: SourcePlan
    let number: Int32
    /// Keys: the values of `by`, joined by U+0000, which no topic holds.
    let keys = ByteTable()
    let slots: SlotTable
    var subjects: [Subject] = []
    /// When the fields in `plan.ageFields` were set: a row a subject.
    var setAt: [Instant] = []
    /// Values of `plan.configPaths`; row 0 is all missing.
    let configRows: SlotTable
    var configRowOfDevice: [String: Int32] = [:]
    var deviceOfConfigRow: [String] = [""]
    let variables: SlotTable

    init(plan: SourcePlan, number: Int32) {
        self.plan = plan
        self.number = number
        slots = SlotTable(width: plan.fields.count)
        configRows = SlotTable(width: plan.configPaths.count)
        configRows.reach(0)
        variables = SlotTable(width: plan.variablePaths.count)
        variables.reach(0)
    }

    func add(key: UnsafeRawBufferPointer, ordinal: Int64) -> Int32 {
        let number = keys.insert(key)
        slots.reach(number)
        if Int(number) >= subjects.count { subjects.append(Subject()) }
        subjects[Int(number)] = Subject(ordinal: ordinal, isKnown: true)
        let ages = plan.ageFields.count
        if ages > 0 {
            while setAt.count < (Int(number) + 1) * ages { setAt.append(.distantPast) }
            for place in 0..<ages { setAt[Int(number) * ages + place] = .distantPast }
        }
        return number
    }

    func remove(_ subject: Int32) {
        keys.remove(subject)
        slots.clear(subject)
        subjects[Int(subject)].isKnown = false
    }

    func keyValues(_ subject: Int32) -> [String] {
        guard !plan.key.by.isEmpty else { return [] }
        return keys.string(subject).split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
    }

    static func keyBytes(_ values: [String]) -> [UInt8] { Array(values.joined(separator: "\0").utf8) }

    /// The device that a key stands for; nil when the key does not decide it.
    func device(ofKey values: [String]) -> String? {
        guard plan.hasFixedDevice else { return nil }
        let captures = Dictionary(uniqueKeysWithValues: zip(plan.key.by, values))
        return plan.key.subscriptions.first.flatMap { Self.device($0, captures: captures) }
    }

    static func device(_ subscription: TopicSubscription, captures: [String: String]) -> String? {
        guard let parts = subscription.device else { return captures["device"] }
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
}
