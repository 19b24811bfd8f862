/// Finds what is wanted of a topic, whatever the number of filters: a tree of levels. Built once for a catalogue, then only read.
public struct TopicTrie<Target> {
    struct Node {
        /// By bytes: topics are equal when their bytes are.
        var literals: [[UInt8]: Int] = [:]
        var any: Int?
        /// Targets of filters that end here, and of filters that end with `#` here.
        var exact: [Target] = []
        var rest: [Target] = []
    }
    private var nodes: [Node] = [Node()]

    public init() {}

    public mutating func insert(_ filter: TopicFilter, _ target: Target) {
        var at = 0
        for level in filter.levels {
            switch level {
            case .literal(let text):
                let text = Array(text.utf8)
                if let next = nodes[at].literals[text] {
                    at = next
                } else {
                    nodes.append(Node())
                    nodes[at].literals[text] = nodes.count - 1
                    at = nodes.count - 1
                }
            case .any:
                if let next = nodes[at].any {
                    at = next
                } else {
                    nodes.append(Node())
                    nodes[at].any = nodes.count - 1
                    at = nodes.count - 1
                }
            case .rest:
                nodes[at].rest.append(target)
                return
            }
        }
        nodes[at].exact.append(target)
    }

    /// Calls `found` for every target whose filter matches the topic, each filter once.
    public func match(_ topic: String, _ found: (Target) -> Void) {
        let levels = topic.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { Array($0) }
        // MQTT 5 §4.7.2: wildcards at the start do not match topics that begin with '$'.
        walk(0, levels[...], isInternal: topic.utf8.first == UInt8(ascii: "$"), found)
    }

    private func walk(_ at: Int, _ levels: ArraySlice<[UInt8]>, isInternal: Bool, _ found: (Target) -> Void) {
        let node = nodes[at]
        let isHidden = isInternal && at == 0
        // '#' also matches the level above it (MQTT 5 §4.7.1.2).
        if !isHidden { node.rest.forEach(found) }
        guard let level = levels.first else { return node.exact.forEach(found) }
        if let next = node.literals[level] { walk(next, levels.dropFirst(), isInternal: isInternal, found) }
        if !isHidden, let next = node.any { walk(next, levels.dropFirst(), isInternal: isInternal, found) }
    }
}

extension TopicFilter {
    /// What the captures are in a topic that this filter matches, in the order of `captures`.
    func captured(from topic: String) -> [String] {
        let parts = topic.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var values: [String] = []
        for (index, level) in levels.enumerated() {
            switch level {
            case .any(capture: .some): values.append(index < parts.count ? String(Substring(parts[index])) : "")
            case .rest(capture: .some):
                values.append(index < parts.count ? parts[index...].map { String(Substring($0)) }.joined(separator: "/") : "")
            default: break
            }
        }
        return values
    }

    /// Whether it matches a topic name (without its share prefix).
    public func matches(_ topic: String) -> Bool {
        var trie = TopicTrie<Void>()
        trie.insert(self, ())
        var found = false
        trie.match(topic) { found = true }
        return found
    }
}

extension TopicTrie: Sendable where Target: Sendable {}
extension TopicTrie.Node: Sendable where Target: Sendable {}
