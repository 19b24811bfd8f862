import CEL
import RuleEngine

/// Reads `plugin.yaml`.
struct PluginManifestReader {
    let reading: FileReading
    /// The folder that the file is in, as it was named.
    let folder: String

    private static let keys = ["name", "version", "description", "provides", "library", "permissions", "configuration"].map { KnownKey($0) }
    private static let permissionKeys = ["http", "mqtt.publish", "native"].map { KnownKey($0) }

    /// Nil when there is no name to go by; everything that is wrong has been reported.
    func read() -> PluginManifest? {
        guard let root = YAMLReader.read(reading.file, into: reading.findings), !root.isNull else {
            if reading.findings.errorCount == 0 {
                reading.report("missing-key", "a plugin's manifest needs 'name', 'version', 'description' and 'provides'", at: 0..<0)
            }
            return nil
        }
        guard let mapping = MappingReader(root, subject: "a plugin's manifest", keys: Self.keys, in: reading) else { return nil }
        let version = mapping.required("version").flatMap { self.version($0) }
        let description = mapping.required("description").flatMap { reading.name($0, "description") }
        let permissions = mapping["permissions"].map { self.permissions($0) } ?? PluginPermissions()
        let schema = PluginSchemaReader(reading: reading)
        let settings = mapping["configuration"].map { schema.settings($0, "configuration") } ?? []
        let provisions = mapping.required("provides").map { PluginProvisionsReader(reading: reading).read($0) }
        guard let node = mapping.required("name"), let name = name(node) else { return nil }
        var manifest = PluginManifest(name: name, folder: folder, location: reading.file.location(of: node.range))
        manifest.version = version ?? ""
        manifest.description = description ?? ""
        manifest.permissions = permissions
        manifest.settings = settings
        manifest.provisions = provisions ?? []
        if let node = mapping["library"], let library = library(node) { manifest.code = .native(library) }
        if case .native = manifest.code, !permissions.isNative {
            reading.report(
                "missing-permission", "a plugin with a 'library' must ask for the permission 'native'",
                at: mapping.entry("library")?.keyRange ?? node.range, hint: "add 'permissions: {native: true}'")
        }
        return manifest
    }

    private func name(_ node: YAMLNode) -> String? {
        guard let name = reading.name(node, "name") else { return nil }
        guard PluginNames.isName(name) else {
            reading.report("plugin-name", "a plugin's name must be \(PluginNames.rule)", at: node.range)
            return nil
        }
        let last = folder.split(separator: "/").last.map(String.init) ?? folder
        if last != name {
            reading.report(
                "plugin-name", "a plugin's name must be its folder's: '\(last)'", at: node.range, notes: ["here stands '\(name)'"])
        }
        return name
    }

    private func version(_ node: YAMLNode) -> String? {
        guard let text = reading.name(node, "version") else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }) else {
            reading.report("wrong-type", "'version' must be three numbers: 1.0.0", at: node.range)
            return nil
        }
        return text
    }

    private func library(_ node: YAMLNode) -> String? {
        guard let text = reading.name(node, "library") else { return nil }
        guard !text.contains("/"), text != "..", text.hasSuffix(".so") else {
            reading.report("wrong-type", "'library' must be a file of the plugin's folder that ends with .so", at: node.range)
            return nil
        }
        return text
    }

    /// Also of `plugins.grants`.
    func permissions(_ node: YAMLNode, subject: String = "'permissions'") -> PluginPermissions {
        var permissions = PluginPermissions()
        guard let mapping = MappingReader(node, subject: subject, keys: Self.permissionKeys, in: reading) else { return permissions }
        if let node = mapping["http"] {
            for item in reading.list(node, "http") ?? [] {
                guard let text = reading.name(item, "http") else { continue }
                if let pattern = HostPattern(text) { permissions.hosts.append(pattern) } else { badHost(text, item) }
            }
        }
        if let node = mapping["mqtt.publish"] {
            for item in reading.list(node, "mqtt.publish") ?? [] {
                guard let text = reading.name(item, "mqtt.publish") else { continue }
                do { permissions.topics.append(try TopicFilter(text)) } catch {
                    reading.report("topic-filter", error.message, at: item.range)
                }
            }
        }
        if let node = mapping["native"] { permissions.isNative = reading.bool(node, "native") ?? false }
        return permissions
    }

    private func badHost(_ text: String, _ node: YAMLNode) {
        let isURL = text.contains("/")
        reading.report(
            "host-pattern", "a host must be a name, with a port or '*.' before it where that is meant", at: node.range,
            notes: isURL ? ["here stands a URL or a path"] : ["examples: hooks.slack.com, *.example.org, localhost:8080, *"])
    }
}

/// What plugins and what they provide may be called.
enum PluginNames {
    static let rule = "lower-case letters, digits and '-', a letter first"

    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, (97...122).contains(first), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    /// Of functions, parameters, settings and actions.
    static func isIdentifier(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (97...122).contains(byte) || (65...90).contains(byte) || byte == 95 }
}
