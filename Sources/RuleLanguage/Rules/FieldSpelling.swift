/// How expressions of rules name a member of a payload.
public enum FieldSpelling {
    /// `temperature`; `payload.time` where the name means something else; ``payload.`AM2301-14` `` where it is no name.
    public static func name(of member: String, besides captures: [String] = []) -> String {
        guard Names.isIdentifier(member), !Names.reservedWords.contains(member) else { return "payload.`\(member)`" }
        return Names.builtIn.contains(member) || captures.contains(member) ? "payload.\(member)" : member
    }
}
