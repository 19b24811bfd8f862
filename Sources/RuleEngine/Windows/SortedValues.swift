/// A multiset of doubles in order, for quantiles: sorted chunks of at most 512 with their greatest keys beside them, so that an insertion or removal is two binary searches and
/// a move of at most 4 KB. NaN comes first, as PromQL sorts.
struct SortedValues: Sendable {
    private static let chunkLimit = 512

    private var chunks: ContiguousArray<ContiguousArray<Int64>> = []
    private var greatest: ContiguousArray<Int64> = []
    private(set) var count = 0

    /// An integer of the same order as the doubles (two's complement for the sign-magnitude of IEEE 754); all NaN are one.
    private static func key(_ value: Double) -> Int64 {
        guard !value.isNaN else { return .min }
        let bits = Int64(bitPattern: value.bitPattern)
        return bits ^ ((bits >> 63) & .max)
    }

    private static func value(_ key: Int64) -> Double {
        key == .min ? .nan : Double(bitPattern: UInt64(bitPattern: key ^ ((key >> 63) & .max)))
    }

    private static func firstIndex(in keys: borrowing ContiguousArray<Int64>, notBelow key: Int64) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func insert(_ value: Double) {
        let key = Self.key(value)
        count += 1
        guard !chunks.isEmpty else {
            chunks.append([key])
            greatest.append(key)
            return
        }
        let chunk = min(Self.firstIndex(in: greatest, notBelow: key), chunks.count - 1)
        let place = Self.firstIndex(in: chunks[chunk], notBelow: key)
        chunks[chunk].insert(key, at: place)
        greatest[chunk] = max(greatest[chunk], key)
        if chunks[chunk].count >= Self.chunkLimit { split(chunk) }
    }

    private mutating func split(_ chunk: Int) {
        let half = Self.chunkLimit / 2
        chunks.insert(ContiguousArray(chunks[chunk][half...]), at: chunk + 1)
        greatest.insert(greatest[chunk], at: chunk + 1)
        chunks[chunk].removeSubrange(half...)
        greatest[chunk] = chunks[chunk][half - 1]
    }

    /// Removes one of the values equal to this; nothing when there is none.
    mutating func remove(_ value: Double) {
        let key = Self.key(value)
        let chunk = Self.firstIndex(in: greatest, notBelow: key)
        guard chunk < chunks.count else { return }
        let place = Self.firstIndex(in: chunks[chunk], notBelow: key)
        guard chunks[chunk][place] == key else { return }
        chunks[chunk].remove(at: place)
        count -= 1
        if let last = chunks[chunk].last { greatest[chunk] = last }
        joinIfSmall(chunk)
    }

    /// Keeps the number of chunks in proportion to the number of values.
    private mutating func joinIfSmall(_ chunk: Int) {
        guard chunks[chunk].count < Self.chunkLimit / 8 else { return }
        if chunks[chunk].isEmpty {
            chunks.remove(at: chunk)
            greatest.remove(at: chunk)
        } else if chunk + 1 < chunks.count, chunks[chunk + 1].count < Self.chunkLimit / 2 {
            chunks[chunk].append(contentsOf: chunks[chunk + 1])
            greatest[chunk] = greatest[chunk + 1]
            chunks.remove(at: chunk + 1)
            greatest.remove(at: chunk + 1)
        }
    }

    /// The value of a rank from 0; it must be below `count`.
    subscript(rank: Int) -> Double {
        var left = rank
        for index in chunks.indices {
            let length = chunks[index].count
            if left < length { return Self.value(chunks[index][left]) }
            left -= length
        }
        return .nan
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
        guard weight > 0 else { return self[lower] }
        return self[lower] * (1 - weight) + self[min(lower + 1, count - 1)] * weight
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
