internal import RuleEngine

/// What host functions of scripts have in common.
extension AutomationRuntime {
    /// Everything that a script finds: one library a file.
    func define(_ automation: Automation) {
        defineAutomation(automation)
        defineTimers(automation)
        defineWaits(automation)
        defineMQTT(automation)
        defineDevices(automation)
        defineVariables(automation)
        defineAlerts(automation)
        defineNotify(automation)
        defineCEL(automation)
        defineLog(automation)
        automation.lua.defineJSON()
        defineClock(automation)
        automation.lua.defineBase64()
        defineHTTP(automation)
        defineInflux(automation)
        automation.lua.set("state", .object([]))
    }

    /// Defines a function; what it was given of functions is released when it refuses.
    func define(
        _ automation: Automation, _ path: String, takesFunctions: Bool = false,
        _ body: @escaping (AutomationRuntime, Automation, LuaCall) -> LuaAnswer
    ) {
        automation.lua.define(path, takesFunctions: takesFunctions, guarded(automation, path, body))
    }

    func guarded(
        _ automation: Automation, _ path: String, _ body: @escaping (AutomationRuntime, Automation, LuaCall) -> LuaAnswer
    ) -> (LuaCall) -> LuaAnswer {
        // Unowned: the state that calls this belongs to the automation, and that to the runtime.
        { [unowned self, unowned automation] call in
            let answer = body(self, automation, call)
            guard case .raise(let message) = answer else { return answer }
            for case .function(let function) in call.arguments { automation.lua.release(function) }
            return .raise("\(path): \(message)")
        }
    }

    /// Counts something that a script puts out; an answer when it is too much.
    func overOutput(_ automation: Automation) -> LuaAnswer? {
        let rate = Double(settings.outputsPerSecond)
        let passed = automation.outputsAt == .distantPast ? 0 : Double(now - automation.outputsAt) / 1e9
        automation.outputs = max(0, automation.outputs - passed * rate) + 1
        automation.outputsAt = now
        guard automation.outputs > rate * 10 else { return nil }
        return .exceed(
            .outputRate,
            "output rate limit: a script may put out \(settings.outputsPerSecond) things a second (ten seconds' worth at once), and this one has"
        )
    }
}

extension LuaCall {
    /// A duration as rules write them, or a number of seconds.
    func duration(_ place: Int) -> Int64? { self[place].nanoseconds }
}

extension LuaValue {
    /// Of a duration: its text, or a number of seconds; at least a millisecond, at most 100 years.
    var nanoseconds: Int64? {
        let nanoseconds: Double?
        if let text {
            nanoseconds = Duration(ruleText: text).map { Double($0.inNanoseconds) }
        } else {
            nanoseconds = number.map { $0 * 1e9 }
        }
        guard let nanoseconds, nanoseconds >= 0, nanoseconds <= 3.2e18 else { return nil }
        return max(1_000_000, Int64(nanoseconds))
    }

    /// An instant: seconds since 1970, RFC 3339, or a duration from now.
    func instant(from now: Instant) -> Instant? {
        if let number { return Instant(seconds: number) }
        guard let text else { return nil }
        return Instant(rfc3339: text) ?? Duration(ruleText: text).map { now + $0.inNanoseconds }
    }

    /// For messages and topics: strings, numbers and bools as text.
    var plainText: String? { payload.map { String(decoding: $0, as: UTF8.self) } }
}
