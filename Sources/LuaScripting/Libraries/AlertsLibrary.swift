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
        define(automation, "alerts.raise") { runtime, automation, call in
            do throws(ArgumentMistake) {
                let alert = try Self.alert(call[0], of: automation)
                if let over = runtime.overOutput(automation) { return over }
                runtime.emit(automation, .raise(alert))
                return .value(.string(alert.id))
            } catch { return .raise(error.message) }
        }
        define(automation, "alerts.resolve") { runtime, automation, call in
            do throws(ArgumentMistake) {
                let selection = try Self.selection(call[0], of: automation)
                if let over = runtime.overOutput(automation) { return over }
                runtime.emit(automation, .resolve(selection))
                return .nothing
            } catch { return .raise(error.message) }
        }
        // Silences and acknowledgements are no part of the notification pipeline yet: half of one would let an alert be missed.
        for name in ["acknowledge", "silence"] {
            define(automation, "alerts.\(name)") { _, _, _ in
                .raise("is not available in this version: there are no silences and acknowledgements yet")
            }
        }
    }

    private static func alert(_ wanted: LuaValue, of automation: Automation) throws(ArgumentMistake) -> ScriptAlert {
        var alert = ScriptAlert(automation: automation.name, alertname: try alertname(wanted) ?? "")
        guard !alert.alertname.isEmpty else { throw ArgumentMistake("wants a table with 'alertname'") }
        for member in wanted.members ?? [] {
            switch member.name {
            case "alertname": break
            case "labels": alert.labels = try labels(member.value)
            case "annotations": alert.annotations = try member.value.texts("annotations")
            case "severity":
                guard let text = member.value.text, !text.isEmpty else { throw ArgumentMistake("'severity' must be a text") }
                alert.severity = text
            case "value":
                switch member.value {
                case .bool, .int, .double, .string: alert.value = member.value.document
                default: throw ArgumentMistake("'value' must be a number, a bool or a text")
                }
            default:
                throw ArgumentMistake("there is no '\(member.name)': there are alertname, labels, annotations, severity and value")
            }
        }
        return alert
    }

    private static func selection(_ wanted: LuaValue, of automation: Automation) throws(ArgumentMistake) -> ScriptAlertSelection {
        var selection = ScriptAlertSelection(automation: automation.name, alertname: try alertname(wanted))
        for member in wanted.members ?? [] {
            switch member.name {
            case "alertname": break
            case "labels": selection.labels = try labels(member.value)
            default: throw ArgumentMistake("there is no '\(member.name)': there are alertname and labels")
            }
        }
        return selection
    }

    private static func alertname(_ wanted: LuaValue) throws(ArgumentMistake) -> String? {
        guard wanted.members != nil else { throw ArgumentMistake("wants a table: { alertname =, labels = {} }") }
        guard let name = wanted["alertname"] else { return nil }
        guard let text = name.text, !text.isEmpty, text.utf8.count <= 200 else {
            throw ArgumentMistake("'alertname' must be a text of at most 200 bytes")
        }
        return text
    }

    private static func labels(_ value: LuaValue) throws(ArgumentMistake) -> [String: String] {
        let labels = try value.texts("labels")
        for reserved in ["alertname", "severity"] where labels[reserved] != nil {
            throw ArgumentMistake("'labels' cannot hold '\(reserved)': it is given beside them")
        }
        guard labels.count <= 50, labels.allSatisfy({ $0.key.utf8.count <= 100 && $0.value.utf8.count <= 1000 }) else {
            throw ArgumentMistake("there may be 50 labels, of 100 bytes a name and 1000 bytes a value")
        }
        return labels
    }
}
