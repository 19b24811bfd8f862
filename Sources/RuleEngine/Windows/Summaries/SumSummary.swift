/// Count and sum. The sum of the finite samples is held in two doubles (Neumaier), which keeps about 106 bits of it; infinities and NaN are summed apart.
struct SumSummary: WindowSummary {
    private(set) var count = 0
    private(set) var high = 0.0
    private(set) var low = 0.0
    /// 0 while all samples are finite.
    private(set) var nonFinite = 0.0

    init() {}

    mutating func push(_ sample: Sample) {
        count += 1
        add(sample.value)
    }

    mutating func add(_ value: Double) {
        guard value.isFinite else { return nonFinite += value }
        let sum = high + value
        let part = sum - high
        low += (high - (sum - part)) + (value - part)
        high = sum
    }

    mutating func merge(_ newer: SumSummary) {
        count += newer.count
        add(newer.high)
        low += newer.low
        nonFinite += newer.nonFinite
    }

    var isFinite: Bool { nonFinite == 0 }

    /// Whether finite samples were too large for their sum: what `sum` says then is not to be trusted.
    var hasOverflowed: Bool { isFinite && !(high + low).isFinite }

    var sum: Double { isFinite ? high + low : nonFinite }

    var mean: Double { sum / Double(count) }

    /// The mean of finite samples in two doubles.
    var preciseMean: (high: Double, low: Double) {
        let scale = 1 / Double(count)
        let mean = high * scale
        return (mean, (high.addingProduct(-mean, Double(count)) + low) * scale)
    }
}

extension SumSummary {
    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(count)
        snapshot.write(high)
        snapshot.write(low)
        snapshot.write(nonFinite)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let count = snapshot.readCount(), let high = snapshot.readDouble(), let low = snapshot.readDouble(),
            let nonFinite = snapshot.readDouble()
        else { return nil }
        (self.count, self.high, self.low, self.nonFinite) = (count, high, low, nonFinite)
    }
}
