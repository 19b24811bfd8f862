import CEL

extension RuleNames {
    private static let ownFunctions: Set<String> = [
        "previous", "changed", "became", "age", "latest", "is_between", "is_weekday", "distance", "in_zone", "has",
    ]

    /// Whether expressions of rules have a function or macro of this name already.
    static func hasFunction(_ name: String, _ environment: Environment) -> Bool {
        if ownFunctions.contains(name) || WindowFunction.named(name) != nil { return true }
        let parsed = environment.parse("\(name)()")
        guard let expression = parsed.expression, parsed.diagnostics.isEmpty else { return true }
        var names = NoNames()
        let found = environment.compile(expression, names: &names, strings: InternedStrings())
        return !found.diagnostics.contains { $0.code == "unknown-function" }
    }
}

/// Functions that only rules have.
public enum RuleFunctions {
    /// Whether a function looks at what an instance has said, or at the time and place of the server: outside of rules it has no value.
    public static func needsInstance(_ name: String) -> Bool {
        ["previous", "changed", "became", "age", "latest", "is_between", "is_weekday", "in_zone"].contains(name)
            || WindowFunction.named(name) != nil
    }
}
