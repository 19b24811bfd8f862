import CEL

extension RuleScope {
    /// Mistakes in named expressions that nothing in the rule uses, and which are therefore no part of its plan: they are compiled aside.
    func diagnosticsOfUnusedLets() -> [Diagnostic] {
        let unused = rule.lets.filter { !letsNamed.contains($0.name) }
        guard !unused.isEmpty else { return [] }
        let aside = SourceBuilders()
        let place = aside.place(of: SourceKey(rule))
        let scope = RuleScope(
            rule: rule, source: aside.all[place], environment: environment, strings: strings,
            surroundings: surroundings, queries: QueryBuilder(), sources: aside)
        // Nothing says whether it is meant for a condition or for a text, which may name more.
        scope.place = .text
        for binding in unused where !scope.letsNamed.contains(binding.name) { _ = scope.letSlot(binding.name) }
        return scope.diagnostics.filter { $0.severity == .error }
    }
}
