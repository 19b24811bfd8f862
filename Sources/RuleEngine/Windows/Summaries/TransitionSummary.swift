/// What happens from each sample to the next: changes, resets of a counter and what was lost at them, and both ends.
struct TransitionSummary: WindowSummary {
    private(set) var count = 0
    private(set) var first = Sample(at: .distantPast, value: .nan)
    private(set) var last = Sample(at: .distantPast, value: .nan)
    private(set) var changes = 0
    private(set) var resets = 0
    /// The sum of the values from which the counter fell.
    private(set) var lost = SumSummary()

    init() {}

    mutating func push(_ sample: Sample) {
        if count == 0 { first = sample } else { step(from: last.value, to: sample.value) }
        last = sample
        count += 1
    }

    mutating func merge(_ newer: TransitionSummary) {
        guard newer.count > 0 else { return }
        guard count > 0 else { return self = newer }
        step(from: last.value, to: newer.first.value)
        last = newer.last
        count += newer.count
        changes += newer.changes
        resets += newer.resets
        lost.merge(newer.lost)
    }

    private mutating func step(from old: Double, to new: Double) {
        if old != new, !(old.isNaN && new.isNaN) { changes += 1 }
        if new < old {
            resets += 1
            lost.add(old)
        }
    }

    var delta: Double { last.value - first.value }
    var increase: Double { resets == 0 ? delta : delta + lost.sum }
    /// From the first sample to the last.
    var seconds: Double { Double(last.at - first.at) / 1e9 }

    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(count)
        snapshot.write(first)
        snapshot.write(last)
        snapshot.write(changes)
        snapshot.write(resets)
        lost.write(to: &snapshot)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let count = snapshot.readCount(), let first = snapshot.readSample(), let last = snapshot.readSample(),
            let changes = snapshot.readCount(), let resets = snapshot.readCount(), let lost = SumSummary(from: &snapshot)
        else { return nil }
        (self.count, self.first, self.last, self.changes, self.resets, self.lost) = (count, first, last, changes, resets, lost)
    }
}
