import CEL

/// What evaluating a rule reads of it, in flat tables: read at every evaluation, written once.
final class RuleTable: @unchecked Sendable {
    // @unchecked: the tables are written in `init`, only read afterwards, and freed in `deinit`.

    struct Row: BitwiseCopyable {
        /// The conditions of its levels, mildest first.
        let conditions: UnsafePointer<Unmanaged<Program>>
        let levelCount: Int32
        let isEvent: Bool
        let isSequence: Bool
        let usesFrame: Bool
        /// Whether time alone changes what its conditions say.
        let movesByItself: Bool
        fileprivate let rule: Unmanaged<RulePlan>

        /// All that is known of it.
        var plan: RulePlan { rule.takeUnretainedValue() }
    }

    let rows: UnsafePointer<Row>
    /// Holds what the rows point to.
    private let plans: [RulePlan]
    private let conditions: UnsafeMutablePointer<Unmanaged<Program>>

    init(_ plans: [RulePlan]) {
        self.plans = plans
        let programs = plans.flatMap { plan in plan.levels.map { Unmanaged.passUnretained($0.condition) } }
        conditions = .allocate(capacity: max(1, programs.count))
        conditions.initialize(from: programs, count: programs.count)
        let rows = UnsafeMutablePointer<Row>.allocate(capacity: max(1, plans.count))
        var first = 0
        for (number, plan) in plans.enumerated() {
            let row = Row(
                conditions: conditions + first, levelCount: Int32(plan.levels.count), isEvent: plan.isEvent,
                isSequence: plan.sequence != nil, usesFrame: plan.usesFrame, movesByItself: plan.turnsByTime,
                rule: Unmanaged.passUnretained(plan))
            (rows + number).initialize(to: row)
            first += plan.levels.count
        }
        self.rows = UnsafePointer(rows)
    }

    deinit {
        rows.deallocate()
        conditions.deallocate()
    }
}
