import CEL

/// `duration(config.silence)` in a condition: a value of its own, as that of a `let`, so that a rule is looked at when an age that is compared with it passes it.
struct ConfiguredDuration {
    let call: HostCall
    let scope: RuleScope

    func resolve() -> CallResolution {
        guard scope.place == .condition, call.receiver == nil, call.arguments.count == 1, let argument = call.arguments.first,
            !argument.freeNames.isEmpty,
            argument.freeNames.allSatisfy({ ["config", "vars"].contains($0) && !call.localNames.contains($0) }),
            let expression = scope.environment.parse("duration(\(argument))").expression
        else { return .notMine }
        var names = NamesAlone(names: RuleNames(scope: scope))
        let result = scope.environment.compile(expression, names: &names, strings: scope.strings)
        // What is wrong with it is told where it stands.
        guard result.diagnostics.isEmpty, let program = result.program else { return .notMine }
        let text = "let \(expression)"
        let slot = scope.source.extra("\(text) \(program.slotsUsed)", meaning: text, .binding(program), over: program)
        return .slot(slot, type: .duration)
    }

    /// The names of a rule, and no calls.
    private struct NamesAlone: NameResolver {
        var names: RuleNames

        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution { names.resolve(path, span: span) }
        mutating func call(_ call: HostCall) -> CallResolution { .notMine }
    }
}
