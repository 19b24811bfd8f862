import RuleEngine

/// `devices`, `profiles` and `vars` of a test, and their changes.
struct SituationReader {
    let reading: FileReading

    private static let deviceKeys = ["profile", "config", "labels", "location"].map { KnownKey($0) }
    private static let changeKeys = ["at", "devices", "vars"].map { KnownKey($0) }

    /// Configurations by profile.
    func profiles(_ node: YAMLNode) -> [String: Document] {
        var found: [String: Document] = [:]
        for entry in reading.entries(node, "profiles") ?? [] {
            guard let mapping = MappingReader(entry.value, subject: "a profile", keys: [KnownKey("config")], in: reading) else { continue }
            found[entry.key] = mapping["config"].flatMap { configuration($0) } ?? .emptyObject
        }
        return found
    }

    /// A device with nothing behind its name is removed.
    func devices(_ node: YAMLNode, _ profiles: [String: Document], at instant: Int64) -> [TestChange] {
        (reading.entries(node, "devices") ?? []).compactMap { entry in
            if entry.value.isNull, instant > 0 { return TestChange(at: instant, .device(id: entry.key, config: nil, labels: [:])) }
            if entry.value.isNull { return TestChange(at: instant, .device(id: entry.key, config: .emptyObject, labels: [:])) }
            guard let mapping = MappingReader(entry.value, subject: "a device", keys: Self.deviceKeys, in: reading) else { return nil }
            var config = Document.emptyObject
            if let node = mapping["profile"], let name = reading.name(node, "profile") {
                if profiles[name] == nil {
                    reading.report(
                        "unknown-profile", "there is no profile '\(name)' in 'profiles'", at: node.range,
                        hint: nearestName(to: name, in: profiles.keys.sorted()).map { "did you mean '\($0)'?" })
                }
                config = profiles[name] ?? config
            }
            if let own = mapping["config"].flatMap({ configuration($0) }) { config = config.overlaid(by: own) }
            return TestChange(
                at: instant,
                .device(
                    id: entry.key, config: config, labels: mapping["labels"].map { reading.texts($0, "labels") } ?? [:],
                    location: mapping["location"].flatMap { reading.place($0, "location") }))
        }
    }

    /// A variable with nothing behind its name is removed.
    func variables(_ node: YAMLNode, at instant: Int64) -> [TestChange] {
        (reading.entries(node, "vars") ?? []).map { entry in
            TestChange(at: instant, .variable(name: entry.key, entry.value.isNull ? nil : reading.document(entry.value)))
        }
    }

    func change(_ node: YAMLNode, _ profiles: [String: Document]) -> [TestChange] {
        guard let mapping = MappingReader(node, subject: "a change", keys: Self.changeKeys, in: reading),
            let at = mapping.required("at").flatMap({ reading.duration($0, "at") })?.inNanoseconds
        else { return [] }
        if !mapping.has("devices"), !mapping.has("vars") { mapping.missing("a change needs 'devices' or 'vars'") }
        return (mapping["devices"].map { devices($0, profiles, at: at) } ?? []) + (mapping["vars"].map { variables($0, at: at) } ?? [])
    }

    private func configuration(_ node: YAMLNode) -> Document? {
        if node.isNull { return .emptyObject }
        guard case .mapping = node.content else {
            reading.wrongType(node, "'config' must be a mapping")
            return nil
        }
        return reading.document(node)
    }
}

extension FileReading {
    /// A value as JSON would have it: what is plain and looks like a number, a bool or null is one.
    func document(_ node: YAMLNode) -> Document {
        switch node.content {
        case .mapping(let entries): .object(entries.map { .init($0.key, document($0.value)) })
        case .sequence(let items): .array(items.map { document($0) })
        case .scalar(let text, let style):
            if style != .plain || node.isForcedText {
                .string(text)
            } else if node.isNull {
                .null
            } else {
                switch text {
                case "true", "True", "TRUE": .bool(true)
                case "false", "False", "FALSE": .bool(false)
                default: Int64(text).map(Document.int) ?? SeriesNotation.number(text).map(Document.double) ?? .string(text)
                }
            }
        }
    }

    /// Texts by their names.
    func texts(_ node: YAMLNode, _ key: String) -> [String: String] {
        var found: [String: String] = [:]
        for entry in entries(node, key) ?? [] {
            if let text = text(entry.value, entry.key) { found[entry.key] = text }
        }
        return found
    }
}
