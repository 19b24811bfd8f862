/// What one run (a call of a function, or a part of it between two waits) may use.
public struct LuaLimits: Sendable, Equatable {
    /// Lua's instructions; a C function counts for the work it does.
    public var instructions: Int64
    /// A safety net: how long a run may take on the wall clock. Nil where results must not depend on it, as in tests.
    public var wallTime: Duration?
    /// Bytes that the state may hold, between runs too.
    public var memory: Int
    /// Bytes of one string.
    public var stringLength: Int
    /// Bytes of the values of one call from Lua to the host, or of a result.
    public var exchange: Int

    public init(
        instructions: Int64 = 10_000_000, wallTime: Duration? = .seconds(1), memory: Int = 32 << 20, stringLength: Int = 1 << 20,
        exchange: Int = 4 << 20
    ) {
        self.instructions = instructions
        self.wallTime = wallTime
        self.memory = memory
        self.stringLength = stringLength
        self.exchange = exchange
    }
}

/// Which limit ended a run.
public enum LuaLimit: String, Sendable, Equatable, CaseIterable {
    case instructions
    case wallTime = "wall time"
    case memory
    case stringLength = "string length"
    case stopped
    case outputRate = "output rate"
    case waitingHandlers = "waiting handlers"
}
