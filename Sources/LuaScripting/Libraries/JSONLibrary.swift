internal import RuleEngine

extension AutomationRuntime {
    func defineJSON(_ automation: Automation) {
        automation.lua.set("json.null", .null)
        define(automation, "json.encode") { _, _, call in .value(.string(call[0].document.json)) }
        define(automation, "json.decode") { _, _, call in
            guard let text = call[0].payload else { return .raise("wants a string") }
            guard let value = LuaValue(json: text) else { return .failed("it is no JSON") }
            return .value(value)
        }
    }
}
