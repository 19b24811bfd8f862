/// How what a window keeps follows its samples.
extension WindowTrack {
    mutating func enter(_ history: borrowing SampleHistory, _ range: Range<Int>) {
        switch contents {
        case .samples, .decayed: break
        case .order(var sorted):
            contents = .samples
            history.visit(range) { sorted[0].insert($0.value) }
            contents = .order(sorted)
        default: slide(.append(range), history)
        }
    }

    mutating func evict(_ range: Range<Int>, _ history: borrowing SampleHistory) {
        guard !range.isEmpty else { return }
        switch contents {
        case .samples, .decayed: break
        case .order(var sorted):
            contents = .samples
            history.visit(range) { sorted[0].remove($0.value) }
            contents = .order(sorted)
        default:
            if case .truth = contents { note(before: history[range.upperBound - 1]) }
            slide(.evict(range), history)
        }
    }

    mutating func change(at index: Int, inserted value: Double, old: Double?, _ history: borrowing SampleHistory) {
        switch contents {
        case .samples, .decayed: break
        case .order(var sorted):
            contents = .samples
            if let old { sorted[0].remove(old) }
            sorted[0].insert(value)
            contents = .order(sorted)
        default:
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
        guard case .truth(var truth) = contents else { return }
        contents = .samples
        if truth[0].before.map({ $0.at <= sample.at }) ?? true { truth[0].before = sample }
        contents = .truth(truth)
    }

    /// Cuts the window into blocks when it has become long.
    mutating func startSliding(_ key: Key, _ history: borrowing SampleHistory) {
        guard count >= Self.slidingThreshold, low >= 0 else { return }
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

    private mutating func slide(_ motion: SlidingMotion, _ history: borrowing SampleHistory) {
        // The payload is taken out of the enumeration while it changes, so that it is not copied.
        switch contents {
        case .samples, .order, .decayed: break
        case .sums(var sliding):
            contents = .samples
            if sliding[0].apply(motion, history) { contents = .sums(sliding) }
        case .moments(var sliding):
            contents = .samples
            if sliding[0].apply(motion, history) { contents = .moments(sliding) }
        case .extremes(var sliding):
            contents = .samples
            if sliding[0].apply(motion, history) { contents = .extremes(sliding) }
        case .transitions(var sliding):
            contents = .samples
            if sliding[0].apply(motion, history) { contents = .transitions(sliding) }
        case .regression(var sliding):
            contents = .samples
            if sliding[0].apply(motion, history) { contents = .regression(sliding) }
        case .truth(var truth):
            contents = .samples
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
