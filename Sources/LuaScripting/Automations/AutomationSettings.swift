public import RuleEngine

/// What every automation may use, and where the server is.
public struct AutomationSettings: Sendable {
    /// What becomes of handlers that wait when their script is loaded again.
    public enum Reload: String, Sendable, CaseIterable {
        /// They go on in the script as it was, until they end.
        case finish
        /// They are given up.
        case cancel
    }

    public var limits = LuaLimits()
    /// Handlers of one script that may wait at once.
    public var waitingHandlers = 10_000
    /// Messages, notifications, requests, log lines and changes that a script may put out in a second, on the average of ten.
    public var outputsPerSecond = 200
    /// Calls of one script's handlers at one instant: what never lets time pass is ended.
    public var callsAtOneInstant = 100_000
    /// So many faults within a minute disable a script: for `firstRest`, then twice as long each time, `longestRest` at most.
    public var faultsToDisable = 5
    public var firstRest = Duration.seconds(60)
    public var longestRest = Duration.seconds(3600)
    public var reload = Reload.finish
    /// Hosts that `http` may reach.
    public var hosts: [HostPattern] = []
    public var surroundings = Surroundings()
    public var seed: UInt64 = 0

    public init() {}
}
