/// Numbers that tell a broker's copies of one message apart (MQTT 5 §3.8.2.1.2: 1 to 268,435,455).
///
/// They follow from the filter's text, so that what a session held from an earlier run carries the same ones.
enum SubscriptionIdentifiers {
    private static let largest: UInt32 = 268_435_455

    /// `filters` in a fixed order: of two with one number the later one takes the next.
    static func assign(to filters: [String]) -> [String: UInt32] {
        var taken: Set<UInt32> = []
        var identifiers: [String: UInt32] = [:]
        for filter in filters {
            // FNV-1a, 32 bits.
            var hash: UInt32 = 2_166_136_261
            for byte in filter.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
            var number = hash % largest + 1
            while !taken.insert(number).inserted { number = number % largest + 1 }
            identifiers[filter] = number
        }
        return identifiers
    }
}
