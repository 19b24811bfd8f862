/// A multiset of doubles in order, for quantiles: sorted chunks of at most 128 with their greatest keys and counts beside them, so that an insertion or removal is two binary searches and
/// a move of at most 1 KB. NaN comes first, as PromQL sorts.
struct SortedValues: Sendable {
    private static let chunkLimit = 128

    /// Places for `chunkLimit` keys a slot; chunks are slots in the order of `chunks`.
    private var keys: ContiguousArray<Int64> = []
    private var chunks: ContiguousArray<Chunk> = []
    private var freeSlots: ContiguousArray<Int32> = []
    private(set) var count = 0

    private struct Chunk: BitwiseCopyable {
        var greatest: Int64
        var slot: Int32
        var count: Int32
        var first: Int { Int(slot) * SortedValues.chunkLimit }
        var end: Int { first + Int(count) }
    }

    /// An integer of the same order as the doubles (two's complement for the sign-magnitude of IEEE 754); all NaN are one.
    private static func key(_ value: Double) -> Int64 {
        guard !value.isNaN else { return .min }
        let bits = Int64(bitPattern: value.bitPattern)
        return bits ^ ((bits >> 63) & .max)
    }

    private static func value(_ key: Int64) -> Double {
        key == .min ? .nan : Double(bitPattern: UInt64(bitPattern: key ^ ((key >> 63) & .max)))
    }

    /// The first place in a chunk with a key not below this.
    private func place(of key: Int64, in chunk: Chunk) -> Int {
        var (low, high) = (chunk.first, chunk.end)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first chunk with a key not below this.
    private func chunk(of key: Int64) -> Int {
        var (low, high) = (0, chunks.count)
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].greatest < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func insert(_ value: Double) {
        let key = Self.key(value)
        count += 1
        if chunks.isEmpty { chunks.append(Chunk(greatest: key, slot: takeSlot(), count: 0)) }
        let index = min(chunk(of: key), chunks.count - 1)
        let place = place(of: key, in: chunks[index])
        move(from: place, to: place + 1, chunks[index].end - place)
        keys[place] = key
        chunks[index].count += 1
        chunks[index].greatest = max(chunks[index].greatest, key)
        if Int(chunks[index].count) == Self.chunkLimit { split(index) }
    }

    /// Removes one of the values equal to this; nothing when there is none.
    mutating func remove(_ value: Double) {
        let key = Self.key(value)
        let index = chunk(of: key)
        guard index < chunks.count else { return }
        let place = place(of: key, in: chunks[index])
        guard keys[place] == key else { return }
        move(from: place + 1, to: place, chunks[index].end - place - 1)
        count -= 1
        chunks[index].count -= 1
        if chunks[index].count > 0 { chunks[index].greatest = keys[chunks[index].end - 1] }
        joinIfSmall(index)
    }

    private mutating func move(from: Int, to: Int, _ count: Int) {
        guard count > 0 else { return }
        // By hand: for so few words, moved by one, memmove is several times slower.
        keys.withUnsafeMutableBufferPointer { keys in
            if to < from {
                for index in 0..<count { keys[to + index] = keys[from + index] }
            } else {
                for index in stride(from: count - 1, through: 0, by: -1) { keys[to + index] = keys[from + index] }
            }
        }
    }

    private mutating func takeSlot() -> Int32 {
        if let free = freeSlots.popLast() { return free }
        let slot = Int32(keys.count / Self.chunkLimit)
        keys.append(contentsOf: repeatElement(0, count: Self.chunkLimit))
        return slot
    }

    private mutating func split(_ index: Int) {
        let half = Self.chunkLimit / 2
        let upper = Chunk(greatest: chunks[index].greatest, slot: takeSlot(), count: Int32(Self.chunkLimit - half))
        move(from: chunks[index].first + half, to: upper.first, Self.chunkLimit - half)
        chunks[index].count = Int32(half)
        chunks[index].greatest = keys[chunks[index].end - 1]
        chunks.insert(upper, at: index + 1)
    }

    /// Keeps the number of chunks in proportion to the number of values.
    private mutating func joinIfSmall(_ index: Int) {
        guard chunks[index].count < Self.chunkLimit / 4 else { return }
        if chunks[index].count == 0 {
            drop(index)
        } else if index + 1 < chunks.count, chunks[index + 1].count < Self.chunkLimit / 2 {
            let next = chunks[index + 1]
            move(from: next.first, to: chunks[index].end, Int(next.count))
            chunks[index].count += next.count
            chunks[index].greatest = next.greatest
            drop(index + 1)
        }
    }

    private mutating func drop(_ index: Int) {
        freeSlots.append(chunks[index].slot)
        chunks.remove(at: index)
        if chunks.isEmpty { self = SortedValues() }
    }

    /// The value of a rank from 0; it must be below `count`.
    subscript(rank: Int) -> Double { Self.value(key(at: rank).key) }

    /// The key of a rank, and the one after it where that is near.
    private func key(at rank: Int) -> (key: Int64, next: Int64?) {
        var left = Int32(truncatingIfNeeded: rank)
        var index = 0
        while index < chunks.count, left >= chunks[index].count {
            left -= chunks[index].count
            index += 1
        }
        guard index < chunks.count else { return (.min, nil) }
        let place = chunks[index].first + Int(left)
        if left + 1 < chunks[index].count { return (keys[place], keys[place + 1]) }
        return (keys[place], index + 1 < chunks.count ? keys[chunks[index + 1].first] : nil)
    }

    /// PromQL's quantile, but that a rank which is met exactly is that value alone (PromQL adds 0 times the next one, which is NaN beside an infinity); nil of nothing.
    func quantile(_ q: Double) -> Double? {
        guard count > 0 else { return nil }
        if q.isNaN { return .nan }
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        let rank = q * Double(count - 1)
        let whole = rank.rounded(.down)
        let lower = min(max(0, Int(whole)), count - 1)
        let weight = rank - whole
        let (key, next) = key(at: lower)
        guard weight > 0, let next else { return Self.value(key) }
        return Self.value(key) * (1 - weight) + Self.value(next) * weight
    }

    /// The median of the distances to the median.
    var medianDeviation: Double? {
        guard count > 0, let median = quantile(0.5) else { return nil }
        guard !self[0].isNaN, median.isFinite else { return .nan }
        let split = ranksBelow(median)
        let rank = (count - 1) / 2
        let low = distance(rank, median, split)
        guard count % 2 == 0 else { return low }
        return low * 0.5 + distance(rank + 1, median, split) * 0.5
    }

    private func ranksBelow(_ value: Double) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The distance to the median of a rank among the distances: below `split` they rise downwards, from it on upwards; a search by halves for how many of the
    /// least come from below.
    private func distance(_ rank: Int, _ median: Double, _ split: Int) -> Double {
        let wanted = rank + 1
        var (low, high) = (max(0, wanted - (count - split)), min(wanted, split))
        while low < high {
            let below = (low + high) / 2
            // Too few from below when the next of them is nearer than the last taken from above.
            if median - self[split - 1 - below] < self[split + wanted - below - 1] - median { low = below + 1 } else { high = below }
        }
        let fromBelow = low > 0 ? median - self[split - low] : -.infinity
        let fromAbove = wanted > low ? self[split + wanted - low - 1] - median : -.infinity
        return max(fromBelow, fromAbove)
    }
}
