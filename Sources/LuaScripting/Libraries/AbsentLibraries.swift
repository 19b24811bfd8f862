internal import RuleEngine

/// What scripts will find later: called today, it says that it is not there.
extension AutomationRuntime {
    func defineAbsent(_ automation: Automation) {
        let absent = [
            "influx.query", "influx.write", "http.get", "http.post", "http.request", "alerts.acknowledge", "alerts.silence", "alerts.raise",
            "alerts.resolve",
        ]
        for path in absent { define(automation, path) { _, _, _ in .raise("is not available in this version") } }
    }
}
