import CMosquitto

/// Keeps one of the copies that a broker sends of one message when several of our filters match it.
///
/// MQTT 5 brokers may send a copy for each matching subscription, marked with its subscription identifier (§3.3.4). Of one topic and
/// payload, as many messages are kept as any one subscription has brought: the second copy of a message is dropped whichever comes first, an equal message sent
/// twice counts twice, and nothing is lost when a subscription came or went in between. With 3.1.1 there is one copy, except of retained
/// messages, which come once for each filter when it is subscribed; they carry no identifier, so the first is kept.
struct OverlapFilter {
    private struct Copies {
        var kept: Int = 0
        var broughtBy: [UInt32: Int] = [:]
    }

    /// Patterns without `$share/<group>/`.
    private var patterns: [String] = []
    /// By the hash of the topic: whether more than one pattern matches it.
    private var overlapping: [Int: Bool] = [:]
    /// By the hash of topic and payload. Copies follow each other closely, so two generations of bounded size suffice.
    private var recent: [Int: Copies] = [:]
    private var older: [Int: Copies] = [:]
    private var turnedAt: ContinuousClock.Instant?

    private static let topicsKept = 100_000
    private static let contentsKept = 8192
    private static let generation = Duration.seconds(5)

    /// Whether copies are possible at all.
    var isNeeded: Bool { patterns.count > 1 }

    mutating func setPatterns(_ new: [String]) {
        guard new != patterns else { return }
        patterns = new
        overlapping.removeAll()
    }

    /// `topic` ends with a zero byte.
    mutating func overlaps(topic: UnsafePointer<CChar>, hash: Int) -> Bool {
        if let known = overlapping[hash] { return known }
        var matching = 0
        for pattern in patterns where matching < 2 {
            var matches = false
            if mosquitto_topic_matches_sub(pattern, topic, &matches) == MOSQ_ERR_SUCCESS.rawValue, matches { matching += 1 }
        }
        if overlapping.count >= Self.topicsKept { overlapping.removeAll(keepingCapacity: true) }
        overlapping[hash] = matching > 1
        return matching > 1
    }

    /// Whether this message of an overlapping topic is a further copy. No identifiers: the broker gave none.
    mutating func isCopy(content: Int, identifiers: [UInt32], retained: Bool, now: ContinuousClock.Instant) -> Bool {
        turn(now)
        guard !identifiers.isEmpty || retained else { return false }
        var copies = recent[content] ?? older[content] ?? Copies()
        var brought = 1
        for identifier in identifiers {
            let count = copies.broughtBy[identifier, default: 0] + 1
            copies.broughtBy[identifier] = count
            brought = max(brought, count)
        }
        let isCopy = brought <= copies.kept
        if !isCopy { copies.kept = brought }
        recent[content] = copies
        return isCopy
    }

    /// What was kept may not have been stored, or the broker will send it anew.
    mutating func forgetContents() {
        recent.removeAll()
        older.removeAll()
    }

    private mutating func turn(_ now: ContinuousClock.Instant) {
        guard let turned = turnedAt else { return turnedAt = now }
        guard now - turned > Self.generation || recent.count >= Self.contentsKept else { return }
        older = recent
        recent = [:]
        turnedAt = now
    }
}
