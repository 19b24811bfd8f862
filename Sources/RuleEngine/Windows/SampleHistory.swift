/// The samples of one expression of one instance, oldest first: a ring of 16 bytes a sample.
///
/// The ring grows by an eighth instead of doubling, so that in the mean a sixteenth of it is empty; an element is copied nine times at most on average while it grows.
/// It shrinks when less than half of it is in use. Indices are 0 for the oldest sample and move when samples are forgotten.
struct SampleHistory: Sendable {
    private var ring: ContiguousArray<Sample> = []
    private var head: Int32 = 0
    private var used: Int32 = 0
    /// The instant of the newest sample that was forgotten although a window still reached it, because of the limit on samples held.
    private(set) var lostUpTo = Instant.distantPast

    enum Insertion: Equatable {
        case inserted(Int)
        case replaced(Int, old: Double)
    }

    var count: Int { Int(used) }
    var capacity: Int { ring.count }

    var newest: Sample? { used > 0 ? self[count - 1] : nil }

    /// Whether the next sample makes the ring grow.
    var isFull: Bool { Int(used) == ring.count }

    subscript(index: Int) -> Sample { ring[slot(index)] }

    /// Goes over a range of samples, oldest first; indices beyond either end are left out.
    @inline(__always)
    func visit(_ range: Range<Int>, _ body: (Sample) -> Void) {
        let range = range.clamped(to: 0..<count)
        guard !range.isEmpty else { return }
        ring.withUnsafeBufferPointer { samples in
            let from = slot(range.lowerBound)
            let beforeWrap = min(range.count, samples.count - from)
            for index in from..<(from + beforeWrap) { body(samples[index]) }
            for index in 0..<(range.count - beforeWrap) { body(samples[index]) }
        }
    }

    private func slot(_ index: Int) -> Int {
        let slot = Int(head) &+ index
        return slot >= ring.count ? slot &- ring.count : slot
    }

    /// Whether a sample belongs before, or in the place of, one that is there.
    @inline(__always)
    func isLate(_ sample: Sample, besideOthers: Bool) -> Bool {
        guard count > 0 else { return false }
        let newest = self[count - 1].at
        return besideOthers ? sample.at < newest : sample.at <= newest
    }

    /// Puts a late sample where it belongs: in the place of one at its instant, or, with `besideOthers`, behind it.
    mutating func insertLate(_ sample: Sample, besideOthers: Bool) -> Insertion {
        let index = firstIndex(after: sample.at)
        if !besideOthers, index > 0, self[index - 1].at == sample.at {
            let place = slot(index - 1)
            let old = ring[place].value
            ring[place] = sample
            return .replaced(index - 1, old: old)
        }
        append(sample)
        var free = count - 1
        while free > index {
            ring[slot(free)] = ring[slot(free - 1)]
            free -= 1
        }
        ring[slot(index)] = sample
        return .inserted(index)
    }

    /// Adds the newest sample.
    @inline(__always)
    mutating func append(_ sample: Sample) {
        if Int(used) == ring.count { resize(to: ring.count + max(2, ring.count / 8)) }
        ring[slot(count)] = sample
        used += 1
    }

    private mutating func resize(to capacity: Int) {
        var grown = ContiguousArray<Sample>()
        grown.reserveCapacity(capacity)
        for index in 0..<count { grown.append(self[index]) }
        while grown.count < capacity { grown.append(Sample(at: .distantPast, value: 0)) }
        ring = grown
        head = 0
    }

    /// How many samples are at or before the instant; looks first at `from`, where a window stood before.
    func firstIndex(after instant: Instant, from: Int = 0) -> Int {
        var low = min(max(0, from), count)
        if low < count, self[low].at > instant { return low == 0 || self[low - 1].at <= instant ? low : search(0, low, instant) }
        // Windows move by few samples at a time: steps of growing size before the search by halves.
        var step = 1
        while low < count, self[low].at <= instant {
            let next = low + step
            guard next < count, self[next].at <= instant else { return search(low + 1, min(next, count), instant) }
            low = next
            step *= 2
        }
        return low
    }

    private func search(_ from: Int, _ to: Int, _ instant: Instant) -> Int {
        var (low, high) = (from, to)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].at <= instant { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Forgets the oldest samples.
    mutating func forget(_ dropped: Int) {
        guard dropped > 0 else { return }
        let kept = max(0, count - dropped)
        head = kept == 0 ? 0 : Int32(slot(dropped))
        used = Int32(kept)
        if ring.count > 16, kept < ring.count / 2 { resize(to: max(2, kept + kept / 8)) }
    }

    /// Grows ahead of need when so few places are free that making room would be done too often: one in 32 of many.
    mutating func growIfCrowded() {
        if count >= 128, ring.count - count < count / 32 { resize(to: ring.count + ring.count / 8) }
    }

    /// Forgets samples that windows still reach.
    mutating func lose(_ dropped: Int) {
        guard dropped > 0, dropped <= count else { return }
        lostUpTo = max(lostUpTo, self[dropped - 1].at)
        forget(dropped)
    }

    mutating func restoreLoss(upTo instant: Instant) { lostUpTo = instant }
}
