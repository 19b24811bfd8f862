import RuleEngine

/// A key that a mapping may have.
struct KnownKey {
    var name: String
    /// Why it is refused all the same: it belongs to a later version, or to another program.
    var refusal: String?
    /// A refused key may stand with an empty value, which says nothing.
    var allowsEmpty = false

    init(_ name: String) { self.name = name }
    init(_ name: String, refused refusal: String) {
        self.name = name
        self.refusal = refusal
    }

    static func notSupported(_ name: String, unlessEmpty: Bool = false) -> KnownKey {
        var key = KnownKey(name, refused: "'\(name)' is not supported by this version")
        key.allowsEmpty = unlessEmpty
        return key
    }
}

/// The entries of a mapping with known keys. Making it reports every unknown key.
struct MappingReader {
    let node: YAMLNode
    let entries: [YAMLNode.Entry]
    let reading: FileReading
    /// `a rule`, for messages.
    let subject: String

    /// Nil when the node is no mapping (reported). `name` is the key that the node is the value of, when it is.
    init?(_ node: YAMLNode, subject: String, keys: [KnownKey], in reading: FileReading) {
        guard case .mapping(let entries) = node.content else {
            reading.wrongType(node, "\(subject) must be a mapping")
            return nil
        }
        self.node = node
        self.entries = entries
        self.reading = reading
        self.subject = subject
        for entry in entries { check(entry, keys) }
    }

    private func check(_ entry: YAMLNode.Entry, _ keys: [KnownKey]) {
        if let known = keys.first(where: { $0.name == entry.key }) {
            if let refusal = known.refusal, !(known.allowsEmpty && entry.value.isEmpty) {
                reading.report("not-supported", refusal, at: entry.keyRange)
            }
            return
        }
        let usable = keys.filter { $0.refusal == nil }.map(\.name)
        let hint = nearestName(to: entry.key, in: usable).map { "did you mean '\($0)'?" } ?? Self.place(of: entry.key, usable)
        reading.report(
            "unknown-key", "\(subject) has no key '\(entry.key)'", at: entry.keyRange,
            notes: hint == nil ? ["known keys: \(usable.joined(separator: ", "))"] : [], hint: hint)
    }

    /// Where what is often written beside it belongs.
    private static func place(of key: String, _ usable: [String]) -> String? {
        switch key {
        case "severity" where usable.contains("labels"): "write 'labels: {severity: …}'"
        case "summary" where usable.contains("annotations"), "description" where usable.contains("annotations"):
            "write 'annotations: {\(key): …}'"
        case "condition" where usable.contains("expr"): "did you mean 'expr'?"
        case "topic" where usable.contains("on"): "did you mean 'on'?"
        default: nil
        }
    }

    func entry(_ key: String) -> YAMLNode.Entry? { entries.first { $0.key == key } }

    /// The value of a key; nil when the key is not there.
    subscript(key: String) -> YAMLNode? { entry(key)?.value }

    func has(_ key: String) -> Bool { entry(key) != nil }

    /// The value of a key that must be there.
    func required(_ key: String) -> YAMLNode? {
        if let value = self[key] { return value }
        missing("\(subject) needs '\(key)'")
        return nil
    }

    func missing(_ message: String) {
        guard !node.isReported else { return }
        reading.report("missing-key", message, at: node.headRange)
    }
}
