import CEL
import RuleEngine

/// `provides` of a manifest: names of decoders, channels and actions, functions with their types.
struct PluginProvisionsReader {
    let reading: FileReading

    private static let keys = ["decoders", "functions", "channels", "actions"].map { KnownKey($0) }
    private static let functionKeys = ["parameters", "result", "doc", "example"].map { KnownKey($0) }
    private static let exampleKeys = ["expr", "value", "within"].map { KnownKey($0) }

    func read(_ node: YAMLNode) -> [PluginManifest.Provision] {
        guard let mapping = MappingReader(node, subject: "'provides'", keys: Self.keys, in: reading) else { return [] }
        let errors = reading.findings.errorCount
        var found: [PluginManifest.Provision] = []
        if let node = mapping["decoders"] { found += names(node, "decoders", .decoder) }
        if let node = mapping["functions"] { found += functions(node) }
        if let node = mapping["channels"] { found += names(node, "channels", .channel) }
        if let node = mapping["actions"] { found += actions(node) }
        if found.isEmpty, reading.findings.errorCount == errors {
            reading.report("missing-key", "'provides' must name at least one decoder, function, channel or action", at: node.headRange)
        }
        return found
    }

    private func names(_ node: YAMLNode, _ key: String, _ kind: PluginManifest.Provision.Kind) -> [PluginManifest.Provision] {
        (reading.list(node, key) ?? []).compactMap { item in
            guard let name = reading.name(item, key) else { return nil }
            guard PluginNames.isName(name) else {
                reading.report("plugin-name", "the name of a \(kind.rawValue) must be \(PluginNames.rule)", at: item.range)
                return nil
            }
            return PluginManifest.Provision(kind, name, at: reading.file.location(of: item.range))
        }
    }

    // MARK: Actions

    /// A list of names, or a mapping from names to `{arguments: …}`.
    private func actions(_ node: YAMLNode) -> [PluginManifest.Provision] {
        if case .sequence(let items) = node.content { return items.compactMap { action($0, nil) } }
        return (reading.entries(node, "actions") ?? []).compactMap { action($0) }
    }

    private func action(_ node: YAMLNode, _ arguments: YAMLNode?) -> PluginManifest.Provision? {
        reading.name(node, "actions").flatMap { action($0, node.range, []) }
    }

    private func action(_ entry: YAMLNode.Entry) -> PluginManifest.Provision? {
        var arguments: [PluginSetting] = []
        if !entry.value.isNull,
            let mapping = MappingReader(entry.value, subject: "an action", keys: [KnownKey("arguments")], in: reading),
            let node = mapping["arguments"]
        {
            arguments = PluginSchemaReader(reading: reading).settings(node, "arguments")
        }
        return action(entry.key, entry.keyRange, arguments)
    }

    private func action(_ name: String, _ range: Range<Int>, _ arguments: [PluginSetting]) -> PluginManifest.Provision? {
        guard PluginNames.isIdentifier(name) else {
            reading.report("plugin-name", "the name of an action must be letters, digits and '_'", at: range)
            return nil
        }
        return PluginManifest.Provision(.action, name, at: reading.file.location(of: range), arguments: arguments)
    }

    // MARK: Functions

    private func functions(_ node: YAMLNode) -> [PluginManifest.Provision] {
        (reading.entries(node, "functions") ?? []).compactMap { entry in
            guard entry.key.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ PluginNames.isIdentifier(String($0)) })
            else {
                reading.report("plugin-name", "the name of a function must be letters, digits and '_'", at: entry.keyRange)
                return nil
            }
            return signature(entry).map {
                PluginManifest.Provision(.function, entry.key, at: reading.file.location(of: entry.keyRange), signature: $0)
            }
        }
    }

    private func signature(_ entry: YAMLNode.Entry) -> PluginFunctionSignature? {
        guard let mapping = MappingReader(entry.value, subject: "a function", keys: Self.functionKeys, in: reading) else { return nil }
        let parameters = mapping.required("parameters").flatMap { self.parameters($0) }
        let result = mapping.required("result").flatMap { reading.choice($0, "result", PluginFunctionSignature.types) }
        let documentation = mapping.required("doc").flatMap { reading.name($0, "doc") }
        let example = mapping.required("example").flatMap { self.example($0) }
        guard let parameters, let result, let documentation, let example else { return nil }
        return PluginFunctionSignature(parameters: parameters, result: result, documentation: documentation, example: example)
    }

    private func parameters(_ node: YAMLNode) -> [(name: String, type: CELType)]? {
        guard let entries = reading.entries(node, "parameters") else { return nil }
        var parameters: [(name: String, type: CELType)] = []
        for entry in entries {
            guard PluginNames.isIdentifier(entry.key) else {
                reading.report("plugin-name", "the name of a parameter must be letters, digits and '_'", at: entry.keyRange)
                continue
            }
            guard let type = reading.choice(entry.value, entry.key, PluginFunctionSignature.types) else { continue }
            parameters.append((entry.key, type))
        }
        guard parameters.count == entries.count else { return nil }
        return parameters
    }

    private func example(_ node: YAMLNode) -> PluginFunctionSignature.Example? {
        guard let mapping = MappingReader(node, subject: "an example", keys: Self.exampleKeys, in: reading) else { return nil }
        let expression = mapping.required("expr").flatMap { reading.expression($0, "expr") }
        let value = mapping.required("value").map { reading.document($0) }
        let within = mapping["within"].map { reading.number($0, "within", atLeast: 0) } ?? 0
        guard let expression, let value, let within else { return nil }
        return PluginFunctionSignature.Example(
            expression: expression.source.text, value: value, within: within, location: reading.file.location(of: node.headRange))
    }
}

extension FileReading {
    /// A finite number.
    func number(_ node: YAMLNode, _ key: String, atLeast minimum: Double? = nil) -> Double? {
        guard case .scalar(let text, .plain) = node.content, let value = Double(text), value.isFinite else {
            report("wrong-type", "'\(key)' must be a number", at: node.headRange)
            return nil
        }
        if let minimum, value < minimum {
            report("out-of-range", "'\(key)' must be at least \(Document.double(minimum).plainText)", at: node.range)
            return nil
        }
        return value
    }
}
