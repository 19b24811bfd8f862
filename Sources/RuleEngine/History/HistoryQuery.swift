/// A question to the platform's time series, asked again at aligned instants: what `influx:` of a rule or of a side input says.
///
/// The text is the store's own language. What the core knows of it is where `now()` stands, by which tags the answer is grouped, and how long its buckets are.
public struct HistoryQuery: Hashable, Sendable {
    public enum Part: Hashable, Sendable {
        case literal(String)
        /// `now()`: replaced by the evaluation instant less the offset.
        case now
    }

    public var parts: [Part]
    /// The tags by which the answer is grouped, in the order of the query; nil when only the answer tells (`GROUP BY *`, a pattern).
    public var tags: [String]?
    /// Length of the answer's buckets in nanoseconds, `time(5m)`; 0 when it has none.
    public var bucket: Int64
    public var every: Duration
    public var offset: Duration

    public init(parts: [Part], tags: [String]?, bucket: Int64 = 0, every: Duration, offset: Duration = .zero) {
        self.parts = parts
        self.tags = tags
        self.bucket = max(0, bucket)
        self.every = every
        self.offset = offset
    }

    /// What names the query: queries of equal text, `every` and `offset` are one and are asked once.
    public var id: String { "\(every.inNanoseconds)/\(offset.inNanoseconds) \(text { "now()" })" }

    /// Data later than this do not belong to the evaluation of an instant.
    public func cutoff(of instant: Instant) -> Instant { instant + -max(0, offset.inNanoseconds) }

    /// The text to ask for an instant.
    public func text(at instant: Instant) -> String {
        let cutoff = cutoff(of: instant)
        return text { "'\(cutoff)'" }
    }

    private func text(now: () -> String) -> String {
        var text = ""
        for part in parts {
            switch part {
            case .literal(let literal): text += literal
            case .now: text += now()
            }
        }
        return text
    }

    /// How long after its instant the query is asked: some part of a tenth of `every`, so that a thousand rules do not ask at once. Follows from the query alone.
    public var delay: Int64 {
        let room = max(1, every.inNanoseconds / 10)
        var hash = id.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        // Texts that differ in a few bytes only are spread evenly by the finishing of SplitMix64.
        hash = (hash ^ hash >> 30) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ hash >> 27) &* 0x94d0_49bb_1331_11eb
        return Int64((hash ^ hash >> 31) % UInt64(room))
    }
}

/// `with`: rows of a query that stand beside the readings of a rule, matched on the labels that both have.
public struct SideInput: Hashable, Sendable {
    public var name: String
    public var query: HistoryQuery
    public init(name: String, query: HistoryQuery) {
        self.name = name
        self.query = query
    }
}
