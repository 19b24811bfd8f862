/// A rule's health: `error` as long as the last result of one of its instances was one.
extension EngineContext {
    /// So many instances in error are remembered for a rule; it does not wait for further ones.
    private static let mostFaultyInstances = 1_000

    /// Counts an error of an instance; whether the rule was not in error before, so that its message is wanted.
    func noteError(_ rule: Int32, instance ordinal: Int64) -> Bool {
        ruleStates[Int(rule)].evaluationErrors &+= 1
        if faultyInstances[rule, default: []].count < Self.mostFaultyInstances { faultyInstances[rule, default: []].insert(ordinal) }
        guard ruleStates[Int(rule)].health != .error else { return false }
        ruleStates[Int(rule)].health = .error
        return true
    }

    /// An instance had a result, or is there no more, while the rule was not known to be well.
    func noteResult(_ rule: Int32, instance ordinal: Int64) {
        if let place = faultyInstances.index(forKey: rule) {
            guard faultyInstances.values[place].remove(ordinal) != nil, faultyInstances.values[place].isEmpty else { return }
            faultyInstances.remove(at: place)
        }
        ruleStates[Int(rule)].health = .ok
    }

    func forgetErrors(of rules: [Int32], instance ordinal: Int64) {
        guard !faultyInstances.isEmpty else { return }
        for rule in rules where faultyInstances[rule] != nil { noteResult(rule, instance: ordinal) }
    }
}
