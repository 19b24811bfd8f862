/// A value of a YAML document and where it stands. Aliases are resolved and merge keys applied; what came from an anchor keeps the place
/// of the anchor.
struct YAMLNode: Sendable {
    enum Style: Sendable { case plain, singleQuoted, doubleQuoted, literal, folded }

    struct Entry: Sendable {
        var key: String
        var keyRange: Range<Int>
        var value: YAMLNode
    }

    enum Content: Sendable {
        case scalar(String, Style)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    var content: Content
    /// UTF-8 offsets in the file, without anchor and tag.
    var range: Range<Int>
    /// Tagged `!!str`: never a number, bool or null.
    var isForcedText = false
    /// A list or mapping in brackets.
    var isFlow = false
    /// A mapping with a mistake of its own that has been told: that it is none of what was wanted need not be said too.
    var isReported = false

    /// `null`, `~` or nothing at all.
    var isNull: Bool {
        guard case .scalar(let text, .plain) = content, !isForcedText else { return false }
        return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    /// Nothing, an empty list or an empty mapping.
    var isEmpty: Bool {
        switch content {
        case .scalar: isNull
        case .sequence(let items): items.isEmpty
        case .mapping(let entries): entries.isEmpty
        }
    }

    /// What a person would point at: of a block mapping its first key, else the node.
    var headRange: Range<Int> {
        if case .mapping(let entries) = content, !isFlow, let first = entries.first { return first.keyRange }
        return range
    }

    /// What the value is, in words: `a list`.
    var kindInWords: String {
        switch content {
        case .scalar: isNull ? "nothing" : "text"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}
