/// What has to be kept of a window for a function; functions of one kind over the same stretch of time share it.
enum WindowKind: UInt8, Sendable {
    case bounds, sums, moments, extremes, transitions, regression, truth, order, decayed
}

extension WindowFunction {
    var kind: WindowKind {
        switch self {
        case .last, .present, .absent, .idelta, .irate, .tsOfLast: .bounds
        case .sum, .avg, .count: .sums
        case .stddev, .stdvar, .zscore: .moments
        case .min, .max, .tsOfMin, .tsOfMax, .any, .all: .extremes
        case .first, .tsOfFirst, .changes, .resets, .delta, .increase, .rate: .transitions
        case .deriv, .predictLinear: .regression
        case .duration, .share: .truth
        case .quantile, .mad: .order
        case .ewma: .decayed
        }
    }
}

/// The place of one window in its history, and what is kept for the functions of one kind over it.
struct WindowTrack: Sendable {
    /// Which samples and which kind of summary; what tracks are shared by.
    struct Key: Hashable, Sendable {
        var extent: WindowSpecification.Extent
        var shift: Int64
        var kind: WindowKind
        /// Of `decayed`, nanoseconds.
        var halflife: Int64 = 0

        init(_ specification: WindowSpecification) {
            kind = specification.function.kind
            if case .ewma(let halflife) = specification.function {
                (extent, shift, self.halflife) = (.count(1), 0, halflife)
            } else {
                (extent, shift) = (specification.extent, specification.shift)
            }
        }

        /// The newest instant in the window at an instant.
        func upper(at now: Instant) -> Instant { now + -shift }

        /// The newest instant before the window; counts have none.
        func lower(at now: Instant) -> Instant? {
            guard case .time(let length) = extent else { return nil }
            return upper(at: now) + -length
        }
    }

    /// Few samples are looked at one by one; a `SlidingSummary` is in an array of one because most windows have none.
    enum Contents: Sendable {
        case samples
        case sums(ContiguousArray<SlidingSummary<SumSummary>>)
        case moments(ContiguousArray<SlidingSummary<MomentSummary>>)
        case extremes(ContiguousArray<SlidingSummary<ExtremeSummary>>)
        case transitions(ContiguousArray<SlidingSummary<TransitionSummary>>)
        case regression(ContiguousArray<SlidingSummary<RegressionSummary>>)
        case truth(ContiguousArray<TruthContents>)
        case order(ContiguousArray<SortedValues>)
        case decayed(ContiguousArray<DecayedMean>)
    }

    /// A condition also holds on from the newest sample before the window.
    struct TruthContents: Sendable {
        var before: Sample?
        var sliding: SlidingSummary<TruthSummary>?
    }

    /// The window is the samples `low..<high` of the history; `low` is negative by the number of samples in panes.
    private(set) var low: Int32 = 0
    private(set) var high: Int32 = 0
    var contents = Contents.samples
    let kind: WindowKind

    init(_ key: Key) {
        kind = key.kind
        switch key.kind {
        case .truth: contents = .truth([TruthContents()])
        case .order: contents = .order([SortedValues()])
        case .decayed: contents = .decayed([DecayedMean(halflife: key.halflife)])
        default: break
        }
    }

    var count: Int { Int(high) - Int(low) }
    var range: Range<Int> { Int(low)..<Int(high) }

    mutating func restore(low: Int32, high: Int32) { (self.low, self.high) = (low, high) }

    /// The window of 96 samples or more gets blocks; below that the samples are as fast and smaller.
    static let slidingThreshold = 96

    /// More samples than this in panes are let go early, so that positions fit 32 bits.
    private static let mostInPanes: Int32 = 1_000_000_000

    // MARK: moving

    /// Moves the window to an instant, never backwards: what leaves goes first, so that there is room for what enters.
    mutating func move(to now: Instant, _ key: Key, _ history: borrowing SampleHistory) {
        leave(now, key, history)
        let upper = key.upper(at: now)
        if Int(high) < history.count, history[Int(high)].at <= upper {
            let end = history.firstIndex(after: upper, from: Int(high))
            enter(history, Int(high)..<end)
            high = Int32(end)
            startSliding(key, history)
            leave(now, key, history)
        }
    }

    /// Lets go what an instant leaves behind.
    mutating func leave(_ now: Instant, _ key: Key, _ history: borrowing SampleHistory) {
        if low < 0 { leavePanes(now, key, history) }
        guard low >= 0 else { return }
        let start: Int
        switch key.extent {
        case .count(let limit): start = max(Int(low), Int(high) - limit)
        case .time:
            guard low < high, let lower = key.lower(at: now), history[Int(low)].at <= lower else { return }
            start = min(history.firstIndex(after: lower, from: Int(low)), Int(high))
        }
        guard start > Int(low) else { return }
        evict(Int(low)..<start, history)
        low = Int32(start)
    }

    private mutating func leavePanes(_ now: Instant, _ key: Key, _ history: borrowing SampleHistory) {
        while low < 0, let oldest = oldestBlock {
            switch key.extent {
            case _ where low < -Self.mostInPanes: break
            case .count(let limit): guard count - oldest.count >= limit else { return }
            case .time: guard let lower = key.lower(at: now), oldest.lastAt <= lower else { return }
            }
            low += Int32(oldest.count)
            leaveBlock(history)
        }
    }

    // MARK: late samples

    /// Takes in a sample that was inserted at an index of the history, the window standing at `now`.
    mutating func inserted(_ sample: Sample, at index: Int, now: Instant, _ key: Key, _ history: borrowing SampleHistory) {
        guard key.kind != .decayed, index <= Int(high), sample.at <= key.upper(at: now) else { return }
        let isBefore: Bool
        if let lower = key.lower(at: now) {
            isBefore = sample.at <= lower
        } else if case .count(let limit) = key.extent {
            isBefore = index < Int(low) || index == Int(low) && count >= limit
        } else {
            isBefore = false
        }
        high += 1
        if isBefore {
            low += 1
            note(before: sample)
        } else {
            change(at: index, inserted: sample.value, old: nil, history)
            startSliding(key, history)
            leave(now, key, history)
        }
    }

    /// Takes in that the sample at an index has a new value.
    mutating func replaced(_ sample: Sample, at index: Int, old: Double, _ history: borrowing SampleHistory) {
        guard index < Int(high) else { return }
        if index < Int(low) { note(before: sample) } else { change(at: index, inserted: sample.value, old: old, history) }
    }

    /// Follows the history that forgot its oldest samples, none of which was in the window but as a pane.
    mutating func forgot(_ dropped: Int) {
        if kind == .decayed { return }
        low -= Int32(dropped)
        high -= Int32(dropped)
    }

    /// Prepares for the loss of the oldest samples. Windows that are shifted back, and those that need the values in order, lose what they have: they say nothing
    /// until they have left the lost samples behind.
    mutating func prepareLoss(of lost: Int, _ key: Key, _ history: borrowing SampleHistory) {
        guard Int(low) < lost else { return }
        if key.shift == 0, makePanes(before: lost, history) { return }
        let end = min(lost, Int(high))
        evict(max(0, Int(low))..<max(0, Int(low), end), history)
        low = Int32(lost)
        high = max(high, low)
    }
}
