/// FNV-1a over bytes: the hash behind ids and fingerprints, the same on every machine and in every run.
public struct FNV1a: Sendable {
    public private(set) var value: UInt64
    public init(seed: UInt64 = 0xcbf2_9ce4_8422_2325) { value = seed }

    @inlinable public mutating func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { add(byte) } }
    public mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

    /// Sixteen hexadecimal digits.
    public var hex: String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}

/// Fingerprint of a set of labels as Alertmanager computes it: FNV-1a over names and values in order, each followed by 0xFF.
public func labelFingerprint(_ labels: [String: String]) -> String {
    var hash = FNV1a()
    for (name, value) in labels.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
        hash.add(name.utf8)
        hash.add(0xFF)
        hash.add(value.utf8)
        hash.add(0xFF)
    }
    return hash.hex
}

/// The id of an alert instance: 32 hexadecimal digits over (group, alert, values of `by`).
public func alertInstanceID(rule: RuleIdentity, key: [String]) -> String {
    var low = FNV1a(), high = FNV1a(seed: 0x6c62_272e_07bb_0142)
    for part in [rule.group, rule.alert] + key {
        for byte in part.utf8 {
            low.add(byte)
            high.add(byte)
        }
        low.add(0xFF)
        high.add(0xFE)
    }
    return high.hex + low.hex
}
