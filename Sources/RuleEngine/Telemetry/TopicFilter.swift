/// An MQTT topic filter with named captures: `sites/{site}/+/{rest#}`.
///
/// `{name}` matches one level like `+` and keeps it, `{name#}` as the last level matches the rest like `#` and keeps it.
/// A filter that begins with `$share/<group>/` is a shared subscription; the group is no part of what is matched.
public struct TopicFilter: Hashable, Sendable {
    public enum Level: Hashable, Sendable {
        case literal(String)
        case any(capture: String?)
        /// Only as the last level.
        case rest(capture: String?)
    }

    public let levels: [Level]
    /// The group of a shared subscription.
    public let share: String?

    /// What is wrong with a filter's text: a code, a message, and where in the text (UTF-8 offsets).
    public struct Mistake: Error, Hashable, Sendable {
        public var message: String
        public var range: Range<Int>
    }

    public init(_ text: String) throws(Mistake) {
        let bytes = Array(text.utf8)
        let whole = 0..<bytes.count
        func fail(_ message: String, _ range: Range<Int>) throws(Mistake) -> Never { throw Mistake(message: message, range: range) }
        guard !bytes.isEmpty else { try fail("a topic filter cannot be empty", 0..<0) }
        guard bytes.count <= 65_535 else { try fail("a topic filter has at most 65535 bytes", whole) }
        guard !bytes.contains(0) else { try fail("a topic filter cannot hold U+0000", whole) }
        var start = 0
        var share: String?
        if bytes.starts(with: Array("$share/".utf8)) {
            // MQTT 5 §4.8.2: $share/{ShareName}/{filter}; the name holds no '/', '+' or '#' and is not empty.
            guard let end = bytes[7...].firstIndex(of: UInt8(ascii: "/")), end > 7, end + 1 < bytes.count else {
                try fail("a shared subscription is '$share/<group>/<filter>'", whole)
            }
            let group = String(decoding: bytes[7..<end], as: UTF8.self)
            guard !group.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) else {
                try fail("the group of a shared subscription cannot hold '+' or '#'", 7..<end)
            }
            share = group
            start = end + 1
        }
        var levels: [Level] = []
        var names = Set<String>()
        while true {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
            let level = String(decoding: bytes[start..<end], as: UTF8.self)
            let last = end == bytes.count
            switch level {
            case "+": levels.append(.any(capture: nil))
            case "#":
                // MQTT 5 §4.7.1.2: '#' must be the last level.
                guard last else { try fail("'#' must be the last level", start..<end) }
                levels.append(.rest(capture: nil))
            case _ where level.hasPrefix("{") && level.hasSuffix("}"):
                var name = level.dropFirst().dropLast()
                let rest = name.hasSuffix("#")
                if rest { name = name.dropLast() }
                guard Self.isName(name) else { try fail("a capture's name is letters, digits and '_'", start..<end) }
                guard names.insert(String(name)).inserted else { try fail("capture '\(name)' stands twice in one filter", start..<end) }
                guard !rest || last else { try fail("'{\(name)#}' must be the last level", start..<end) }
                levels.append(rest ? .rest(capture: String(name)) : .any(capture: String(name)))
            default:
                if let bad = level.utf8.first(where: { "+#".utf8.contains($0) }) {
                    // MQTT 5 §4.7.1: a wildcard stands alone in its level.
                    try fail("'\(Character(UnicodeScalar(bad)))' must stand alone in its level", start..<end)
                }
                if level.utf8.contains(where: { "{}".utf8.contains($0) }) {
                    try fail("a capture '{name}' must stand alone in its level", start..<end)
                }
                levels.append(.literal(level))
            }
            if last { break }
            start = end + 1
        }
        // Mosquitto refuses filters of more levels; what walks levels need not fear for its stack.
        guard levels.count <= 200 else { try fail("a topic filter has at most 200 levels", whole) }
        self.levels = levels
        self.share = share
    }

    static func isName(_ text: some StringProtocol) -> Bool {
        guard let first = text.utf8.first else { return false }
        return !(48...57).contains(first)
            && text.utf8.allSatisfy { $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
    }

    /// Names of the captures in the order of their levels.
    public var captures: [String] {
        levels.compactMap { level in
            switch level {
            case .literal: nil
            case .any(let capture), .rest(let capture): capture
            }
        }
    }

    /// What is subscribed: captures become wildcards, the share prefix stays.
    public var subscription: String { (share.map { "$share/\($0)/" } ?? "") + pattern }

    /// The filter without captures and without share prefix.
    public var pattern: String {
        levels.map { level in
            switch level {
            case .literal(let text): text
            case .any: "+"
            case .rest: "#"
            }
        }.joined(separator: "/")
    }

    /// As it is written, captures and all.
    public var text: String {
        let levels = levels.map { level in
            switch level {
            case .literal(let text): text
            case .any(nil): "+"
            case .any(let capture?): "{\(capture)}"
            case .rest(nil): "#"
            case .rest(let capture?): "{\(capture)#}"
            }
        }
        return (share.map { "$share/\($0)/" } ?? "") + levels.joined(separator: "/")
    }

    /// Whether every topic that `other` matches is matched by this filter too (shares have to be the same).
    public func covers(_ other: TopicFilter) -> Bool {
        guard share == other.share else { return false }
        for (index, level) in levels.enumerated() {
            if case .rest = level {
                // MQTT 5 §4.7.2: a wildcard at the start does not match topics that begin with '$'.
                if index == 0, case .literal(let text)? = other.levels.first, text.hasPrefix("$") { return false }
                return true
            }
            guard index < other.levels.count else { return false }
            // A topic has at least one level, so '+/#' is '#'.
            if index == 0, levels.count == 2, case .any = level, case .rest = levels[1], case .rest = other.levels[0] { return true }
            switch (level, other.levels[index]) {
            case (_, .rest): return false
            case (.literal(let own), .literal(let theirs)): if !own.utf8.elementsEqual(theirs.utf8) { return false }
            case (.literal, .any): return false
            case (.any, .literal(let theirs)): if index == 0, theirs.hasPrefix("$") { return false }
            case (.any, .any): break
            case (.rest, _): return true
            }
        }
        return levels.count == other.levels.count
    }
}
