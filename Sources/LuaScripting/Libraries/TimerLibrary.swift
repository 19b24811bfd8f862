internal import RuleEngine

/// `after` and `schedule`: functions that are called later.
extension AutomationRuntime {
    func defineTimers(_ automation: Automation) {
        define(automation, "after", takesFunctions: true) { runtime, automation, call in
            guard let nanoseconds = call.duration(0) else { return .raise("wants a duration first, such as \"10m\"") }
            guard let function = call[1].function else { return .raise("wants a function") }
            guard automation.pendingFunctions < runtime.settings.waitingHandlers else {
                automation.lua.release(function)
                return .exceed(
                    .waitingHandlers,
                    "waiting handlers limit: \(runtime.settings.waitingHandlers) functions of 'after' wait already, as many as a script may have"
                )
            }
            automation.pendingFunctions += 1
            runtime.addTimer(runtime.now + nanoseconds, automation, .after(function))
            return .nothing
        }
        define(automation, "schedule") { runtime, automation, call in
            guard let at = call[0].instant(from: runtime.now) else {
                return .raise("wants an instant first: seconds since 1970, RFC 3339, or a duration from now")
            }
            guard let name = call[1].text else { return .raise("wants the name that 'on_schedule' was given") }
            if let over = runtime.overOutput(automation) { return over }
            let owner = runtime.heir(of: automation)
            let id = "schedule/\(owner.name)/\(owner.nextSchedule)"
            owner.nextSchedule += 1
            let data = call[2].document
            runtime.keep(owner, id, ["at": .int(at.nanoseconds), "name": .string(name), "data": data])
            runtime.addTimer(max(at, runtime.now), owner, .schedule(id: id, name: name, data: data))
            return .nothing
        }
    }
}
