import RuleEngine

/// `http` of a test: what scripts are answered. `{url:, method:, at:, status:, headers:, body:}`, or an `error` instead of the last three.
struct TestRepliesReader {
    let reading: FileReading

    static let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"].map { (name: $0, value: $0) }
    private static let keys = ["url", "method", "at", "status", "headers", "body", "error"].map { KnownKey($0) }

    func read(_ node: YAMLNode) -> [TestReply] { (reading.list(node, "http") ?? []).compactMap { reply($0) } }

    private func reply(_ node: YAMLNode) -> TestReply? {
        guard let mapping = MappingReader(node, subject: "an answer", keys: Self.keys, in: reading) else { return nil }
        if let error = mapping.entry("error"), let other = ["status", "headers", "body"].compactMap({ mapping.entry($0) }).first {
            reading.report("conflicting-keys", "an answer with an 'error' has no '\(other.key)'", at: error.keyRange)
        }
        let method = mapping["method"].flatMap { reading.choice($0, "method", Self.methods) }
        guard let url = mapping.required("url").flatMap({ reading.name($0, "url") }),
            case .some(let at) = mapping["at"].map({ reading.duration($0, "at") }) ?? .zero, let content = content(mapping)
        else { return nil }
        return TestReply(.http(method: method, url: url), at: at.inNanoseconds, content)
    }

    private func content(_ mapping: MappingReader) -> TestReply.Content? {
        if let node = mapping["error"] { return reading.name(node, "error").map { .failed($0) } }
        let headers = mapping["headers"].map { reading.texts($0, "headers") } ?? [:]
        return .response(
            status: mapping["status"].flatMap { reading.integer($0, "status", in: 100...599) } ?? 200,
            headers: headers.sorted { $0.key < $1.key }.map { ($0.key.lowercased(), $0.value) },
            body: mapping["body"].map { body($0) } ?? [])
    }

    /// Text as it stands; anything else as JSON.
    private func body(_ node: YAMLNode) -> [UInt8] {
        if case .scalar(let text, _) = node.content { return Array(text.utf8) }
        return Array(reading.document(node).json.utf8)
    }
}
