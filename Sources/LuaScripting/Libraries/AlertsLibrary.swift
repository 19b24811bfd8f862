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
        define(automation, "alerts.acknowledge") { runtime, automation, call in
            runtime.hush(automation) { () throws(ArgumentMistake) in
                guard let id = call[0].text ?? call[0]["id"]?.text, !id.isEmpty else {
                    throw ArgumentMistake("wants an alert or its id first")
                }
                let options = try HushOptions(call[1], of: automation, others: [], at: runtime.now)
                return (.acknowledge(alert: id, by: options.by, comment: options.comment, until: options.end), .nothing)
            }
        }
        define(automation, "alerts.silence") { runtime, automation, call in
            runtime.hush(automation) { () throws(ArgumentMistake) in
                let options = try HushOptions(call[0], of: automation, others: ["matchers"], at: runtime.now)
                guard let end = options.end else { throw ArgumentMistake("wants 'duration', as in '2h'") }
                automation.silences += 1
                let id = "\(automation.name)-\(runtime.now.nanoseconds)-\(automation.silences)"
                let silence = Silence(
                    id: id, matchers: try Self.matchers(call[0]["matchers"]), startsAt: runtime.now, endsAt: end, createdBy: options.by,
                    comment: options.comment, updatedAt: runtime.now)
                return (.silence(silence), .value(.string(id)))
            }
        }
        define(automation, "alerts.end_silence") { runtime, automation, call in
            runtime.hush(automation) { () throws(ArgumentMistake) in
                guard let id = call[0].text, !id.isEmpty else { throw ArgumentMistake("wants the id that alerts.silence gave") }
                return (.endSilence(id: id), .nothing)
            }
        }
    }

    private func hush(
        _ automation: Automation, _ read: () throws(ArgumentMistake) -> (HushRequest, LuaAnswer)
    ) -> LuaAnswer {
        do throws(ArgumentMistake) {
            let (request, answer) = try read()
            if let over = overOutput(automation) { return over }
            emit(automation, .hush(request))
            return answer
        } catch { return .raise(error.message) }
    }

    /// Texts as in `notifications.yaml`, or a table of labels and their values.
    private static func matchers(_ value: LuaValue?) throws(ArgumentMistake) -> [Matcher] {
        let wanted = "'matchers' must be texts such as 'site=\"oslo\"', or a table of labels and values"
        var found: [Matcher] = []
        if let members = value?.members, !members.isEmpty {
            for member in members {
                guard MatcherText.isLabelName(member.name), let text = member.value.plainText else { throw ArgumentMistake(wanted) }
                found.append(Matcher(member.name, .equal, text))
            }
        } else {
            for element in value?.elements ?? value.map({ [$0] }) ?? [] {
                guard let text = element.text else { throw ArgumentMistake(wanted) }
                do { found += try MatcherText.parse(text).map(\.0) } catch { throw ArgumentMistake("\(error.message): '\(text)'") }
            }
        }
        guard !found.isEmpty else { throw ArgumentMistake(wanted) }
        return found
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

/// What acknowledgements and silences have in common.
private struct HushOptions {
    var by: String
    var comment = ""
    /// Nil: no duration was given.
    var end: Instant?

    init(_ wanted: LuaValue, of automation: Automation, others: [String], at now: Instant) throws(ArgumentMistake) {
        by = automation.name
        if wanted == .none || wanted == .null { return }
        guard let members = wanted.members else {
            throw ArgumentMistake("wants a table of options: \((others + Self.names).joined(separator: ", "))")
        }
        for member in members where !others.contains(member.name) {
            switch member.name {
            case "by", "comment":
                guard let text = member.value.text else { throw ArgumentMistake("'\(member.name)' must be a text") }
                if member.name == "by" { by = text } else { comment = text }
            case "duration":
                guard let nanoseconds = member.value.nanoseconds else {
                    throw ArgumentMistake("'duration' must be a duration, as '2h', or seconds")
                }
                end = now + nanoseconds
            default: throw ArgumentMistake("there is no '\(member.name)': there are \((others + Self.names).joined(separator: ", "))")
            }
        }
    }

    private static let names = ["duration", "comment", "by"]
}
