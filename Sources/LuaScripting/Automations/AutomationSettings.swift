public import RuleEngine

/// What every automation may use, and where the server is.
public struct AutomationSettings: Sendable {
    public var limits = LuaLimits()
    /// Handlers of one script that may wait at once.
    public var waitingHandlers = 10_000
    /// Messages, notifications, log lines and changes that a script may put out in a second, on the average of ten.
    public var outputsPerSecond = 200
    /// Calls of one script's handlers at one instant: what never lets time pass is ended.
    public var callsAtOneInstant = 100_000
    /// So many faults within a minute disable a script: for a minute at first, twice as long each time, an hour at most.
    public var faultsToDisable = 5
    public var surroundings = Surroundings()
    public var seed: UInt64 = 0

    public init() {}
}
