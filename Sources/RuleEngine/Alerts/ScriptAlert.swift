/// An alert of an automation's own: routed, told, stored and restored as those of rules are.
public struct ScriptAlert: Sendable, Equatable {
    public var automation: String
    public var alertname: String
    /// With automation and name its identity: raising the same again changes the alert that fires.
    public var labels: [String: String]
    public var annotations: [String: String]
    /// The label `severity`, which is no part of the identity; a change is told in place.
    public var severity: String?
    public var value: Document

    public init(
        automation: String, alertname: String, labels: [String: String] = [:], annotations: [String: String] = [:], severity: String? = nil,
        value: Document = .null
    ) {
        self.automation = automation
        self.alertname = alertname
        self.labels = labels
        self.annotations = annotations
        self.severity = severity
        self.value = value
    }

    /// The group that alerts of scripts have begins with it; none of rules does.
    public static let groupPrefix = "automation/"
    /// An automation's alerts that may fire at once.
    public static let most = 1000

    static func group(of automation: String) -> String { groupPrefix + automation }
    var identity: RuleIdentity { RuleIdentity(group: Self.group(of: automation), alert: alertname) }
    /// Names and values of the labels, in the order of the names.
    var key: [String] {
        labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.flatMap { [$0.key, $0.value] }
    }
    public var id: String { alertInstanceID(rule: identity, key: key) }
}

extension AlertRecord {
    /// Whether an automation raised it.
    var isOfScript: Bool { rule.group.utf8.starts(with: ScriptAlert.groupPrefix.utf8) }
}

/// Which of an automation's own alerts are meant.
public struct ScriptAlertSelection: Sendable, Equatable {
    public var automation: String
    /// Nil: of any name.
    public var alertname: String?
    /// Labels that they have at least.
    public var labels: [String: String]

    public init(automation: String, alertname: String? = nil, labels: [String: String] = [:]) {
        self.automation = automation
        self.alertname = alertname
        self.labels = labels
    }

    func takes(_ record: AlertRecord) -> Bool {
        record.rule.group == ScriptAlert.group(of: automation) && alertname.map { $0 == record.rule.alert } ?? true
            && labels.allSatisfy { record.labels[$0.key] == $0.value }
    }
}
