internal import RuleEngine

/// `log.debug`, `log.info`, `log.warning`, `log.error`; `print` is `log.info`.
extension AutomationRuntime {
    func defineLog(_ automation: Automation) {
        for level in ["debug", "info", "warning", "error"] {
            define(automation, "log.\(level)") { runtime, automation, call in runtime.log(automation, level, call, " ") }
        }
        define(automation, "print") { runtime, automation, call in runtime.log(automation, "info", call, "\t") }
    }

    private func log(_ automation: Automation, _ level: String, _ call: LuaCall, _ separator: String) -> LuaAnswer {
        if let over = overOutput(automation) { return over }
        let text = call.arguments.map { value in
            switch value {
            case .none: "nil"
            case .array, .object: value.document.json
            default: value.plainText ?? value.typeName
            }
        }.joined(separator: separator)
        emit(automation, .log(level: level, message: String(decoding: text.utf8.prefix(4096), as: UTF8.self)))
        return .nothing
    }
}
