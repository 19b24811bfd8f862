import CEL

/// The rules frozen for evaluation: flat tables, names resolved, indexes built. Immutable; a reload makes a new one.
public final class EvaluationPlan: Sendable {
    public let catalog: RuleCatalog
    let rules: [RulePlan]
    let sources: [SourcePlan]
    let indexes: [SourceIndex]
    let table: RuleTable
    let strings: InternedStrings
    let surroundings: Surroundings
    let queries: [QueryPlan]
    /// By `HistoryQuery.id`.
    let queryNumbers: [String: Int]
    let trie: TopicTrie<TopicTarget>
    /// Of plugins, by the names that rules give.
    let decoders: [String: any TelemetryDecoder]

    /// One subscription of one source.
    struct TopicTarget: Sendable {
        var source: Int32
        var subscription: Int16
    }

    init(
        catalog: RuleCatalog, rules: [RulePlan], sources: [SourcePlan], strings: InternedStrings, surroundings: Surroundings = .unknown,
        queries: [QueryPlan] = [],
        decoders: [String: any TelemetryDecoder] = [:]
    ) {
        self.surroundings = surroundings
        self.catalog = catalog
        self.decoders = decoders
        self.rules = rules
        self.sources = sources
        indexes = sources.map(SourceIndex.init)
        table = RuleTable(rules)
        self.strings = strings
        self.queries = queries
        queryNumbers = Dictionary(uniqueKeysWithValues: queries.enumerated().map { ($1.id, $0) })
        var trie = TopicTrie<TopicTarget>()
        for (number, source) in sources.enumerated() {
            for (place, subscription) in source.key.subscriptions.enumerated() {
                trie.insert(subscription.filter, TopicTarget(source: Int32(number), subscription: Int16(place)))
            }
        }
        self.trie = trie
    }

    public static let empty = EvaluationPlan(catalog: .empty, rules: [], sources: [], strings: InternedStrings())

    /// Whether a rule wants rows of the platform's time series.
    public var wantsHistory: Bool { queries.contains(where: \.isWanted) }

    /// What has to be subscribed at the broker: a covering set, at the highest QoS that a covered filter asks for.
    public var subscriptions: [Subscription] {
        let wanted = rules.filter(\.rule.isEnabled).flatMap { rule in
            rule.rule.subscriptions + rule.latestFilters.map { TopicSubscription(filter: $0) }
        }
        let covering = TopicFilter.covering(wanted.lazy.map(\.filter))
        let trees = FilterTree.trees(of: covering)
        var levels = [UInt8](repeating: 0, count: covering.count)
        for subscription in wanted where subscription.qos > 0 {
            trees[subscription.filter.share ?? ""]?.forEach(covering: subscription.filter) {
                levels[$0] = max(levels[$0], subscription.qos)
            }
        }
        return zip(covering, levels).map { Subscription(filter: $0.subscription, qos: $1) }
    }
}
