/// What a window says. Nil is no result: nothing is in the window, too little for the function, or what it needs was lost to the limit on samples.
extension WindowTrack {
    func value(of function: WindowFunction, at now: Instant, _ key: Key, _ history: borrowing SampleHistory) -> WindowValue? {
        if case .decayed(let decayed) = contents { return decayed[0].mean.map { .number($0) } }
        guard isKnown(at: now, key, history) else { return nil }
        if case .truth(let truth) = contents { return held(truth[0], function, now, key, history) }
        switch function {
        case .present: return .truth(count > 0)
        case .absent: return .truth(count == 0)
        case .any, .all: return .truth(holds(function, key, history))
        default: break
        }
        guard count > 0 else { return nil }
        if case .order(let sorted) = contents { return ordered(sorted[0], function) }
        switch function.kind {
        case .bounds: return bound(function, history)
        case .sums: return sum(function, history)
        case .moments: return moment(function, history)
        case .extremes: return extreme(function, history)
        case .transitions: return transition(function, history)
        case .regression: return regression(function, now, history)
        case .truth, .order, .decayed: return nil
        }
    }

    /// False while the window reaches samples that are lost and that it has no panes for.
    private func isKnown(at now: Instant, _ key: Key, _ history: borrowing SampleHistory) -> Bool {
        guard history.lostUpTo > .distantPast, key.shift > 0 || key.kind == .order else { return true }
        if let lower = key.lower(at: now) { return history.lostUpTo <= lower }
        if case .count(let limit) = key.extent { return count >= limit }
        return true
    }

    /// `any` and `all`: a condition is 1 or 0 as a sample.
    private func holds(_ function: WindowFunction, _ key: Key, _ history: borrowing SampleHistory) -> Bool {
        guard count > 0 else { return false }
        if function == .any { return extremes(history).greatest.value > 0 }
        guard case .count(let limit) = key.extent, count >= limit else { return false }
        return extremes(history).least.value > 0
    }

    private func ordered(_ sorted: SortedValues, _ function: WindowFunction) -> WindowValue? {
        switch function {
        case .quantile(let q): sorted.quantile(q).map { .number($0) }
        default: sorted.medianDeviation.map { .number($0) }
        }
    }

    private func bound(_ function: WindowFunction, _ history: borrowing SampleHistory) -> WindowValue? {
        let newest = history[Int(high) - 1]
        switch function {
        case .last: return .number(newest.value)
        case .tsOfLast: return .instant(newest.at)
        default: break
        }
        guard count > 1, high > 1 else { return nil }
        var place = Int(high) - 2
        if function == .idelta { return .number(newest.value - history[place].value) }
        // A rate needs time between the two: what came at one instant says nothing of how fast.
        while history[place].at == newest.at {
            place -= 1
            guard place >= max(0, Int(low)) else { return nil }
        }
        let before = history[place]
        let increase = newest.value < before.value ? newest.value : newest.value - before.value
        return .number(increase / (Double(newest.at - before.at) / 1e9))
    }

    private func sum(_ function: WindowFunction, _ history: borrowing SampleHistory) -> WindowValue? {
        if function == .count { return .number(Double(count)) }
        let sums: SumSummary
        if case .sums(let sliding) = contents {
            sums = sliding[0].summary(history, start: Int(low))
        } else {
            sums = SumSummary(history, range)
        }
        guard sums.hasOverflowed, low >= 0 else { return .number(function == .sum ? sums.sum : sums.mean) }
        // Summed as small parts of themselves; 2^-64 is exact for numbers that can overflow a sum.
        var scaled = SumSummary()
        history.visit(range) { scaled.add($0.value * 0x1p-64) }
        return .number((function == .sum ? scaled.sum : scaled.sum / Double(count)) * 0x1p64)
    }

    private func moment(_ function: WindowFunction, _ history: borrowing SampleHistory) -> WindowValue? {
        let moments: MomentSummary
        if case .moments(let sliding) = contents {
            moments = sliding[0].summary(history, start: Int(low))
        } else {
            moments = MomentSummary(history, range)
        }
        switch function {
        case .stdvar: return .number(moments.variance)
        case .stddev: return .number(moments.variance.squareRoot())
        default: return .number(moments.deviations(of: history[Int(high) - 1].value))
        }
    }

    private func extreme(_ function: WindowFunction, _ history: borrowing SampleHistory) -> WindowValue? {
        let extremes = extremes(history)
        switch function {
        case .min: return .number(extremes.least.value)
        case .max: return .number(extremes.greatest.value)
        case .tsOfMin: return .instant(extremes.least.at)
        default: return .instant(extremes.greatest.at)
        }
    }

    private func extremes(_ history: borrowing SampleHistory) -> ExtremeSummary {
        guard case .extremes(let sliding) = contents else { return ExtremeSummary(history, range) }
        return sliding[0].summary(history, start: Int(low))
    }

    private func transition(_ function: WindowFunction, _ history: borrowing SampleHistory) -> WindowValue? {
        let transitions: TransitionSummary
        if case .transitions(let sliding) = contents {
            transitions = sliding[0].summary(history, start: Int(low))
        } else {
            transitions = TransitionSummary(history, range)
        }
        switch function {
        case .first: return .number(transitions.first.value)
        case .tsOfFirst: return .instant(transitions.first.at)
        case .changes: return .number(Double(transitions.changes))
        case .resets: return .number(Double(transitions.resets))
        default: break
        }
        guard transitions.count > 1 else { return nil }
        switch function {
        case .delta: return .number(transitions.delta)
        case .increase: return .number(transitions.increase)
        case _ where transitions.seconds == 0: return nil
        default: return .number(transitions.increase / transitions.seconds)
        }
    }

    private func regression(_ function: WindowFunction, _ instant: Instant, _ history: borrowing SampleHistory) -> WindowValue? {
        let regression: RegressionSummary
        if case .regression(let sliding) = contents {
            regression = sliding[0].summary(history, start: Int(low))
        } else {
            regression = RegressionSummary(history, range)
        }
        if case .predictLinear(let ahead) = function { return regression.value(at: instant, ahead: ahead).map { .number($0) } }
        return regression.slope.map { .number($0) }
    }

    /// The time a condition held: from the instant before the window, over its samples, to its end.
    private func held(
        _ truth: TruthContents, _ function: WindowFunction, _ now: Instant, _ key: Key, _ history: borrowing SampleHistory
    ) -> WindowValue? {
        guard let time = heldTime(truth, at: now, key, history) else { return nil }
        if function == .duration { return .duration(time.held) }
        return time.known > 0 ? .number(min(1, Double(time.held) / Double(time.known))) : nil
    }

    /// When the window changes by the passing of time alone; nil when it does not.
    func nextChange(after now: Instant, _ key: Key, _ history: borrowing SampleHistory) -> Instant? {
        if key.kind == .decayed { return nil }
        var next: Instant?
        if Int(high) < history.count { next = history[Int(high)].at + key.shift }
        guard case .time(let length) = key.extent, count > 0 else { return next }
        let oldest = low < 0 ? oldestBlock?.lastAt : history[Int(low)].at
        guard let leaves = oldest.map({ $0 + length + key.shift }) else { return next }
        return next.map { min($0, leaves) } ?? leaves
    }
}
