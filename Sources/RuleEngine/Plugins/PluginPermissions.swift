/// What a plugin asks for, or what it is granted.
public struct PluginPermissions: Sendable, Equatable {
    /// Hosts it may send HTTP requests to.
    public var hosts: [HostPattern]
    /// Topics it may publish to.
    public var topics: [TopicFilter]
    /// Whether it may run as machine code in the server.
    public var isNative: Bool

    public init(hosts: [HostPattern] = [], topics: [TopicFilter] = [], isNative: Bool = false) {
        self.hosts = hosts
        self.topics = topics
        self.isNative = isNative
    }

    public var isEmpty: Bool { hosts.isEmpty && topics.isEmpty && !isNative }
}

/// `hooks.slack.com`, `*.example.org`, `localhost:8080`, `*`.
public struct HostPattern: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    private let name: String
    /// Nil: any.
    private let port: String?

    /// Nil when it is no such pattern.
    public init?(_ text: String) {
        let lower = text.lowercased()
        let parts = lower.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, !first.isEmpty, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        let rest = first == "*" ? "" : first.hasPrefix("*.") ? first.dropFirst(2) : first
        let isName = rest.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 || $0 == 95 }
        guard isName, first == "*" || !rest.isEmpty, !rest.hasPrefix("."), !rest.hasSuffix(".") else { return nil }
        if parts.count == 2 { guard UInt16(parts[1]) != nil else { return nil } }
        description = text
        name = String(first)
        port = parts.count == 2 ? String(parts[1]) : nil
    }

    /// - Parameter host: `name` or `name:port`, as it stands in a URL.
    public func matches(_ host: String) -> Bool {
        let parts = host.lowercased().split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let asked = parts.first.map(String.init) ?? ""
        if let port, parts.count < 2 || String(parts[1]) != port { return false }
        if name == "*" { return true }
        if name.hasPrefix("*.") { return asked.hasSuffix(name.dropFirst()) && asked.utf8.count > name.utf8.count - 1 }
        return asked == name
    }
}

/// What a plugin may do: only what it asks for in its manifest and what it is granted in the configuration.
public struct PluginRights: Sendable {
    public let plugin: String
    public let asked: PluginPermissions
    public let granted: PluginPermissions

    public init(plugin: String, asked: PluginPermissions, granted: PluginPermissions) {
        self.plugin = plugin
        self.asked = asked
        self.granted = granted
    }

    /// Why it may not send a request to a host (`name` or `name:port`); nil when it may.
    public func refusal(host: String) -> String? {
        refusal(
            "may not send requests to '\(host)'", key: "http", isAsked: asked.hosts.contains { $0.matches(host) },
            isGranted: granted.hosts.contains { $0.matches(host) })
    }

    /// Why it may not publish to a topic; nil when it may.
    public func refusal(topic: String) -> String? {
        refusal(
            "may not publish to '\(topic)'", key: "mqtt.publish", isAsked: asked.topics.contains { $0.matches(topic) },
            isGranted: granted.topics.contains { $0.matches(topic) })
    }

    /// Why it may not run as machine code; nil when it may.
    public var nativeRefusal: String? {
        refusal("may not be loaded into the server", key: "native", isAsked: asked.isNative, isGranted: granted.isNative)
    }

    private func refusal(_ what: String, key: String, isAsked: Bool, isGranted: Bool) -> String? {
        if isAsked, isGranted { return nil }
        return isAsked
            ? "plugin '\(plugin)' \(what): the configuration does not grant it (plugins.grants.\(plugin): \(key))"
            : "plugin '\(plugin)' \(what): its manifest does not ask for it (permissions: \(key))"
    }
}

/// Scheme and host of a URL, as far as rights need them.
public enum URLHost {
    /// `name` or `name:port` of an http or https URL; nil for anything else, and for one that hides its host behind a name and password.
    public static func of(_ url: String) -> String? {
        let lower = url.lowercased()
        guard let prefix = ["http://", "https://"].first(where: { lower.hasPrefix($0) }) else { return nil }
        let authority = lower.dropFirst(prefix.count).prefix { $0 != "/" && $0 != "?" && $0 != "#" && $0 != "\\" }
        guard !authority.isEmpty, !authority.contains("@"), !url.utf8.contains(where: { $0 <= 32 || $0 == 127 }) else { return nil }
        return String(authority)
    }
}
