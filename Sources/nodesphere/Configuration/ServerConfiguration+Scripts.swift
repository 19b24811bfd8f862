import LuaScripting
import RuleEngine

extension ServerConfiguration {
    /// `scripts`: what automations may use.
    var automationSettings: AutomationSettings {
        var settings = AutomationSettings()
        settings.limits.instructions = Int64(integer("scripts.instructions"))
        settings.limits.wallTime = duration("scripts.wall_time")
        settings.limits.memory = Int(clamping: size("scripts.memory"))
        settings.waitingHandlers = integer("scripts.waiting")
        settings.outputsPerSecond = integer("scripts.output_rate")
        settings.faultsToDisable = integer("scripts.faults")
        settings.firstRest = duration("scripts.rest")
        settings.longestRest = duration("scripts.longest_rest")
        settings.reload = AutomationSettings.Reload(rawValue: text("scripts.reload")) ?? .finish
        settings.hosts = list("scripts.http.hosts").compactMap(HostPattern.init)
        settings.surroundings = surroundings
        return settings
    }

    /// Limits under which no script could do anything are mistakes.
    func checkScripts(_ failure: inout Failure) {
        func demand(_ name: String, _ isEnough: Bool, _ least: String) {
            if !isEnough { failure.messages.append("'\(name)' must be at least \(least), not '\(text(name))'") }
        }
        demand("scripts.instructions", integer("scripts.instructions") >= 1000, "1000")
        demand("scripts.wall_time", duration("scripts.wall_time") >= .milliseconds(10), "10ms")
        demand("scripts.memory", size("scripts.memory") >= 256 << 10, "256KiB")
        demand("scripts.rest", duration("scripts.rest") >= .seconds(1), "1s")
        demand(
            "scripts.longest_rest", duration("scripts.longest_rest") >= duration("scripts.rest"),
            "'scripts.rest' (\(text("scripts.rest")))")
    }
}
