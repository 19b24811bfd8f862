internal import RuleEngine

/// `after` and `schedule`: functions that are called later; `cancel` of what `after`, `every` and `cron` give.
extension AutomationRuntime {
    private static let functionKind: Int32 = 3
    private static let clockKind: Int32 = 4

    /// What `every` and `cron` give: the clock of a handler.
    static func clock(of handler: Int) -> LuaAnswer { .value(.handle(kind: clockKind, number: Int64(handler))) }

    func defineTimers(_ automation: Automation) {
        defineCancelling(automation)
        define(automation, "after", takesFunctions: true) { runtime, automation, call in
            guard let nanoseconds = call.duration(0) else { return .raise("wants a duration first, such as \"10m\"") }
            guard let function = call[1].function else { return .raise("wants a function") }
            guard automation.pending.count < runtime.settings.waitingHandlers else {
                automation.lua.release(function)
                return .exceed(
                    .waitingHandlers,
                    "waiting handlers limit: \(runtime.settings.waitingHandlers) functions of 'after' wait already, as many as a script may have"
                )
            }
            let number = runtime.nextFunctionNumber()
            automation.pending[number] = function
            runtime.addTimer(runtime.now + nanoseconds, automation, .after(number: number))
            return .value(.handle(kind: Self.functionKind, number: number))
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

    /// `timer:cancel()`: whether anything was still to come.
    private func defineCancelling(_ automation: Automation) {
        automation.lua.defineMethod(
            "cancel", ofKind: Self.functionKind, named: "timer",
            guarded(automation, "cancel") { _, automation, call in
                guard case .handle(Self.functionKind, let number) = call[0] else { return .raise("is a method: call it with ':'") }
                guard let function = automation.pending.removeValue(forKey: number) else { return .value(.bool(false)) }
                automation.lua.release(function)
                return .value(.bool(true))
            })
        automation.lua.defineMethod(
            "cancel", ofKind: Self.clockKind, named: "timer",
            guarded(automation, "cancel") { _, automation, call in
                guard case .handle(Self.clockKind, let number) = call[0], automation.handlers.indices.contains(Int(number)) else {
                    return .raise("is a method: call it with ':'")
                }
                let wasRunning = !automation.handlers[Int(number)].isCancelled
                automation.handlers[Int(number)].isCancelled = true
                return .value(.bool(wasRunning))
            })
    }
}
