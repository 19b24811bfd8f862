/// How what a window keeps follows its samples.
extension WindowTrack {
    mutating func enter(_ history: borrowing SampleHistory, _ range: Range<Int>) {
        if kind == .order {
            reorder { sorted in for index in range { sorted.insert(history[index].value) } }
        } else {
            slide(.append(range), history)
        }
    }

    mutating func evict(_ range: Range<Int>, _ history: borrowing SampleHistory) {
        guard !range.isEmpty else { return }
        if kind == .order {
            reorder { sorted in for index in range { sorted.remove(history[index].value) } }
        } else {
            if kind == .truth { note(before: history[range.upperBound - 1]) }
            slide(.evict(range), history)
        }
    }

    mutating func change(at index: Int, inserted value: Double, old: Double?, _ history: borrowing SampleHistory) {
        if kind == .order {
            reorder { sorted in
                if let old { sorted.remove(old) }
                sorted.insert(value)
            }
        } else {
            slide(.change(at: index, inserted: old == nil, window: range), history)
        }
    }

    /// Whether the window keeps something that outlives its samples.
    mutating func makePanes(before lost: Int, _ history: borrowing SampleHistory) -> Bool {
        guard lost <= Int(high), isSliding else { return false }
        slide(.makePanes(before: lost, window: range), history)
        return true
    }

    var isSliding: Bool {
        switch contents {
        case .samples, .order, .decayed: false
        case .truth(let truth): truth[0].sliding != nil
        default: true
        }
    }

    var oldestBlock: (count: Int, lastAt: Instant)? {
        switch contents {
        case .samples, .order, .decayed: nil
        case .sums(let sliding): sliding[0].oldestBlock
        case .moments(let sliding): sliding[0].oldestBlock
        case .extremes(let sliding): sliding[0].oldestBlock
        case .transitions(let sliding): sliding[0].oldestBlock
        case .regression(let sliding): sliding[0].oldestBlock
        case .truth(let truth): truth[0].sliding?.oldestBlock
        }
    }

    mutating func leaveBlock(_ history: borrowing SampleHistory) {
        if case .truth(let truth) = contents, let sliding = truth[0].sliding { note(before: sliding.blocks[sliding.head].summary.last) }
        slide(.leaveHead, history)
    }

    /// Keeps the newest sample before the window, where that matters.
    mutating func note(before sample: Sample) {
        guard kind == .truth, case .truth(var truth) = takeContents() else { return }
        if truth[0].before.map({ $0.at <= sample.at }) ?? true { truth[0].before = sample }
        contents = .truth(truth)
    }

    /// Cuts the window into blocks when it has become long.
    mutating func startSliding(_ key: Key, _ history: borrowing SampleHistory) {
        guard count >= Self.slidingThreshold, low >= 0, !isSliding else { return }
        switch (contents, key.kind) {
        case (.samples, .sums): contents = .sums([SlidingSummary(history, range)])
        case (.samples, .moments): contents = .moments([SlidingSummary(history, range)])
        case (.samples, .extremes): contents = .extremes([SlidingSummary(history, range)])
        case (.samples, .transitions): contents = .transitions([SlidingSummary(history, range)])
        case (.samples, .regression): contents = .regression([SlidingSummary(history, range)])
        case (.truth(var truth), _) where truth[0].sliding == nil:
            contents = .samples
            truth[0].sliding = SlidingSummary(history, range)
            contents = .truth(truth)
        default: break
        }
    }

    /// The contents, which are then none here: while they change they must have one owner, or they are copied.
    private mutating func takeContents() -> Contents {
        var taken = Contents.samples
        swap(&taken, &contents)
        return taken
    }

    mutating func decay(_ sample: Sample) {
        guard kind == .decayed, case .decayed(var decayed) = takeContents() else { return }
        decayed[0].add(sample)
        contents = .decayed(decayed)
    }

    @inline(__always)
    private mutating func reorder(_ change: (inout SortedValues) -> Void) {
        guard kind == .order, case .order(var sorted) = takeContents() else { return }
        change(&sorted[0])
        contents = .order(sorted)
    }

    private mutating func slide(_ motion: SlidingMotion, _ history: borrowing SampleHistory) {
        if kind == .order || kind == .decayed { return }
        switch takeContents() {
        case .samples, .order, .decayed: break
        case .sums(var sliding):
            if sliding[0].apply(motion, history) { contents = .sums(sliding) }
        case .moments(var sliding):
            if sliding[0].apply(motion, history) { contents = .moments(sliding) }
        case .extremes(var sliding):
            if sliding[0].apply(motion, history) { contents = .extremes(sliding) }
        case .transitions(var sliding):
            if sliding[0].apply(motion, history) { contents = .transitions(sliding) }
        case .regression(var sliding):
            if sliding[0].apply(motion, history) { contents = .regression(sliding) }
        case .truth(var truth):
            if truth[0].sliding?.apply(motion, history) == false { truth[0].sliding = nil }
            contents = .truth(truth)
        }
    }
}

/// What can happen to a sliding summary, whatever it sums up.
private enum SlidingMotion {
    case append(Range<Int>)
    case evict(Range<Int>)
    case change(at: Int, inserted: Bool, window: Range<Int>)
    case makePanes(before: Int, window: Range<Int>)
    case leaveHead
}

extension SlidingSummary {
    /// False when no block is left of it.
    fileprivate mutating func apply(_ motion: SlidingMotion, _ history: borrowing SampleHistory) -> Bool {
        switch motion {
        case .append(let range): for index in range { append(history[index]) }
        case .evict(let range): evict(range.count, history, start: range.lowerBound)
        case .change(let index, let inserted, let window):
            changed(at: index, inserted: inserted, history, start: window.lowerBound, end: window.upperBound)
        case .makePanes(let lost, let window): makePanes(before: lost, history, start: window.lowerBound, windowEnd: window.upperBound)
        case .leaveHead: leaveHead()
        }
        return !isExhausted
    }
}
