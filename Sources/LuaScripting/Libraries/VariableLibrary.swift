internal import RuleEngine

/// `vars`: the variables that rules read as `vars.NAME`.
extension AutomationRuntime {
    /// As long as a name may be over REST.
    private static let longestName = 512

    func defineVariables(_ automation: Automation) {
        define(automation, "vars.get") { runtime, _, call in
            guard let name = Self.variable(call[0]) else { return .raise("wants a variable's name") }
            return .value(runtime.world.variable(name).map { LuaValue($0) } ?? .none)
        }
        define(automation, "vars.set") { runtime, automation, call in
            guard let name = Self.variable(call[0]) else { return .raise("wants a variable's name first") }
            return runtime.ask(.setVariable(name: name, call[1].isNone ? nil : call[1].document), automation, call)
        }
    }

    private static func variable(_ value: LuaValue) -> String? {
        guard let name = value.text, !name.isEmpty, name.utf8.count <= longestName else { return nil }
        return name.unicodeScalars.contains { $0.properties.generalCategory == .control } ? nil : name
    }
}
