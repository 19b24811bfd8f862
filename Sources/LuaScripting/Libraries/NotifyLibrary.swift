internal import RuleEngine

extension AutomationRuntime {
    func defineNotify(_ automation: Automation) {
        define(automation, "notify") { runtime, automation, call in
            guard let receiver = call[0]["receiver"]?.text else { return .raise("wants a table with 'receiver' and 'summary'") }
            guard let summary = call[0]["summary"]?.plainText else { return .raise("'summary' must be a text") }
            var content: [Document.Member] = [.init("summary", .string(summary))]
            for member in call[0].members ?? [] {
                switch member.name {
                case "receiver", "summary": break
                case "description", "severity":
                    guard let text = member.value.plainText else { return .raise("'\(member.name)' must be a text") }
                    content.append(.init(member.name, .string(text)))
                case "labels":
                    guard let labels = member.value.members else { return .raise("'labels' must be a table") }
                    content.append(.init("labels", .object(labels.map { .init($0.name, .string($0.value.plainText ?? "")) })))
                default:
                    return .raise("there is no '\(member.name)': there are receiver, summary, description, severity and labels")
                }
            }
            if let over = runtime.overOutput(automation) { return over }
            runtime.emit(automation, .notify(receiver: receiver, content: .object(content)))
            return .nothing
        }
    }
}
