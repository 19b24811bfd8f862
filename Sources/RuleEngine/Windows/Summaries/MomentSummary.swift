/// Count, sum and the sum of squared distances to the mean (Welford; merged as Chan, Golub and LeVeque do).
struct MomentSummary: WindowSummary {
    private(set) var sums = SumSummary()
    private(set) var squares = 0.0

    init() {}

    var count: Int { sums.count }

    mutating func push(_ sample: Sample) {
        if sums.count > 0 {
            let mean = sums.preciseMean
            let distance = (sample.value - mean.high) - mean.low
            squares += distance * distance * (Double(sums.count) / Double(sums.count + 1))
        }
        sums.push(sample)
    }

    mutating func merge(_ newer: MomentSummary) {
        guard count > 0, newer.count > 0 else {
            if newer.count > 0 { self = newer }
            return
        }
        let (mean, other) = (sums.preciseMean, newer.sums.preciseMean)
        let distance = (mean.high - other.high) + (mean.low - other.low)
        let (n, m) = (Double(count), Double(newer.count))
        squares += newer.squares + distance * distance * (n * m / (n + m))
        sums.merge(newer.sums)
    }

    /// Of the population.
    var variance: Double { sums.isFinite ? squares / Double(count) : .nan }

    func deviations(of value: Double) -> Double {
        guard sums.isFinite else { return .nan }
        guard squares != 0 else { return 0 }
        let mean = sums.preciseMean
        return ((value - mean.high) - mean.low) / variance.squareRoot()
    }

    func write(to snapshot: inout SnapshotWriter) {
        sums.write(to: &snapshot)
        snapshot.write(squares)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let sums = SumSummary(from: &snapshot), let squares = snapshot.readDouble() else { return nil }
        (self.sums, self.squares) = (sums, squares)
    }
}
