import CEL

/// Which rules of a source a reading concerns, in flat tables: read at every reading, written once.
final class SourceIndex: @unchecked Sendable {
    // @unchecked: the tables are written in `init`, only read afterwards, and freed in `deinit`.

    /// Where a field's rules stand in `rules`, and its constants in `thresholds`.
    struct Field: BitwiseCopyable {
        var presence: Int32 = 0
        var presenceEnd: Int32 = 0
        var change: Int32 = 0
        var changeEnd: Int32 = 0
        var threshold: Int32 = 0
        var thresholdEnd: Int32 = 0
        /// Place in `SourcePlan.ageFields`, or -1.
        var age: Int32 = -1
    }

    let fieldCount: Int
    let fields: UnsafeMutablePointer<Field>
    let rules: UnsafeMutablePointer<Int32>
    /// Where in `rules` those stand that are evaluated at every reading.
    let everyReading: Range<Int>
    let thresholds: UnsafeMutablePointer<Double>
    let thresholdRules: UnsafeMutablePointer<Int32>
    /// For each of `SourcePlan.extras` the window that it is, or -1.
    let windowOfExtra: UnsafeMutablePointer<Int32>
    /// For each of `SourcePlan.sampled` the field that it is, where it is nothing else, or -1.
    let fieldOfSampled: UnsafeMutablePointer<Int32>

    let readsEdges: Bool
    let hasAges: Bool
    /// Whether the configuration is that of each reading's own device.
    let readsDeviceOfReading: Bool
    let hasMissingRules: Bool
    let learnsIntervals: Bool
    let hasEventTime: Bool
    /// Whether steps of sequences ask which of the filters a reading's topic matches.
    let hasSequences: Bool
    /// Whether samples of one instant are several: of several devices, or received together.
    let samplesStandTogether: Bool
    /// Whether rules see readings of other sources, or it is a source of these.
    let isSeenAcross: Bool

    init(_ plan: SourcePlan) {
        fieldCount = plan.fields.count
        readsEdges = plan.readsEdges
        hasAges = !plan.ageFields.isEmpty
        readsDeviceOfReading = !plan.hasFixedDevice && plan.usesDevices
        hasMissingRules = !plan.missingRules.isEmpty
        learnsIntervals = plan.learnsIntervals
        hasEventTime = plan.hasEventTime
        hasSequences = !plan.sequences.isEmpty
        samplesStandTogether = !plan.hasEventTime || plan.isGroup
        isSeenAcross = plan.key.isForOthers || !plan.latests.isEmpty || !plan.memberLists.isEmpty
        var rules = plan.onEveryReading
        everyReading = 0..<rules.count
        var constants: [Threshold] = []
        fields = .allocate(capacity: max(1, plan.fields.count))
        for place in plan.fields.indices {
            var field = Field()
            field.presence = Int32(rules.count)
            rules += plan.onPresence[place]
            field.presenceEnd = Int32(rules.count)
            field.change = field.presenceEnd
            rules += plan.onChange[place]
            field.changeEnd = Int32(rules.count)
            field.threshold = Int32(constants.count)
            constants += plan.thresholds[place]
            field.thresholdEnd = Int32(constants.count)
            field.age = plan.ageFields.firstIndex(of: place).map { Int32($0) } ?? -1
            (fields + place).initialize(to: field)
        }
        self.rules = .allocate(capacity: max(1, rules.count))
        self.rules.initialize(from: rules, count: rules.count)
        thresholds = .allocate(capacity: max(1, constants.count))
        thresholds.initialize(from: constants.map(\.value), count: constants.count)
        thresholdRules = .allocate(capacity: max(1, constants.count))
        thresholdRules.initialize(from: constants.map(\.rule), count: constants.count)
        windowOfExtra = .allocate(capacity: max(1, plan.extras.count))
        windowOfExtra.initialize(
            from: plan.extras.map { if case .window(let window) = $0.kind { Int32(window) } else { -1 } }, count: plan.extras.count)
        fieldOfSampled = .allocate(capacity: max(1, plan.sampled.count))
        fieldOfSampled.initialize(
            from: plan.sampled.map { Int32($0.program.bareSlot.flatMap { $0 < plan.fields.count ? $0 : nil } ?? -1) },
            count: plan.sampled.count)
    }

    deinit {
        fields.deallocate()
        rules.deallocate()
        thresholds.deallocate()
        thresholdRules.deallocate()
        windowOfExtra.deallocate()
        fieldOfSampled.deallocate()
    }
}
