internal import RuleEngine

/// What functions share that ask for something and wait for the answer.
extension AutomationRuntime {
    /// Lets the call that runs now wait for the answer to a request; it counts as something put out.
    func ask(_ request: ScriptRequest, _ automation: Automation, _ call: LuaCall) -> LuaAnswer {
        if let over = overOutput(automation) { return over }
        let number = newRequest()
        let answer = wait(automation, call, .request(number), until: nil)
        guard case .wait = answer else { return answer }
        emit(automation, .request(number, request))
        return answer
    }
}

extension ScriptAnswer {
    /// What the function gives: a value, or nil and a message.
    func write(to writer: LuaWriter) {
        switch self {
        case .done: writer.bool(true)
        case .value(let document): writer.value(document)
        case .response(let status, let headers, let body): writer.response(status, headers, body)
        case .failed(let message):
            writer.nothing()
            writer.string(message)
        }
    }
}

/// Why the arguments of a function are none that it takes.
struct ArgumentMistake: Error {
    var message: String
    init(_ message: String) { self.message = message }
}

extension LuaValue {
    /// Members that are texts, numbers or bools, as text.
    func texts(_ name: String) throws(ArgumentMistake) -> [String: String] {
        guard let members = isNone ? [] : members else { throw ArgumentMistake("'\(name)' must be a table of texts") }
        var texts: [String: String] = [:]
        for member in members {
            guard let text = member.value.plainText else { throw ArgumentMistake("'\(name).\(member.name)' must be a text") }
            texts[member.name] = text
        }
        return texts
    }
}
