/// Least and greatest sample, of equal ones the newest. NaN counts only where there is nothing else.
struct ExtremeSummary: WindowSummary {
    private(set) var count = 0
    private(set) var least = Sample(at: .distantPast, value: .nan)
    private(set) var greatest = Sample(at: .distantPast, value: .nan)

    init() {}

    mutating func push(_ sample: Sample) {
        count += 1
        take(least: sample, greatest: sample)
    }

    mutating func merge(_ newer: ExtremeSummary) {
        guard newer.count > 0 else { return }
        count += newer.count
        take(least: newer.least, greatest: newer.greatest)
    }

    private mutating func take(least low: Sample, greatest high: Sample) {
        if low.value <= least.value || least.value.isNaN { least = low }
        if high.value >= greatest.value || greatest.value.isNaN { greatest = high }
    }

    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(count)
        snapshot.write(least)
        snapshot.write(greatest)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let count = snapshot.readCount(), let least = snapshot.readSample(), let greatest = snapshot.readSample() else { return nil }
        (self.count, self.least, self.greatest) = (count, least, greatest)
    }
}
