import CEL

/// Slots of values under a plan's strings.
enum CELSlot {
    static func make(_ value: Value, _ plan: EvaluationPlan) -> Slot { Slot(retaining: value, strings: plan.strings) }
}
