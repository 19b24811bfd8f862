/// One value of an expression at an instant of event time: 16 bytes.
public struct Sample: Hashable, Sendable, BitwiseCopyable {
    public var at: Instant
    public var value: Double

    @inlinable public init(at: Instant, value: Double) {
        self.at = at
        self.value = value
    }

    /// What stands for a text where samples are only compared with each other: equal texts are equal numbers, and others are with a chance of 2^-52 only. They lie
    /// from 2^1000 on, where no number of telemetry is. FNV-1a, and its upper bits mixed into the lower ones.
    static func value(standingFor text: String) -> Double {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ hash >> 33) &* 0xff51_afd7_ed55_8ccd
        return Double(sign: .plus, exponentBitPattern: UInt(1023 + 1000), significandBitPattern: hash >> 12)
    }
}
