internal import RuleEngine

extension AutomationRuntime {
    func defineNotify(_ automation: Automation) {
        define(automation, "notify") { runtime, automation, call in
            guard let members = call[0].members else { return .raise("wants a table with 'receiver' and 'summary'") }
            let known = ["receiver", "summary", "description", "severity", "labels"]
            if let stray = members.first(where: { !known.contains($0.name) }) {
                return .raise("there is no '\(stray.name)': there are receiver, summary, description, severity and labels")
            }
            guard let receiver = call[0]["receiver"]?.text else { return .raise("wants a table with 'receiver' and 'summary'") }
            guard let summary = call[0]["summary"]?.plainText else { return .raise("'summary' must be a text") }
            var content: [Document.Member] = [.init("summary", .string(summary))]
            for member in members {
                switch member.name {
                case "receiver", "summary": break
                case "description", "severity":
                    guard let text = member.value.plainText else { return .raise("'\(member.name)' must be a text") }
                    content.append(.init(member.name, .string(text)))
                case "labels":
                    guard let labels = member.value.members else { return .raise("'labels' must be a table") }
                    content.append(.init("labels", .object(labels.map { .init($0.name, .string($0.value.plainText ?? "")) })))
                default: break
                }
            }
            if let over = runtime.overOutput(automation) { return over }
            runtime.emit(automation, .notify(receiver: receiver, content: .object(content)))
            return .nothing
        }
    }
}
