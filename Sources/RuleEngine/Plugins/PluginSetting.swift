/// An entry of a manifest's `configuration`: something that the plugin can be told.
public struct PluginSetting: Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case string, integer, number, bool
        /// In seconds; may be negative.
        case duration
        /// May be given as `NAME_file`; never shown.
        case secret
        /// Text with `{{ CEL }}` over the notification.
        case template
        /// Of strings.
        case list
        case any
    }
    public var name: String
    public var kind: Kind
    public var isRequired: Bool
    public var defaultValue: PluginValue?
    public var documentation: String
    /// For strings: the only ones there are.
    public var choices: [String]
    public var minimum: Double?
    public var maximum: Double?

    public init(_ name: String, _ kind: Kind) {
        self.name = name
        self.kind = kind
        isRequired = false
        defaultValue = nil
        documentation = ""
        choices = []
        minimum = nil
        maximum = nil
    }
}

/// The value of a setting.
public enum PluginValue: Sendable, Equatable {
    case document(Document)
    case secret(Secret)
    case template(NotificationText)
}

/// Settings by name, in the schema's order.
public struct PluginValues: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public var name: String
        public var value: PluginValue
        public init(_ name: String, _ value: PluginValue) {
            self.name = name
            self.value = value
        }
    }
    public var entries: [Entry]
    public init(_ entries: [Entry] = []) { self.entries = entries }

    public subscript(name: String) -> PluginValue? { entries.first { $0.name == name }?.value }

    /// These, and what only `others` have.
    public func over(_ others: PluginValues) -> PluginValues {
        PluginValues(entries + others.entries.filter { self[$0.name] == nil })
    }

    /// The values as the plugin gets them: secrets read, texts filled in. Nil when one of them cannot be had.
    ///
    /// - Parameters:
    ///   - document: the notification; nil outside of one, where texts are left out.
    ///   - read: the content of a secret.
    public func resolved(for document: Document?, _ rendering: (any NotificationTextRendering)?, read: (Secret) -> String?) -> Document? {
        var members: [Document.Member] = []
        for entry in entries {
            switch entry.value {
            case .document(let value): members.append(.init(entry.name, value))
            case .secret(let secret):
                guard let text = read(secret) else { return nil }
                members.append(.init(entry.name, .string(text)))
            case .template(let template):
                guard let document, let rendering else { continue }
                guard let text = rendering.render(template, document: document) else { return nil }
                members.append(.init(entry.name, .string(text)))
            }
        }
        return .object(members)
    }

    /// What holds where nothing is said.
    public static func defaults(of settings: [PluginSetting]) -> PluginValues {
        PluginValues(settings.compactMap { setting in setting.defaultValue.map { Entry(setting.name, $0) } })
    }
}

/// What `plugins.grants` and `plugins.settings` say.
public struct PluginConfiguration: Sendable {
    /// By plugin.
    public var grants: [String: PluginPermissions]
    public var settings: [String: PluginValues]

    public init(grants: [String: PluginPermissions] = [:], settings: [String: PluginValues] = [:]) {
        self.grants = grants
        self.settings = settings
    }
}
