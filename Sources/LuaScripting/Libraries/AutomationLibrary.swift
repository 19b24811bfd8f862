internal import RuleEngine

/// `automation { … }` and the methods of what it gives.
extension AutomationRuntime {
    private static let handleKind: Int32 = 1

    func defineAutomation(_ automation: Automation) {
        define(automation, "automation") { _, automation, call in
            guard automation.isLoading else { return .raise("is called while the file is read, not in a handler") }
            guard let settings = call[0].members else { return .raise("wants a table: automation { name = \"…\" }") }
            if let stray = settings.first(where: { !["name", "description"].contains($0.name) }) {
                return .raise("there is no '\(stray.name)': there are name and description")
            }
            if let name = call[0]["name"] {
                guard let text = name.text, Self.isName(text) else { return .raise("'name' must be letters, digits, '-' and '_'") }
                automation.name = text
            }
            automation.description = call[0]["description"]?.text ?? ""
            return .value(.handle(kind: Self.handleKind, number: 0))
        }
        defineReadingsAndAlerts(automation)
        method(automation, "on_start") { automation, call in Self.add(.start, call[1], .none, captures: [], automation) }
        method(automation, "on_stop") { automation, call in Self.add(.stop, call[1], .none, captures: [], automation) }
        method(automation, "on_schedule") { automation, call in
            guard let name = call[1].text else { return .raise("wants the name that 'schedule' is given") }
            return Self.add(.schedule(name: name), call[2], call[3], captures: [], automation)
        }
        method(automation, "action") { automation, call in
            guard let name = call[1].text, Self.isName(name) else {
                return .raise("wants the action's name first: letters, digits, '-' and '_'")
            }
            guard !automation.actions.contains(name) else { return .raise("there is an action '\(name)' already") }
            // Nothing of what rules want is dropped, unless the script says so: calls for one alert stand in line.
            return Self.add(.action(name: name), call[2], call[3], captures: [], automation, mode: .queued)
        }
        method(automation, "every") { automation, call in Self.addEvery(automation, call, from: 1) }
        method(automation, "cron") { automation, call in Self.addCron(automation, call, from: 1) }
        define(automation, "every", takesFunctions: true) { _, automation, call in Self.addEvery(automation, call, from: 0) }
        define(automation, "cron", takesFunctions: true) { _, automation, call in Self.addCron(automation, call, from: 0) }
    }

    private func defineReadingsAndAlerts(_ automation: Automation) {
        method(automation, "on_reading") { automation, call in
            guard let text = call[1].text else { return .raise("wants a topic filter first") }
            let filter: TopicFilter
            do throws(TopicFilter.Mistake) { filter = try TopicFilter(text) } catch { return .raise("'\(text)': \(error.message)") }
            let takesRetained = call[3]["retained"]?.text == "use"
            return Self.add(.reading(filter, takesRetained: takesRetained), call[2], call[3], captures: filter.captures, automation)
        }
        method(automation, "on_alert") { automation, call in
            guard let name = call[1].text else { return .raise("wants the alert's name first, or '*'") }
            var state: String?
            var rest = 2
            if let text = call[2].text {
                guard AlertState(rawValue: text) != nil else {
                    return .raise("the state must be one of \(AlertState.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                state = text
                rest = 3
            }
            return Self.add(.alert(name: name, state: state), call[rest], call[rest + 1], captures: [], automation)
        }
    }

    private func method(_ automation: Automation, _ name: String, _ body: @escaping (Automation, LuaCall) -> LuaAnswer) {
        automation.lua.defineMethod(
            name, ofKind: Self.handleKind, named: "automation",
            guarded(automation, name) { _, automation, call in
                guard automation.isLoading else { return .raise("handlers are registered while the file is read") }
                guard case .handle = call[0] else { return .raise("is a method: call it with ':'") }
                return body(automation, call)
            })
    }

    private static func isName(_ text: String) -> Bool {
        func isLetterOrDigit(_ byte: UInt8) -> Bool { (byte | 0x20 >= 97 && byte | 0x20 <= 122) || (byte >= 48 && byte <= 57) }
        return !text.isEmpty && text.utf8.count <= 100 && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == 45 || $0 == 95 }
    }

    private static func addEvery(_ automation: Automation, _ call: LuaCall, from place: Int) -> LuaAnswer {
        guard automation.isLoading else { return .raise("is called while the file is read; in a handler there is 'after'") }
        guard let nanoseconds = call.duration(place), nanoseconds >= 100_000_000 else {
            return .raise("wants a duration of at least 100ms, such as \"15m\"")
        }
        return addClock(.every(nanoseconds: nanoseconds), call[place + 1], call[place + 2], automation)
    }

    private static func addCron(_ automation: Automation, _ call: LuaCall, from place: Int) -> LuaAnswer {
        guard automation.isLoading else { return .raise("is called while the file is read") }
        guard let text = call[place].text else { return .raise("wants a cron expression, such as \"0 7 * * mon-fri\"") }
        do throws(CronExpression.Mistake) {
            return addClock(.cron(try CronExpression(text)), call[place + 1], call[place + 2], automation)
        } catch {
            return .raise("'\(text)': \(error.message)")
        }
    }

    private static func addClock(_ trigger: Handler.Trigger, _ function: LuaValue, _ options: LuaValue, _ automation: Automation)
        -> LuaAnswer
    {
        let answer = add(trigger, function, options, captures: [], automation)
        if case .raise = answer { return answer }
        return clock(of: automation.handlers.count - 1)
    }

    private static func add(
        _ trigger: Handler.Trigger, _ function: LuaValue, _ options: LuaValue, captures: [String], _ automation: Automation,
        mode: Handler.Mode = .single
    ) -> LuaAnswer {
        guard let function = function.function else { return .raise("wants a function") }
        var handler = Handler(trigger: trigger, function: function, mode: mode)
        guard let members = options.isNone ? [] : options.members else { return .raise("the options must be a table") }
        for option in members {
            if let mistake = set(option, of: &handler, captures) { return .raise(mistake) }
        }
        automation.handlers.append(handler)
        return .nothing
    }

    /// Gives what is wrong with an option.
    private static func set(_ option: LuaValue.Member, of handler: inout Handler, _ captures: [String]) -> String? {
        switch option.name {
        case "mode":
            guard let mode = option.value.text.flatMap(Handler.Mode.init) else {
                return "'mode' must be single, restart, queued or parallel"
            }
            handler.mode = mode
        case "key":
            let names = option.value.text.map { [$0] } ?? option.value.elements?.compactMap(\.text) ?? []
            if names.isEmpty { return "'key' must be the name of a capture, or a list of them" }
            if let stray = names.first(where: { !captures.contains($0) }) {
                return "'key' must name a capture of the filter: there is no '{\(stray)}'"
            }
            handler.key = names
        case "max":
            guard let most = option.value.integer, (1...10_000).contains(most) else { return "'max' must be from 1 to 10000" }
            handler.most = Int(most)
        case "retained":
            guard let text = option.value.text, ["use", "skip"].contains(text) else { return "'retained' must be use or skip" }
        default: return "there is no option '\(option.name)': there are mode, key, max and retained"
        }
        return nil
    }
}
