/// The state of an instance's windows as bytes: version 1, then for each expression its identity, samples and tracks. Equal state gives equal bytes, and a set that was restored
/// says the same to the last bit as one that was not.
extension WindowSet {
    private static let version: UInt8 = 1

    public func snapshot() -> [UInt8] {
        var snapshot = SnapshotWriter()
        snapshot.write(byte: Self.version)
        snapshot.write(series.count)
        for (one, source) in zip(series, plan.sources) {
            snapshot.write(source.identity)
            one.write(to: &snapshot, source)
        }
        return snapshot.finish()
    }

    /// Restores what the snapshot has of the plan's expressions: those with the same text. A window the snapshot does not have begins with the samples
    /// that are there. Nil when the bytes are damaged or of another version.
    public init?(_ plan: WindowPlan, restoring bytes: some Sequence<UInt8>) {
        self.init(plan)
        var snapshot = SnapshotReader(bytes)
        guard snapshot.readByte() == Self.version, let count = snapshot.readCount() else { return nil }
        for _ in 0..<count {
            guard let identity = snapshot.readUInt64(), let stored = StoredSeries(from: &snapshot) else { return nil }
            for (index, source) in plan.sources.enumerated() where source.identity == identity {
                guard let restored = Series(source, stored) else { return nil }
                series[index] = restored
            }
        }
        guard snapshot.isAtEnd else { return nil }
    }
}

/// A series as it is in a snapshot; the contents of its tracks are read once it is known which of them are wanted.
private struct StoredSeries {
    struct Track {
        var key: WindowTrack.Key
        var low: Int, high: Int
        var contents: [UInt8]
    }

    var history = SampleHistory()
    var tracks: [Track] = []

    init?(from snapshot: inout SnapshotReader) {
        guard let lostUpTo = snapshot.readInstant(), let count = snapshot.readCount(), count <= snapshot.remaining / 16,
            count < Int(Int32.max / 2)
        else { return nil }
        history.restoreLoss(upTo: lostUpTo)
        for _ in 0..<count {
            guard let sample = snapshot.readSample(), !history.isLate(sample, besideOthers: true) else { return nil }
            history.append(sample)
        }
        guard let trackCount = snapshot.readCount() else { return nil }
        for _ in 0..<trackCount {
            guard let key = WindowTrack.Key(from: &snapshot), let low = snapshot.readInt64(), let high = snapshot.readInt64(),
                let contents = snapshot.readBytes(), high >= 0, (-Int64(Int32.max / 2)...high).contains(low), high <= Int64(history.count)
            else { return nil }
            tracks.append(Track(key: key, low: Int(low), high: Int(high), contents: contents))
        }
    }
}

extension WindowSet.Series {
    fileprivate func write(to snapshot: inout SnapshotWriter, _ source: WindowPlan.Source) {
        snapshot.write(history.lostUpTo)
        let unneeded = unneeded
        snapshot.write(history.count - unneeded)
        for index in unneeded..<history.count { snapshot.write(history[index]) }
        snapshot.write(tracks.count)
        for (track, key) in zip(tracks, source.keys) {
            key.write(to: &snapshot)
            let moved = key.kind == .decayed ? 0 : unneeded
            snapshot.write(Int(track.low) - moved)
            snapshot.write(Int(track.high) - moved)
            var contents = SnapshotWriter()
            track.writeContents(to: &contents, start: Int(track.low) - moved)
            snapshot.write(bytes: contents.finish())
        }
    }

    fileprivate init?(_ source: WindowPlan.Source, _ stored: StoredSeries) {
        self.init(source)
        history = stored.history
        for (index, key) in source.keys.enumerated() {
            guard let track = stored.tracks.first(where: { $0.key == key }) else { continue }
            tracks[index].restore(low: Int32(track.low), high: Int32(track.high))
            var contents = SnapshotReader(track.contents)
            guard tracks[index].readContents(key, from: &contents, history), contents.isAtEnd else { return nil }
        }
    }
}

extension WindowTrack {
    fileprivate func writeContents(to snapshot: inout SnapshotWriter, start: Int) {
        snapshot.write(isSliding)
        switch contents {
        case .samples, .order: break
        case .sums(let sliding): sliding[0].write(to: &snapshot, start: start)
        case .moments(let sliding): sliding[0].write(to: &snapshot, start: start)
        case .extremes(let sliding): sliding[0].write(to: &snapshot, start: start)
        case .transitions(let sliding): sliding[0].write(to: &snapshot, start: start)
        case .regression(let sliding): sliding[0].write(to: &snapshot, start: start)
        case .truth(let truth):
            snapshot.write(truth[0].before)
            truth[0].sliding?.write(to: &snapshot, start: start)
        case .decayed(let decayed): decayed[0].write(to: &snapshot)
        }
    }

    fileprivate mutating func readContents(_ key: Key, from snapshot: inout SnapshotReader, _ history: SampleHistory) -> Bool {
        guard let isSliding = snapshot.readBool(), low <= high, isSliding || low >= 0 || key.kind == .decayed else { return false }
        switch key.kind {
        case .bounds: return !isSliding
        case .order:
            var sorted = SortedValues()
            history.visit(range) { sorted.insert($0.value) }
            contents = .order([sorted])
            return !isSliding
        case .decayed:
            guard let decayed = DecayedMean(halflife: key.halflife, from: &snapshot) else { return false }
            contents = .decayed([decayed])
            return true
        case .truth:
            guard let before = snapshot.readOptionalSample() else { return false }
            var truth = TruthContents(before: before)
            if isSliding { truth.sliding = read(from: &snapshot, history) }
            contents = .truth([truth])
            return isSliding == (truth.sliding != nil)
        case .sums: return !isSliding || set(read(from: &snapshot, history)) { .sums([$0]) }
        case .moments: return !isSliding || set(read(from: &snapshot, history)) { .moments([$0]) }
        case .extremes: return !isSliding || set(read(from: &snapshot, history)) { .extremes([$0]) }
        case .transitions: return !isSliding || set(read(from: &snapshot, history)) { .transitions([$0]) }
        case .regression: return !isSliding || set(read(from: &snapshot, history)) { .regression([$0]) }
        }
    }

    private func read<Summary>(from snapshot: inout SnapshotReader, _ history: SampleHistory) -> SlidingSummary<Summary>? {
        SlidingSummary(from: &snapshot, history, start: range.lowerBound, end: range.upperBound)
    }

    private mutating func set<Summary>(_ sliding: SlidingSummary<Summary>?, _ make: (SlidingSummary<Summary>) -> Contents) -> Bool {
        guard let sliding else { return false }
        contents = make(sliding)
        return true
    }
}

extension WindowTrack.Key {
    fileprivate func write(to snapshot: inout SnapshotWriter) {
        switch extent {
        case .time(let length):
            snapshot.write(byte: 0)
            snapshot.write(length)
        case .count(let count):
            snapshot.write(byte: 1)
            snapshot.write(count)
        }
        snapshot.write(shift)
        snapshot.write(byte: kind.rawValue)
        snapshot.write(halflife)
    }

    fileprivate init?(from snapshot: inout SnapshotReader) {
        guard let isCount = snapshot.readBool(), let length = snapshot.readInt64(), let shift = snapshot.readInt64(),
            let kind = snapshot.readByte().flatMap({ WindowKind(rawValue: $0) }), let halflife = snapshot.readInt64()
        else { return nil }
        extent = isCount ? .count(Int(length)) : .time(length)
        (self.shift, self.kind, self.halflife) = (shift, kind, halflife)
    }
}
