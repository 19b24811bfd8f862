internal import RuleEngine

extension AutomationRuntime {
    func defineAlerts(_ automation: Automation) {
        define(automation, "alerts.list") { runtime, _, call in
            let wanted = call[0]
            let labels = wanted["labels"]?.members ?? []
            let found = runtime.world.alerts().filter { alert in
                !alert.isShadow && (wanted["alertname"]?.text.map { $0 == alert.rule.alert } ?? true)
                    && (wanted["state"]?.text.map { $0 == alert.state.rawValue } ?? true)
                    && labels.allSatisfy { label in label.value.plainText.map { $0 == alert.labels[label.name] } ?? false }
            }
            return .value(.array(found.sorted { $0.storageID < $1.storageID }.map { LuaValue($0.scriptDocument) }))
        }
    }
}
