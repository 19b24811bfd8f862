import RuleEngine

/// What a plugin can be told: `configuration` of a manifest, `arguments` of an action.
struct PluginSchemaReader {
    let reading: FileReading

    private static let keys = ["type", "required", "default", "doc", "one_of", "minimum", "maximum"].map { KnownKey($0) }
    /// Keys of every entry of `…_configs`.
    private static let taken: Set<String> = ["send_resolved", "timeout"]

    func settings(_ node: YAMLNode, _ key: String) -> [PluginSetting] {
        (reading.entries(node, key) ?? []).compactMap { setting($0) }
    }

    private func setting(_ entry: YAMLNode.Entry) -> PluginSetting? {
        guard PluginNames.isIdentifier(entry.key), !Self.taken.contains(entry.key), !entry.key.hasSuffix("_file") else {
            reading.report(
                "plugin-name", "a setting's name must be letters, digits and '_', and not end with '_file'", at: entry.keyRange,
                notes: Self.taken.contains(entry.key) ? ["'\(entry.key)' is a key of every channel"] : [])
            return nil
        }
        guard let mapping = MappingReader(entry.value, subject: "a setting", keys: Self.keys, in: reading) else { return nil }
        let kinds = PluginSetting.Kind.allCases.map { (name: $0.rawValue, value: $0) }
        guard let kind = mapping.required("type").flatMap({ reading.choice($0, "type", kinds) }) else { return nil }
        var setting = PluginSetting(entry.key, kind)
        if let node = mapping["required"] { setting.isRequired = reading.bool(node, "required") ?? false }
        if let node = mapping["doc"] { setting.documentation = reading.name(node, "doc") ?? "" }
        if let node = mapping["one_of"] { setting.choices = (reading.list(node, "one_of") ?? []).compactMap { reading.name($0, "one_of") } }
        if let node = mapping["minimum"] { setting.minimum = reading.number(node, "minimum") }
        if let node = mapping["maximum"] { setting.maximum = reading.number(node, "maximum") }
        guard let node = mapping["default"] else { return setting }
        if kind == .secret {
            reading.report("plugin-setting", "a secret cannot have a default", at: mapping.entry("default")?.keyRange ?? node.range)
        } else {
            setting.defaultValue = PluginValuesReader(reading: reading).value(node, setting)
        }
        if setting.isRequired {
            reading.report("conflicting-keys", "a setting with a default is never missing: 'required' has no meaning", at: entry.keyRange)
        }
        return setting
    }
}
