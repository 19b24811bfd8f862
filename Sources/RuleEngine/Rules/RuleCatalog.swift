/// Where a rule group comes from.
public enum RuleOrigin: Hashable, Sendable {
    case file(String)
    /// Made through the API, kept in the state store.
    case store
}

/// Rules that belong together: one entry of `groups:`.
public struct RuleGroup: Sendable {
    public var name: String
    public var origin: RuleOrigin
    public var location: SourceLocation
    public var rules: [Rule]
    /// The group as YAML, as it stands in its file.
    public var yaml: String

    public init(name: String, origin: RuleOrigin, location: SourceLocation, rules: [Rule], yaml: String) {
        self.name = name
        self.origin = origin
        self.location = location
        self.rules = rules
        self.yaml = yaml
    }
}

/// Every rule of an installation: group names are unique, alert names unique in their group.
public struct RuleCatalog: Sendable {
    public let groups: [RuleGroup]
    /// Calls of automations in rules that are none of the catalogue's, because something is wrong with them.
    public var otherScriptCalls: [CallAction] = []

    public static let empty = RuleCatalog(unchecked: [])

    init(unchecked groups: [RuleGroup]) { self.groups = groups }

    /// Puts groups together; a group name that stands twice is found here, naming both places.
    public static func assembling(_ groups: [RuleGroup]) -> (catalog: RuleCatalog, diagnostics: [Diagnostic]) {
        var seen: [String: SourceLocation] = [:]
        var found: [Diagnostic] = []
        for group in groups {
            if let first = seen[group.name] {
                found.append(
                    Diagnostic(
                        code: "duplicate-group", "group names must be unique: '\(group.name)'", at: group.location,
                        notes: ["the other one stands at \(first.file):\(first.line):\(first.column)"]))
            } else {
                seen[group.name] = group.location
            }
        }
        return (RuleCatalog(unchecked: groups), found)
    }

    public var rules: [Rule] { groups.flatMap(\.rules) }
}
