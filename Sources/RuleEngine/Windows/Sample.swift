/// One value of an expression at an instant of event time: 16 bytes.
public struct Sample: Hashable, Sendable, BitwiseCopyable {
    public var at: Instant
    public var value: Double

    @inlinable public init(at: Instant, value: Double) {
        self.at = at
        self.value = value
    }
}
