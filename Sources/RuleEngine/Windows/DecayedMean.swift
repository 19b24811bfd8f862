/// The exponentially weighted mean. Its state is two decayed sums, so that a late sample takes its place by its weight alone, and none need be kept.
struct DecayedMean: Sendable, Equatable {
    let halflife: Int64
    /// Weighted sum and weights of all samples but the newest, as of the newest's instant.
    private(set) var sum = 0.0
    private(set) var weight = 0.0
    private(set) var newest: Sample?

    init(halflife: Int64) { self.halflife = halflife }

    /// A sample at the newest's instant takes its place; an older one counts beside others of its instant.
    mutating func add(_ sample: Sample) {
        guard sample.value.isFinite else { return }
        guard let newest else { return self.newest = sample }
        if sample.at > newest.at {
            let factor = decay(over: sample.at - newest.at)
            sum = (sum + newest.value) * factor
            weight = (weight + 1) * factor
            self.newest = sample
        } else if sample.at == newest.at {
            self.newest = sample
        } else {
            let factor = decay(over: newest.at - sample.at)
            sum += sample.value * factor
            weight += factor
        }
    }

    var mean: Double? {
        guard let newest else { return nil }
        return (sum + newest.value) / (weight + 1)
    }

    private func decay(over nanoseconds: Int64) -> Double { powerOfTwo(-Double(nanoseconds) / Double(max(1, halflife))) }

    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(sum)
        snapshot.write(weight)
        snapshot.write(newest)
    }

    init?(halflife: Int64, from snapshot: inout SnapshotReader) {
        guard let sum = snapshot.readDouble(), let weight = snapshot.readDouble(), let newest = snapshot.readOptionalSample() else {
            return nil
        }
        (self.halflife, self.sum, self.weight, self.newest) = (halflife, sum, weight, newest)
    }
}

/// 2 to the power of `exponent`, to a unit or two in the last place; the same on every machine, which a C library does not promise.
func powerOfTwo(_ exponent: Double) -> Double {
    guard exponent > -1075 else { return exponent.isNaN ? .nan : 0 }
    guard exponent < 1024 else { return .infinity }
    let whole = exponent.rounded()
    // Taylor's series of e^x for |x| ≤ ln(2)/2: fourteen terms leave less than 1e-17.
    let x = (exponent - whole) * 0.693_147_180_559_945_3
    var term = 1.0, sum = 1.0
    for place in 1...14 {
        term *= x / Double(place)
        sum += term
    }
    return Double(sign: .plus, exponent: Int(whole), significand: sum)
}
