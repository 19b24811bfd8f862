import RuleEngine

/// Reads the one document of a file. YAML that cannot be read is reported once, at its first mistake; duplicate keys, unknown tags and the
/// like are all reported.
struct YAMLReader: ~Copyable {
    /// Values of a document, those behind an alias counted at each use, so that a small file cannot grow without bound.
    static let maximumNodes = 1_000_000
    static let maximumDepth = 64
    static let maximumBytes = 16 << 20

    private struct Anchored {
        var node: YAMLNode
        var weight: Int
        var height: Int
    }

    /// Reading ends; the reason has been reported.
    private struct Stop: Error {}

    private let events: YAMLEvents
    private let file: SourceFile
    private let findings: Findings
    private var anchors: [String: Anchored] = [:]
    private var openAnchors: Set<String> = []
    private var total = 0

    /// Nil when there is no document, or when it is broken (which `findings` says).
    static func read(_ file: SourceFile, into findings: Findings) -> YAMLNode? {
        guard file.bytes.count <= maximumBytes else {
            findings.report("file-too-large", "a file has at most \(maximumBytes >> 20) MiB", at: file.location(of: 0..<1))
            return nil
        }
        if file.bytes.starts(with: [0xFF, 0xFE]) || file.bytes.starts(with: [0xFE, 0xFF]) {
            findings.report("encoding", "a file must be UTF-8, this one is UTF-16", at: file.location(of: 0..<1))
            return nil
        }
        if let offset = firstInvalidByte(file.bytes) {
            let hex = String(file.bytes[offset], radix: 16, uppercase: true)
            findings.report(
                "encoding", "a file must be UTF-8: byte 0x\(hex) belongs to no character", at: file.location(of: offset..<offset + 1))
            return nil
        }
        return file.bytes.withUnsafeBufferPointer { buffer in
            guard let events = YAMLEvents(buffer) else { return nil }
            var reader = YAMLReader(events, file, findings)
            return try? reader.document()
        }
    }

    private init(_ events: consuming YAMLEvents, _ file: SourceFile, _ findings: Findings) {
        self.events = events
        self.file = file
        self.findings = findings
    }

    private mutating func document() throws(Stop) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let next = try next()
            switch next.event {
            case .end: return root
            case .start, .documentEnd: continue
            case .documentStart:
                if root != nil {
                    try stop(
                        "several-documents", "a file holds one YAML document", next, notes: ["put the groups of both under one 'groups:'"])
                }
            default: root = try node(next, depth: 1).node
            }
        }
    }

    private func next() throws(Stop) -> YAMLEvents.Positioned {
        do {
            return try events.next()
        } catch {
            findings.add(YAMLMistake(error, in: file).diagnostic)
            throw Stop()
        }
    }

    private func stop(_ code: String, _ message: String, _ event: YAMLEvents.Positioned, notes: [String] = []) throws(Stop) -> Never {
        findings.report(code, message, at: file.location(of: range(event)), notes: notes)
        throw Stop()
    }

    private func range(_ event: YAMLEvents.Positioned) -> Range<Int> {
        let start = file.offset(ofScalar: event.start)
        return start..<max(start, file.offset(ofScalar: event.end))
    }

    private mutating func count(_ weight: Int, _ event: YAMLEvents.Positioned) throws(Stop) {
        total += weight
        if total > Self.maximumNodes {
            try stop(
                "too-many-values", "a file holds at most \(Self.maximumNodes) values, those behind an alias counted at each use", event)
        }
    }

    private mutating func node(_ first: YAMLEvents.Positioned, depth: Int) throws(Stop) -> (node: YAMLNode, height: Int) {
        guard depth <= Self.maximumDepth else {
            try stop("too-deep", "values are nested at most \(Self.maximumDepth) deep", first)
        }
        let before = total
        switch first.event {
        case .alias(let name): return try alias(name, first, depth: depth)
        case .scalar(let text, let style, let anchor, let tag):
            try count(1, first)
            var node = YAMLNode(content: .scalar(text, style), range: contentRange(first, hasProperties: anchor != nil || tag != nil))
            node.isForcedText = try check(tag, first) == "str"
            define(anchor, node, weight: 1, height: 1)
            return (node, 1)
        case .sequenceStart(let anchor, let tag, let isFlow):
            try count(1, first)
            _ = try check(tag, first)
            open(anchor)
            let start = contentRange(first, hasProperties: anchor != nil || tag != nil).lowerBound
            let (items, height, end) = try sequence(depth: depth, isFlow: isFlow, start: start)
            let node = YAMLNode(content: .sequence(items), range: start..<end, isFlow: isFlow)
            define(anchor, node, weight: total - before, height: height)
            return (node, height)
        case .mappingStart(let anchor, let tag, let isFlow):
            try count(1, first)
            _ = try check(tag, first)
            open(anchor)
            let start = contentRange(first, hasProperties: anchor != nil || tag != nil).lowerBound
            let findingsBefore = findings.errorCount
            let (entries, height, end) = try mapping(depth: depth, isFlow: isFlow, start: start)
            var node = YAMLNode(content: .mapping(entries), range: start..<end, isFlow: isFlow)
            node.isReported = entries.isEmpty && findings.errorCount > findingsBefore
            define(anchor, node, weight: total - before, height: height)
            return (node, height)
        default:
            try stop("yaml", "a value is missing here", first)
        }
    }

    private mutating func alias(_ name: String, _ event: YAMLEvents.Positioned, depth: Int) throws(Stop) -> (node: YAMLNode, height: Int) {
        guard let anchored = anchors[name], !openAnchors.contains(name) else {
            if openAnchors.contains(name) { try stop("alias", "an anchor cannot hold itself: '&\(name)'", event) }
            let near = nearestName(to: name, in: anchors.keys)
            findings.report(
                "alias", "an alias needs an anchor before it: there is no '&\(name)'", at: file.location(of: range(event)),
                notes: ["a value that begins with '*' must be quoted"], hint: near.map { "did you mean '*\($0)'?" })
            throw Stop()
        }
        try count(anchored.weight, event)
        guard depth + anchored.height - 1 <= Self.maximumDepth else {
            try stop("too-deep", "values are nested at most \(Self.maximumDepth) deep", event)
        }
        return (anchored.node, anchored.height)
    }

    private mutating func open(_ anchor: String?) {
        if let anchor { openAnchors.insert(anchor) }
    }

    private mutating func define(_ anchor: String?, _ node: YAMLNode, weight: Int, height: Int) {
        guard let anchor else { return }
        openAnchors.remove(anchor)
        anchors[anchor] = Anchored(node: node, weight: weight, height: height)
    }

    private mutating func sequence(depth: Int, isFlow: Bool, start: Int) throws(Stop) -> ([YAMLNode], height: Int, end: Int) {
        var items: [YAMLNode] = []
        var height = 1
        var end = start
        while true {
            let event = try next()
            if case .sequenceEnd = event.event { return (items, height, isFlow ? range(event).upperBound : end) }
            let item = try node(event, depth: depth + 1)
            items.append(item.node)
            height = max(height, item.height + 1)
            end = max(end, placeEnd(event, item.node))
        }
    }

    private mutating func mapping(depth: Int, isFlow: Bool, start: Int) throws(Stop) -> ([YAMLNode.Entry], height: Int, end: Int) {
        var keys = KeySet()
        var entries: [YAMLNode.Entry] = []
        var merged: [YAMLNode.Entry] = []
        var height = 1
        var end = start
        while true {
            let event = try next()
            if case .mappingEnd = event.event {
                // YAML merge key: what is written in the mapping itself wins, then earlier merged mappings.
                for entry in merged where keys.insert(entry.key, entry.keyRange) == nil { entries.append(entry) }
                return (entries, height, isFlow ? range(event).upperBound : end)
            }
            let key = try node(event, depth: depth + 1)
            let valueEvent = try next()
            let value = try node(valueEvent, depth: depth + 1)
            height = max(height, value.height + 1)
            end = max(end, max(placeEnd(event, key.node), placeEnd(valueEvent, value.node)))
            guard case .scalar(let name, let style) = key.node.content else {
                findings.report(
                    "key", "a key must be text", at: file.location(of: key.node.range),
                    notes: ["a value that begins with '{', '{{' or '[' must be quoted"])
                continue
            }
            if name == "<<", style == .plain {
                merged += try mergedEntries(value.node, valueEvent)
            } else if let first = keys.insert(name, key.node.range) {
                let place = file.location(of: first)
                findings.report(
                    "duplicate-key", "a key stands once in a mapping: '\(name)'", at: file.location(of: key.node.range),
                    notes: ["the first one stands at \(place.file):\(place.line):\(place.column)"])
            } else {
                entries.append(YAMLNode.Entry(key: name, keyRange: key.node.range, value: value.node))
            }
        }
    }

    private func mergedEntries(_ node: YAMLNode, _ event: YAMLEvents.Positioned) throws(Stop) -> [YAMLNode.Entry] {
        switch node.content {
        case .mapping(let entries): return entries
        case .sequence(let items):
            var all: [YAMLNode.Entry] = []
            for item in items {
                guard case .mapping(let entries) = item.content else { break }
                all += entries
            }
            return all
        case .scalar:
            try stop("merge", "'<<' takes an alias of a mapping, or a list of them", event)
        }
    }

    /// Where a node ends in the text: an aliased one where its alias does.
    private func placeEnd(_ event: YAMLEvents.Positioned, _ node: YAMLNode) -> Int {
        if case .alias = event.event { return range(event).upperBound }
        return node.range.upperBound
    }

    /// Standard tags change nothing but `!!str`; others are most often a text that should have been quoted.
    private func check(_ tag: String?, _ event: YAMLEvents.Positioned) throws(Stop) -> Substring? {
        guard let tag, tag != "!" else { return tag == nil ? nil : "str" }
        let standard = "tag:yaml.org,2002:"
        guard tag.hasPrefix(standard) else {
            findings.report(
                "tag", "tags have no meaning here: '\(tag)'", at: file.location(of: range(event)),
                notes: ["a value that begins with '!' must be quoted"])
            throw Stop()
        }
        return tag.dropFirst(standard.count)
    }

    /// The range without anchor and tag, which libyaml counts as part of a node.
    private func contentRange(_ event: YAMLEvents.Positioned, hasProperties: Bool) -> Range<Int> {
        let whole = range(event)
        guard hasProperties else { return whole }
        let bytes = file.bytes
        var at = whole.lowerBound
        while at < bytes.count, bytes[at] == UInt8(ascii: "&") || bytes[at] == UInt8(ascii: "!") {
            while at < bytes.count, !Self.isBlank(bytes[at]) { at += 1 }
            while at < bytes.count, Self.isBlank(bytes[at]) || bytes[at] == UInt8(ascii: "#") {
                if bytes[at] == UInt8(ascii: "#") { at = file.lineRange(at: at).upperBound } else { at += 1 }
            }
        }
        return at..<max(at, whole.upperBound)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }
}

/// The keys of one mapping, with the place of each. Small mappings are searched, large ones hashed.
private struct KeySet {
    private var few: [(name: String, range: Range<Int>)] = []
    private var many: [String: Range<Int>] = [:]

    /// The place of the same key when it is there already.
    mutating func insert(_ name: String, _ range: Range<Int>) -> Range<Int>? {
        if let found = few.first(where: { $0.name == name }) { return found.range }
        guard few.count >= 16 else {
            few.append((name, range))
            return nil
        }
        if let found = many[name] { return found }
        many[name] = range
        return nil
    }
}

/// The offset of the first byte that is no part of well-formed UTF-8 (Unicode 15, table 3-7).
func firstInvalidByte(_ bytes: [UInt8]) -> Int? {
    var at = 0
    while at < bytes.count {
        let lead = bytes[at]
        guard lead >= 0x80 else {
            at += 1
            continue
        }
        let (length, second): (Int, ClosedRange<UInt8>)
        switch lead {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        default: return at
        }
        guard at + length <= bytes.count, second.contains(bytes[at + 1]) else { return at }
        for index in at + 2..<at + max(2, length) where bytes[index] & 0xC0 != 0x80 { return at }
        at += length
    }
    return nil
}
