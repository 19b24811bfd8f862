/// How long a condition held from the first sample to the last: each holds until the next.
struct TruthSummary: WindowSummary {
    private(set) var count = 0
    private(set) var first = Sample(at: .distantPast, value: 0)
    private(set) var last = Sample(at: .distantPast, value: 0)
    private(set) var trueNanoseconds: Int64 = 0

    init() {}

    mutating func push(_ sample: Sample) {
        if count == 0 { first = sample } else { hold(until: sample.at) }
        last = sample
        count += 1
    }

    mutating func merge(_ newer: TruthSummary) {
        guard newer.count > 0 else { return }
        guard count > 0 else { return self = newer }
        hold(until: newer.first.at)
        trueNanoseconds = trueNanoseconds.addingSaturated(newer.trueNanoseconds)
        last = newer.last
        count += newer.count
    }

    private mutating func hold(until instant: Instant) {
        if last.isTrue { trueNanoseconds = trueNanoseconds.addingSaturated(instant - last.at) }
    }

    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(count)
        snapshot.write(first)
        snapshot.write(last)
        snapshot.write(trueNanoseconds)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let count = snapshot.readCount(), let first = snapshot.readSample(), let last = snapshot.readSample(),
            let trueNanoseconds = snapshot.readInt64()
        else { return nil }
        (self.count, self.first, self.last, self.trueNanoseconds) = (count, first, last, trueNanoseconds)
    }
}

extension Sample {
    var isTrue: Bool { value != 0 && !value.isNaN }
}

extension Int64 {
    func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
