/// A window of one expression and what is asked of it. Equal specifications of one expression share their state however many rules hold them.
public struct WindowSpecification: Hashable, Sendable {
    public enum Extent: Hashable, Sendable {
        /// The samples of (t − length, t], nanoseconds.
        case time(Int64)
        /// The newest so many samples, none of them after t.
        case count(Int)
    }

    public var function: WindowFunction
    public var extent: Extent
    /// How far back t is moved: nanoseconds, not negative.
    public var shift: Int64

    /// A length below a nanosecond, a count below 1 and a negative shift are taken as the least that is allowed.
    public init(_ function: WindowFunction, over extent: Extent, shiftedBy shift: Int64 = 0) {
        self.function = function
        self.shift = max(0, shift)
        switch extent {
        case .time(let length): self.extent = .time(max(1, length))
        case .count(let count): self.extent = .count(min(max(1, count), Int(Int32.max / 2)))
        }
    }

    public init(_ function: WindowFunction, over length: Duration, shiftedBy shift: Duration = .zero) {
        self.init(function, over: .time(length.inNanoseconds), shiftedBy: shift.inNanoseconds)
    }

    public init(_ function: WindowFunction, overLast count: Int, shiftedBy shift: Duration = .zero) {
        self.init(function, over: .count(count), shiftedBy: shift.inNanoseconds)
    }
}

/// What a window says.
public enum WindowValue: Hashable, Sendable {
    case number(Double)
    case truth(Bool)
    case instant(Instant)
    /// Nanoseconds.
    case duration(Int64)

    /// As PromQL has it, where everything is a number: truth as 1 and 0, instants as seconds since 1970, durations as seconds.
    public var asNumber: Double {
        switch self {
        case .number(let number): number
        case .truth(let truth): truth ? 1 : 0
        case .instant(let instant): Double(instant.nanoseconds) / 1e9
        case .duration(let nanoseconds): Double(nanoseconds) / 1e9
        }
    }
}
