/// Counts readings of a source by the set of fields that they carried, so that a rule's readings can be told when asked: the indexes may pass a rule over.
final class FieldTally {
    /// Sets that are told apart; beyond these the rules concerned are counted one by one.
    static let maximumSets = 128

    private let words: Int
    private let sets = FlatTable<UInt64>()
    private let counts = FlatTable<UInt64>()
    private let lastAt = FlatTable<Instant>()
    private var recent = 0

    init(fields: Int) { words = (fields + 63) / 64 }

    /// Counts a reading; false when its set is new and there is no room for it.
    @inline(__always)
    func count(_ carried: UnsafePointer<UInt64>, at instant: Instant) -> Bool {
        if recent < counts.count, isSet(recent, carried) {
            counts[recent] &+= 1
            lastAt[recent] = instant
            return true
        }
        return search(carried, at: instant)
    }

    @inline(__always)
    private func isSet(_ place: Int, _ carried: UnsafePointer<UInt64>) -> Bool {
        for word in 0..<words where sets[place * words + word] != carried[word] { return false }
        return true
    }

    @inline(never)
    private func search(_ carried: UnsafePointer<UInt64>, at instant: Instant) -> Bool {
        for place in counts.indices where isSet(place, carried) {
            recent = place
            counts[place] &+= 1
            lastAt[place] = instant
            return true
        }
        guard counts.count < Self.maximumSets else { return false }
        recent = counts.count
        sets.append(contentsOf: UnsafeBufferPointer(start: carried, count: words))
        counts.append(1)
        lastAt.append(instant)
        return true
    }

    /// Readings that carried one of the fields (any reading, for no fields), and when the last one came.
    func readings(carrying fields: [Int]) -> (count: UInt64, lastAt: Instant) {
        var total: UInt64 = 0
        var last = Instant.distantPast
        for place in counts.indices
        where fields.isEmpty || fields.contains(where: { sets[place * words + $0 / 64] & (1 << UInt64($0 % 64)) != 0 }) {
            total &+= counts[place]
            last = max(last, lastAt[place])
        }
        return (total, last)
    }
}
