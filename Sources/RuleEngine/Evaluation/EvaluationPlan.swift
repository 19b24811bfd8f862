import CEL

/// The rules frozen for evaluation: flat tables, names resolved, indexes built. Immutable; a reload makes a new one.
public final class EvaluationPlan: Sendable {
    public let catalog: RuleCatalog
    let rules: [RulePlan]
    let sources: [SourcePlan]
    let indexes: [SourceIndex]
    let strings: InternedStrings
    let trie: TopicTrie<TopicTarget>

    /// One subscription of one source.
    struct TopicTarget: Sendable {
        var source: Int32
        var subscription: Int16
    }

    init(catalog: RuleCatalog, rules: [RulePlan], sources: [SourcePlan], strings: InternedStrings) {
        self.catalog = catalog
        self.rules = rules
        self.sources = sources
        indexes = sources.map(SourceIndex.init)
        self.strings = strings
        var trie = TopicTrie<TopicTarget>()
        for (number, source) in sources.enumerated() {
            for (place, subscription) in source.key.subscriptions.enumerated() {
                trie.insert(subscription.filter, TopicTarget(source: Int32(number), subscription: Int16(place)))
            }
        }
        self.trie = trie
    }

    public static let empty = EvaluationPlan(catalog: .empty, rules: [], sources: [], strings: InternedStrings())

    /// What has to be subscribed at the broker: a covering set, at the highest QoS that a covered filter asks for.
    public var subscriptions: [Subscription] {
        let wanted = rules.filter { $0.rule.isEnabled }.flatMap(\.rule.subscriptions)
        return TopicFilter.covering(wanted.map(\.filter)).map { filter in
            let qos = wanted.filter { filter.covers($0.filter) }.map(\.qos).max() ?? 1
            return Subscription(filter: filter.subscription, qos: qos)
        }.reduce(into: [Subscription]()) { kept, next in
            if let place = kept.firstIndex(where: { $0.filter == next.filter }) {
                kept[place].qos = max(kept[place].qos, next.qos)
            } else {
                kept.append(next)
            }
        }
    }
}
