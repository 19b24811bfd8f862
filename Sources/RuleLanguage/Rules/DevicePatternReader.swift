import RuleEngine

/// `device: "{site}-{sensor}"`: literal pieces and the names that tell instances apart.
struct DevicePatternReader {
    let reading: FileReading
    /// The captures of a filter, or the tags of a query.
    let names: [String]

    /// Nil when it is broken, which has been reported; `unknown` reports a name that is none of `names`.
    func read(_ node: YAMLNode, unknown: (String, SourceLocation) -> Void) -> [TopicSubscription.DevicePart]? {
        guard let text = reading.name(node, "device"), case .scalar(_, let style) = node.content else { return nil }
        let source = reading.file.sourceText(text, style, at: node.range)
        var parts: [TopicSubscription.DevicePart] = []
        var literal: [UInt8] = []
        let bytes = Array(text.utf8)
        var isWhole = true
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "{") || bytes[at] == UInt8(ascii: "}") else {
                literal.append(bytes[at])
                at += 1
                continue
            }
            guard bytes[at] == UInt8(ascii: "{"), let close = bytes[at...].firstIndex(of: UInt8(ascii: "}")) else {
                reading.findings.report(
                    "unknown-capture", "'device' must be text with captures in braces: {site}-{sensor}",
                    at: source.location(of: at..<at + 1))
                return nil
            }
            let name = String(decoding: bytes[at + 1..<close], as: UTF8.self)
            if !names.contains(name) {
                unknown(name, source.location(of: at + 1..<close))
                isWhole = false
            }
            if !literal.isEmpty { parts.append(.literal(String(decoding: literal, as: UTF8.self))) }
            literal = []
            parts.append(.capture(name))
            at = close + 1
        }
        if !literal.isEmpty { parts.append(.literal(String(decoding: literal, as: UTF8.self))) }
        return isWhole ? parts : nil
    }
}
