/// What names a rule: alert names are unique in their group.
public struct RuleIdentity: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var group: String
    public var alert: String
    public init(group: String, alert: String) {
        self.group = group
        self.alert = alert
    }
    public var description: String { "\(group)/\(alert)" }
    public static func < (left: RuleIdentity, right: RuleIdentity) -> Bool { (left.group, left.alert) < (right.group, right.alert) }
}
