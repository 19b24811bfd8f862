public import CEL
public import RuleEngine

/// Reads the `*.test.yaml` of a plugin.
public struct PluginTestFileReader: Sendable {
    private let manifest: PluginManifest
    private let environment: Environment

    public init(manifest: PluginManifest, environment: Environment) {
        self.manifest = manifest
        self.environment = environment
    }

    private static let keys = ["notifications", "tests"].map { KnownKey($0) }

    /// With mistakes there are no tests. Tests of functions' examples are not among them.
    public func read(_ source: RuleLoader.Source) -> (tests: [PluginTest], diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(file: SourceFile(name: source.name, bytes: source.bytes), findings: findings, environment: environment)
        let tests = tests(reading)
        let diagnostics = findings.diagnostics.inOrder
        return (diagnostics.hasErrors ? [] : tests, diagnostics)
    }

    private func tests(_ reading: FileReading) -> [PluginTest] {
        guard let root = YAMLReader.read(reading.file, into: reading.findings), !root.isNull else {
            if reading.findings.errorCount == 0 { reading.report("missing-key", "a plugin's test file needs 'tests'", at: 0..<0) }
            return []
        }
        guard let mapping = MappingReader(root, subject: "a plugin's test file", keys: Self.keys, in: reading) else { return [] }
        var notifications: [String: Document] = [:]
        for entry in mapping["notifications"].flatMap({ reading.entries($0, "notifications") }) ?? [] {
            notifications[entry.key] = reading.document(entry.value)
        }
        var names: [String: Range<Int>] = [:]
        return (mapping.required("tests").flatMap { reading.list($0, "tests") } ?? []).compactMap { node in
            PluginTestReader(manifest: manifest, reading: reading, notifications: notifications).read(node, &names)
        }
    }
}

/// One test.
private struct PluginTestReader {
    let manifest: PluginManifest
    let reading: FileReading
    let notifications: [String: Document]

    private static let kinds: [(key: String, kind: PluginManifest.Provision.Kind, keys: [String])] = [
        ("decoder", .decoder, ["before", "topic", "payload", "hex", "fields", "time", "ignored", "error"]),
        ("expr", .function, ["value", "within", "error"]),
        ("channel", .channel, ["notification", "http", "result"]),
        ("action", .action, ["alert", "arguments", "http", "publish", "result"]),
    ]

    func read(_ node: YAMLNode, _ names: inout [String: Range<Int>]) -> PluginTest? {
        guard case .mapping(let entries) = node.content else {
            reading.wrongType(node, "a test must be a mapping")
            return nil
        }
        guard let form = Self.kinds.first(where: { form in entries.contains { $0.key == form.key } }) else {
            reading.report(
                "missing-key", "a test needs one of 'decoder', 'expr', 'channel' and 'action'", at: node.headRange)
            return nil
        }
        let keys = (["name", "config", form.key] + form.keys).map { KnownKey($0) }
        guard let mapping = MappingReader(node, subject: "a test of a \(form.kind.rawValue)", keys: keys, in: reading) else { return nil }
        guard let nameNode = mapping.required("name"), let name = reading.name(nameNode, "name") else { return nil }
        if let other = names[name] {
            reading.report(
                "duplicate-name", "tests' names must be unique in their file: '\(name)'", at: nameNode.range,
                notes: ["the other one stands at \(reading.place(other))"])
        }
        names[name] = nameNode.range
        let values = values(mapping, isChannel: form.kind == .channel)
        guard let values, let kind = kind(mapping, form.kind, values) else { return nil }
        return PluginTest(
            name: name, location: reading.file.location(of: nameNode.range), settings: form.kind == .channel ? PluginValues() : values,
            kind: kind)
    }

    /// `config`: of a channel as in a receiver, else the plugin's settings.
    private func values(_ mapping: MappingReader, isChannel: Bool) -> PluginValues? {
        guard let node = mapping["config"] else { return .defaults(of: manifest.settings) }
        let keys = PluginValuesReader.keys(manifest.settings)
        guard let config = MappingReader(node, subject: "'config'", keys: keys, in: reading) else { return nil }
        return PluginValuesReader(reading: reading).values(config, manifest.settings)
    }

    private func kind(_ mapping: MappingReader, _ kind: PluginManifest.Provision.Kind, _ values: PluginValues) -> PluginTest.Kind? {
        switch kind {
        case .decoder: return decode(mapping)
        case .function: return evaluate(mapping)
        case .channel: return deliver(mapping, values)
        case .action: return act(mapping)
        }
    }

    /// The name of something that this plugin provides.
    private func provided(_ mapping: MappingReader, _ key: String, _ kind: PluginManifest.Provision.Kind) -> String? {
        guard let node = mapping[key], let name = reading.name(node, key) else { return nil }
        let known = manifest.provisions(kind).map(\.name)
        guard known.contains(name) else {
            reading.report(
                "unknown-\(kind.rawValue)", "the plugin has no \(kind.rawValue) '\(name)'", at: node.range,
                notes: known.isEmpty ? [] : ["it has: \(known.joined(separator: ", "))"],
                hint: nearestName(to: name, in: known).map { "did you mean '\($0)'?" })
            return nil
        }
        return name
    }

    // MARK: Decoders

    private func decode(_ mapping: MappingReader) -> PluginTest.Kind? {
        let decoder = provided(mapping, "decoder", .decoder)
        let before = (mapping["before"].flatMap { reading.list($0, "before") } ?? []).compactMap { node -> PluginTest.Message? in
            let keys = ["topic", "payload", "hex"].map { KnownKey($0) }
            return MappingReader(node, subject: "an earlier message", keys: keys, in: reading).flatMap { self.message($0) }
        }
        let message = message(mapping)
        guard let expect = decodeExpectation(mapping), let decoder, let message else { return nil }
        return .decode(decoder: decoder, before: before, message: message, expect: expect)
    }

    private func message(_ mapping: MappingReader) -> PluginTest.Message? {
        guard let topic = mapping.required("topic").flatMap({ reading.name($0, "topic") }) else { return nil }
        if let hex = mapping["hex"] {
            guard let text = reading.text(hex, "hex") else { return nil }
            guard let bytes = Self.bytes(ofHexadecimal: text) else {
                reading.report("wrong-type", "'hex' must be hexadecimal, two digits a byte", at: hex.range)
                return nil
            }
            return PluginTest.Message(topic: topic, payload: bytes)
        }
        guard let node = mapping.required("payload") else { return nil }
        guard case .scalar(let text, _) = node.content else {
            reading.wrongType(node, "'payload' must be text: JSON must be quoted")
            return nil
        }
        return PluginTest.Message(topic: topic, payload: Array(text.utf8))
    }

    private static func bytes(ofHexadecimal text: String) -> [UInt8]? {
        let digits = text.utf8.filter { $0 > 32 }
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for at in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[at..<at + 2], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private func decodeExpectation(_ mapping: MappingReader) -> PluginTest.DecodeExpectation? {
        guard one(mapping, of: ["fields", "ignored", "error"]) else { return nil }
        if let node = mapping["error"] { return reading.name(node, "error").map { .error($0) } }
        if let node = mapping["ignored"] { return reading.bool(node, "ignored").flatMap { $0 ? .ignored : nil } }
        guard let node = mapping["fields"] else { return nil }
        guard case .mapping = node.content else {
            reading.wrongType(node, "'fields' must be a mapping")
            return nil
        }
        var time: Instant?
        if let node = mapping["time"] {
            guard let text = reading.text(node, "time"), let instant = Instant(rfc3339: text) else {
                reading.report("instant", "'time' must be an instant such as 2026-03-01T12:00:00Z", at: node.range)
                return nil
            }
            time = instant
        }
        return .fields(reading.document(node), time: time)
    }

    /// Whether exactly one of several keys is there.
    private func one(_ mapping: MappingReader, of keys: [String]) -> Bool {
        let found = keys.filter { mapping.has($0) }
        if found.count == 1 { return true }
        let list = keys.map { "'\($0)'" }.joined(separator: ", ")
        if found.isEmpty {
            mapping.missing("\(mapping.subject) needs one of \(list): without it, it cannot fail")
        } else if let second = mapping.entry(found[1]) {
            reading.report("conflicting-keys", "\(mapping.subject) has only one of \(list)", at: second.keyRange)
        }
        return false
    }

    // MARK: Functions

    private func evaluate(_ mapping: MappingReader) -> PluginTest.Kind? {
        guard let expression = mapping["expr"].flatMap({ reading.expression($0, "expr") }), one(mapping, of: ["value", "error"]) else {
            return nil
        }
        if let node = mapping["error"] {
            return reading.name(node, "error").map { .evaluate(expression: expression.source.text, expect: .error($0)) }
        }
        guard let node = mapping["value"] else { return nil }
        let within = mapping["within"].map { reading.number($0, "within", atLeast: 0) } ?? 0
        return within.map { .evaluate(expression: expression.source.text, expect: .value(reading.document(node), within: $0)) }
    }

    // MARK: Channels and actions

    private func deliver(_ mapping: MappingReader, _ values: PluginValues) -> PluginTest.Kind? {
        let channel = provided(mapping, "channel", .channel)
        let notification = mapping.required("notification").flatMap { self.notification($0) }
        let exchanges = exchanges(mapping)
        guard let outcome = mapping.required("result").flatMap({ self.outcome($0) }), let channel, let notification, let exchanges else {
            return nil
        }
        return .deliver(
            PluginTest.Delivery(channel: channel, values: values, notification: notification, exchanges: exchanges, outcome: outcome))
    }

    /// The name of one of the file's notifications, or one that is written out.
    private func notification(_ node: YAMLNode) -> Document? {
        if case .mapping = node.content { return reading.document(node) }
        guard let name = reading.name(node, "notification") else { return nil }
        if let known = notifications[name] { return known }
        reading.report(
            "unknown-notification", "there is no notification '\(name)' in this file", at: node.range,
            notes: notifications.isEmpty ? [] : ["there are: \(notifications.keys.sorted().joined(separator: ", "))"])
        return nil
    }

    private func act(_ mapping: MappingReader) -> PluginTest.Kind? {
        let action = provided(mapping, "action", .action)
        let alert = mapping.required("alert").map { reading.document($0) }
        let arguments = mapping["arguments"].map { reading.document($0) } ?? .emptyObject
        var publications: [PluginTest.Publication] = []
        for node in mapping["publish"].flatMap({ reading.list($0, "publish") }) ?? [] {
            let keys = ["topic", "payload"].map { KnownKey($0) }
            guard let message = MappingReader(node, subject: "a message", keys: keys, in: reading),
                let topic = message.required("topic").flatMap({ reading.name($0, "topic") }),
                let payload = message.required("payload").flatMap({ reading.text($0, "payload") })
            else { continue }
            publications.append(PluginTest.Publication(topic: topic, payload: payload))
        }
        let exchanges = exchanges(mapping)
        guard let outcome = mapping.required("result").flatMap({ self.outcome($0) }), let action, let alert, let exchanges else {
            return nil
        }
        return .act(
            PluginTest.Action(
                name: action, alert: alert, arguments: arguments, exchanges: exchanges, publications: publications, outcome: outcome))
    }

    /// `ok`, `{retry: part of the reason, after: seconds}` or `{reject: part of the reason}`.
    private func outcome(_ node: YAMLNode) -> PluginTest.OutcomeExpectation? {
        if case .scalar("ok", _) = node.content { return .ok }
        guard case .mapping = node.content else {
            reading.wrongType(node, "'result' must be ok, {retry: REASON} or {reject: REASON}")
            return nil
        }
        let keys = ["retry", "reject", "after"].map { KnownKey($0) }
        guard let mapping = MappingReader(node, subject: "a result", keys: keys, in: reading), one(mapping, of: ["retry", "reject"]) else {
            return nil
        }
        if let node = mapping["reject"] { return reading.name(node, "reject").map { .reject($0) } }
        guard let reason = mapping["retry"].flatMap({ reading.name($0, "retry") }) else { return nil }
        guard let node = mapping["after"] else { return .retry(reason, after: nil) }
        return reading.number(node, "after", atLeast: 0).map { .retry(reason, after: Duration.seconds($0)) }
    }

    private func exchanges(_ mapping: MappingReader) -> [PluginTest.Exchange]? {
        guard let node = mapping["http"] else { return [] }
        guard let items = reading.list(node, "http") else { return nil }
        let exchanges = items.compactMap { exchange($0) }
        return exchanges.count == items.count ? exchanges : nil
    }

    private func exchange(_ node: YAMLNode) -> PluginTest.Exchange? {
        let keys = ["request", "answer"].map { KnownKey($0) }
        let requestKeys = ["method", "url", "headers", "json", "body"].map { KnownKey($0) }
        guard let mapping = MappingReader(node, subject: "an exchange", keys: keys, in: reading),
            let requestNode = mapping.required("request"),
            let request = MappingReader(requestNode, subject: "a request", keys: requestKeys, in: reading),
            let method = request.required("method").flatMap({ reading.name($0, "method") }),
            let url = request.required("url").flatMap({ reading.name($0, "url") }),
            let reply = mapping.required("answer").flatMap({ answer($0) })
        else { return nil }
        var exchange = PluginTest.Exchange(method: method, url: url, reply: reply, location: reading.file.location(of: requestNode.range))
        exchange.headers = headers(request["headers"])
        exchange.json = request["json"].map { reading.document($0) }
        exchange.body = request["body"].flatMap { reading.text($0, "body") }
        return exchange
    }

    private func headers(_ node: YAMLNode?) -> [(name: String, value: String)] {
        (node.flatMap { reading.entries($0, "headers") } ?? []).compactMap { entry in
            reading.text(entry.value, entry.key).map { (name: entry.key, value: $0) }
        }
    }

    private func answer(_ node: YAMLNode) -> HTTPReply? {
        let keys = ["status", "headers", "json", "body", "failure"].map { KnownKey($0) }
        guard let mapping = MappingReader(node, subject: "an answer", keys: keys, in: reading) else { return nil }
        if let node = mapping["failure"] {
            return reading.name(node, "failure").map { .noResponse(reason: $0, mayHaveArrived: false) }
        }
        guard let status = mapping.required("status").flatMap({ reading.integer($0, "status", in: 100...599) }) else { return nil }
        let headers = headers(mapping["headers"]).map { (name: $0.name.lowercased(), value: $0.value) }
        let body = mapping["json"].map { reading.document($0).json } ?? mapping["body"].flatMap { reading.text($0, "body") } ?? ""
        return .response(status: status, headers: headers, body: Array(body.utf8))
    }
}
