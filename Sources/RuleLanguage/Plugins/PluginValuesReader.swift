import RuleEngine

/// Values of a plugin's settings, checked against their schema.
struct PluginValuesReader {
    let reading: FileReading

    /// The keys that a mapping of these settings may have.
    static func keys(_ schema: [PluginSetting]) -> [KnownKey] {
        schema.flatMap { $0.kind == .secret ? [KnownKey($0.name), KnownKey($0.name + "_file")] : [KnownKey($0.name)] }
    }

    /// - Parameter base: what holds for settings that are not mentioned.
    func values(_ mapping: MappingReader, _ schema: [PluginSetting], over base: PluginValues = PluginValues(), isComplete: Bool = true)
        -> PluginValues
    {
        let given = PluginValues(schema.compactMap { setting in entry(mapping, setting) })
        let all = given.over(base).over(.defaults(of: schema))
        if isComplete {
            for setting in schema where setting.isRequired && all[setting.name] == nil && !isMentioned(mapping, setting) {
                let file = setting.kind == .secret ? " or '\(setting.name)_file'" : ""
                mapping.missing("\(mapping.subject) needs '\(setting.name)'\(file)")
            }
        }
        return all
    }

    private func isMentioned(_ mapping: MappingReader, _ setting: PluginSetting) -> Bool {
        mapping.has(setting.name) || mapping.has(setting.name + "_file")
    }

    private func entry(_ mapping: MappingReader, _ setting: PluginSetting) -> PluginValues.Entry? {
        if setting.kind == .secret, let file = mapping.entry(setting.name + "_file") {
            if let other = mapping.entry(setting.name) {
                reading.report(
                    "conflicting-keys", "\(mapping.subject) has either '\(setting.name)' or '\(setting.name)_file'", at: file.keyRange,
                    notes: ["'\(setting.name)' stands at \(reading.place(other.keyRange))"])
                return nil
            }
            return reading.name(file.value, file.key).map { PluginValues.Entry(setting.name, .secret(.file($0))) }
        }
        guard let node = mapping[setting.name] else { return nil }
        return value(node, setting).map { PluginValues.Entry(setting.name, $0) }
    }

    /// Nil when it does not fit, which has been reported.
    func value(_ node: YAMLNode, _ setting: PluginSetting) -> PluginValue? {
        switch setting.kind {
        case .secret: return reading.name(node, setting.name).map { .secret(.text($0)) }
        case .template: return reading.notificationText(node, setting.name).map { .template($0) }
        default: return document(node, setting).map { .document($0) }
        }
    }

    private func document(_ node: YAMLNode, _ setting: PluginSetting) -> Document? {
        switch setting.kind {
        case .string, .secret, .template: return choice(node, setting)
        case .integer: return number(node, setting).flatMap { Int64(exactly: $0) }.map(Document.int) ?? notWhole(node, setting)
        case .number: return number(node, setting).map(Document.double)
        case .bool: return reading.bool(node, setting.name).map(Document.bool)
        case .duration: return duration(node, setting)
        case .list:
            guard let items = reading.list(node, setting.name) else { return nil }
            return .array(items.compactMap { reading.text($0, setting.name) }.map(Document.string))
        case .any: return reading.document(node)
        }
    }

    private func choice(_ node: YAMLNode, _ setting: PluginSetting) -> Document? {
        if setting.choices.isEmpty { return reading.text(node, setting.name).map(Document.string) }
        return reading.choice(node, setting.name, setting.choices.map { (name: $0, value: $0) }).map(Document.string)
    }

    private func number(_ node: YAMLNode, _ setting: PluginSetting) -> Double? {
        guard let value = reading.number(node, setting.name) else { return nil }
        let isAbove = setting.minimum.map { value >= $0 } ?? true, isBelow = setting.maximum.map { value <= $0 } ?? true
        guard isAbove, isBelow else {
            let bounds = [
                setting.minimum.map { "at least \(Document.double($0).plainText)" },
                setting.maximum.map { "at most \(Document.double($0).plainText)" },
            ].compactMap { $0 }
            reading.report("out-of-range", "'\(setting.name)' must be \(bounds.joined(separator: " and "))", at: node.range)
            return nil
        }
        return value
    }

    private func notWhole(_ node: YAMLNode, _ setting: PluginSetting) -> Document? {
        if case .scalar(let text, .plain) = node.content, let value = Double(text), value.isFinite, Int64(exactly: value) == nil {
            reading.report("wrong-type", "'\(setting.name)' must be a whole number", at: node.range)
        }
        return nil
    }

    /// A length as everywhere, or one with '-' before it where the schema sets no minimum.
    private func duration(_ node: YAMLNode, _ setting: PluginSetting) -> Document? {
        if case .scalar(let text, .plain) = node.content, text.hasPrefix("-"), setting.minimum == nil,
            let duration = Duration(ruleText: String(text.dropFirst()))
        {
            return seconds(duration, sign: -1)
        }
        return reading.duration(node, setting.name).map { seconds($0, sign: 1) }
    }

    private func seconds(_ duration: Duration, sign: Int64) -> Document {
        let (seconds, attoseconds) = duration.components
        return attoseconds == 0 ? .int(sign * seconds) : .double(Double(sign) * (Double(seconds) + Double(attoseconds) / 1e18))
    }
}
