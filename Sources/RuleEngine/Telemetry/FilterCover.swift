/// A set of filters that matches what many filters match.
extension TopicFilter {
    /// The smallest set of `filters` that matches the same topics, in the order of the first of each. Near linear in their number: filters are looked up
    /// in a tree of filters.
    public static func covering(_ filters: some Sequence<TopicFilter>) -> [TopicFilter] {
        var seen = Set<[UInt8]>()
        let distinct = filters.filter { seen.insert(Array($0.subscription.utf8)).inserted }
        let trees = FilterTree.trees(of: distinct)
        return distinct.enumerated().filter { place, filter in
            var isCovered = false
            trees[filter.share ?? ""]?.forEach(covering: filter) { if $0 != place { isCovered = true } }
            return !isCovered
        }.map(\.element)
    }
}

/// Filters of one share, no two of which have the same pattern, as a tree of their levels.
struct FilterTree {
    private struct Node {
        // Bytes: topics are equal when their bytes are.
        var literals: [[UInt8]: Int] = [:]
        var any: Int?
        /// Numbers of the filters that end here, and that end with `#` here.
        var exact: Int?
        var rest: Int?
    }
    private var nodes = [Node()]

    /// By share; a filter's number is its place.
    static func trees(of filters: [TopicFilter]) -> [String: FilterTree] {
        var trees: [String: FilterTree] = [:]
        for (place, filter) in filters.enumerated() { trees[filter.share ?? "", default: FilterTree()].insert(filter, place) }
        return trees
    }

    private mutating func insert(_ filter: TopicFilter, _ number: Int) {
        var at = 0
        for level in filter.levels {
            switch level {
            case .literal(let text):
                let bytes = Array(text.utf8)
                if nodes[at].literals[bytes] == nil {
                    nodes[at].literals[bytes] = nodes.count
                    nodes.append(Node())
                }
                at = nodes[at].literals[bytes] ?? 0
            case .any:
                if nodes[at].any == nil {
                    nodes[at].any = nodes.count
                    nodes.append(Node())
                }
                at = nodes[at].any ?? 0
            case .rest:
                nodes[at].rest = number
                return
            }
        }
        nodes[at].exact = number
    }

    /// The numbers of all filters that match whatever this one matches; itself, if it is in the tree, among them.
    func forEach(covering filter: TopicFilter, _ found: (Int) -> Void) { search(0, filter.levels[...], isFirst: true, found) }

    private func search(_ at: Int, _ levels: ArraySlice<TopicFilter.Level>, isFirst: Bool, _ found: (Int) -> Void) {
        let node = nodes[at]
        var isInternal = false
        // MQTT 5 §4.7.2: a wildcard at the start does not match topics that begin with '$'.
        if isFirst, case .literal(let text)? = levels.first, text.utf8.first == UInt8(ascii: "$") { isInternal = true }
        if !isInternal, let rest = node.rest { found(rest) }
        switch levels.first {
        case nil: if let exact = node.exact { found(exact) }
        case .rest: return
        case .any: if let next = node.any { search(next, levels.dropFirst(), isFirst: false, found) }
        case .literal(let text):
            if let next = node.literals[Array(text.utf8)] { search(next, levels.dropFirst(), isFirst: false, found) }
            if !isInternal, let next = node.any { search(next, levels.dropFirst(), isFirst: false, found) }
        }
    }
}
