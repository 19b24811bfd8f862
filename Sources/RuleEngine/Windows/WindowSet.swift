/// The windows of one instance: for each expression of the plan its samples, once, and what its windows keep of them, once however many rules ask.
///
/// Instants are the instance's time, which never goes back; an older one is taken as the newest sample's. Nothing here traps on any number or instant.
///
/// **Accuracy.** Sums, means, deviations and regressions agree with two-pass sums of double length to 1e-12 or so whatever has passed through the window: nothing is ever
/// subtracted. An expression that would have to hold more than the plan's `sampleLimit` loses its oldest samples, a sixteenth at a time, to panes: summaries of stretches
/// of time, at most 1,024 of at most a 256th of their samples each. A window that reaches into them lets its oldest pane go as a whole when the pane's newest sample leaves, so it
/// covers up to one pane more than it was asked for. Quantiles, `mad` and windows shifted back have no panes: they give no result until the samples lost lie behind
/// them. Late samples older than a lost one are refused.
public struct WindowSet: Sendable {
    public enum Outcome: Equatable, Sendable {
        case added
        /// Inserted before newer samples.
        case late
        /// Took the place of another at the same instant.
        case replaced
        /// Older than samples that are held only in panes.
        case refused
    }

    struct Series: Sendable {
        var history = SampleHistory()
        var tracks: ContiguousArray<WindowTrack>

        init(_ source: WindowPlan.Source) { tracks = ContiguousArray(source.keys.map { WindowTrack($0) }) }
    }

    public let plan: WindowPlan
    var series: ContiguousArray<Series>

    public init(_ plan: WindowPlan) {
        self.plan = plan
        series = ContiguousArray(plan.sources.map { Series($0) })
    }

    /// How many samples an expression holds.
    public func sampleCount(of expression: Int) -> Int { series.indices.contains(expression) ? series[expression].history.count : 0 }

    /// The instant of an expression's newest sample.
    func newest(of expression: Int) -> Instant? { series.indices.contains(expression) ? series[expression].history.newest?.at : nil }

    /// Adds a sample of an expression and moves its windows to the instant. A sample already there at the same instant is replaced, or, with `besideOthers`,
    /// joined: messages that were received together, or come from several devices, are several samples.
    @discardableResult
    public mutating func add(_ sample: Sample, to expression: Int, at now: Instant, besideOthers: Bool = false) -> Outcome {
        guard series.indices.contains(expression) else { return .refused }
        return series[expression].add(sample, at: now, besideOthers, plan.sources[expression], limit: plan.sampleLimit)
    }

    /// What a window says at an instant, which it moves to; nil is no result.
    public mutating func value(of window: Int, at now: Instant) -> WindowValue? {
        guard plan.windows.indices.contains(window) else { return nil }
        let place = plan.windows[window]
        return series[place.expression].value(place.specification.function, track: place.track, place.key, at: now)
    }

    /// The first instant after this one when a window says something else because time passes: its oldest sample leaves it, or, shifted back, it reaches another one. Durations and shares
    /// of a condition change at every instant while it holds; for them, too, this is when a sample leaves.
    public func nextChange(of window: Int, after now: Instant) -> Instant? {
        guard plan.windows.indices.contains(window) else { return nil }
        let place = plan.windows[window]
        let one = series[place.expression]
        return one.tracks[place.track].nextChange(after: now, place.key, one.history)
    }

    /// The first instant after this one at which `duration_over_time` (a limit in nanoseconds) or `share_over_time` passes a limit because time passes;
    /// nil when that is not before the next change.
    public func nextTurn(of window: Int, at limit: Double, after now: Instant) -> Instant? {
        guard plan.windows.indices.contains(window) else { return nil }
        let place = plan.windows[window]
        let one = series[place.expression]
        return one.tracks[place.track].nextTurn(of: place.specification.function, at: limit, after: now, place.key, one.history)
    }

    /// The first change of any window.
    public func nextChange(after now: Instant) -> Instant? {
        var next: Instant?
        for (one, source) in zip(series, plan.sources) {
            for (track, key) in zip(one.tracks, source.keys) {
                if let change = track.nextChange(after: now, key, one.history) { next = next.map { min($0, change) } ?? change }
            }
        }
        return next
    }
}

extension WindowSet.Series {
    mutating func add(_ sample: Sample, at now: Instant, _ besideOthers: Bool, _ source: WindowPlan.Source, limit: Int)
        -> WindowSet.Outcome
    {
        if source.hasDecayed { for index in tracks.indices { tracks[index].decay(sample) } }
        guard source.needsHistory else { return .added }
        guard history.lostUpTo < sample.at else { return .refused }
        var now = max(now, sample.at)
        if let newest = history.newest?.at { now = max(now, newest) }
        if history.isLate(sample, besideOthers: besideOthers) { return addLate(sample, at: now, besideOthers, source, limit) }
        leave(now, source)
        if history.isFull { makeRoom() }
        history.append(sample)
        move(to: now, source)
        if history.count > limit { keep(atMost: limit, source) }
        return .added
    }

    /// A late sample is put into windows that stand where they have to.
    private mutating func addLate(_ sample: Sample, at now: Instant, _ besideOthers: Bool, _ source: WindowPlan.Source, _ limit: Int)
        -> WindowSet.Outcome
    {
        move(to: now, source)
        if history.isFull { makeRoom() }
        let insertion = history.insertLate(sample, besideOthers: besideOthers)
        for index in tracks.indices {
            switch insertion {
            case .inserted(let place): tracks[index].inserted(sample, at: place, now: now, source.keys[index], history)
            case .replaced(let place, let old): tracks[index].replaced(sample, at: place, old: old, history)
            }
        }
        move(to: now, source)
        if history.count > limit { keep(atMost: limit, source) }
        if case .replaced = insertion { return .replaced }
        return .late
    }

    private mutating func keep(atMost limit: Int, _ source: WindowPlan.Source) {
        forget()
        if history.count > limit { lose(history.count - limit + limit / 16, source) }
    }

    private mutating func move(to now: Instant, _ source: WindowPlan.Source) {
        for index in tracks.indices where tracks[index].kind != .decayed {
            tracks[index].move(to: now, source.keys[index], history)
        }
    }

    private mutating func leave(_ now: Instant, _ source: WindowPlan.Source) {
        for index in tracks.indices where tracks[index].kind != .decayed { tracks[index].leave(now, source.keys[index], history) }
    }

    /// What no window needs is forgotten when there is no room for more, so that this is seldom and the ring is as full as it can be.
    private mutating func makeRoom() {
        forget()
        history.growIfCrowded()
    }

    /// How many of the oldest samples no window reaches or will reach. The newest is always kept: it says how late another is.
    var unneeded: Int {
        var least = Int32.max
        for track in tracks where track.kind != .decayed { least = min(least, track.low) }
        return max(0, min(Int(least), history.count - 1))
    }

    private mutating func forget() {
        let unneeded = unneeded
        guard unneeded > 0 else { return }
        history.forget(unneeded)
        for index in tracks.indices { tracks[index].forgot(unneeded) }
    }

    private mutating func lose(_ lost: Int, _ source: WindowPlan.Source) {
        for index in tracks.indices where tracks[index].kind != .decayed {
            tracks[index].prepareLoss(of: lost, source.keys[index], history)
        }
        history.lose(lost)
        for index in tracks.indices { tracks[index].forgot(lost) }
    }

    mutating func value(_ function: WindowFunction, track: Int, _ key: WindowTrack.Key, at now: Instant) -> WindowValue? {
        var now = now
        if let newest = history.newest { now = max(now, newest.at) }
        if key.kind != .decayed { tracks[track].move(to: now, key, history) }
        return tracks[track].value(of: function, at: now, key, history)
    }
}
