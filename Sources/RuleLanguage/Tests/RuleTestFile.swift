public import RuleEngine

/// What a `*.test.yaml` says: which rules, where their alerts go, and the tests.
public struct RuleTestFile: Sendable {
    /// A file that the test names, relative to the test's own folder.
    public struct Reference: Sendable {
        public var path: String
        public var location: SourceLocation
    }
    public enum Notifications: Sendable {
        /// All goes to one receiver named `default`, at once.
        case toDefault
        case file(Reference)
        case inline(NotificationConfiguration)
    }

    public var name: String
    public var rules: [Reference]
    /// Scripts that run in every test.
    public var automations: [Reference] = []
    public var notifications: Notifications
    public var tests: [RuleTest]
    public var surroundings = Surroundings()

    /// Expectations that can never be met: of alerts that no rule raises, and of receivers that there are not.
    public func diagnostics(catalog: RuleCatalog, receivers: [String]) -> [Diagnostic] {
        // What the engine raises about itself.
        let own = ["RuleOverLimit", "TooManyInstances"]
        let alerts = Set(catalog.rules.map(\.identity.alert))
        var found: [Diagnostic] = []
        for expectation in tests.flatMap(\.expectations) {
            switch expectation.kind {
            case .alert(let expected):
                // What scripts raise is known when they run.
                if !automations.isEmpty, !alerts.contains(expected.alert) { break }
                if let group = expected.group, !catalog.groups.contains(where: { $0.name == group }), !own.contains(expected.alert) {
                    found.append(
                        unknown(
                            "unknown-group", "there is no group '\(group)' in the rules of this test", expected.location, group,
                            catalog.groups.map(\.name)))
                } else if !alerts.contains(expected.alert), !own.contains(expected.alert) {
                    found.append(
                        unknown(
                            "unknown-alert", "no rule of this test raises '\(expected.alert)'", expected.location, expected.alert,
                            alerts.sorted()))
                }
            case .notifications(let expected):
                for one in expected where !receivers.contains(one.receiver) {
                    found.append(
                        unknown("unknown-receiver", "there is no receiver '\(one.receiver)'", one.location, one.receiver, receivers))
                }
            case .published, .requests, .written, .state: break
            }
        }
        for answer in Self.each(tests.flatMap(\.answers)) { found += mistake(in: answer, catalog) }
        return found.inOrder
    }

    /// Answers of the whole file stand in every test.
    private static func each(_ answers: [TestAnswer]) -> [TestAnswer] {
        var seen = Set<SourceLocation>()
        return answers.filter { seen.insert($0.location).inserted }
    }

    private func mistake(in answer: TestAnswer, _ catalog: RuleCatalog) -> [Diagnostic] {
        let rules = catalog.rules.filter { rule in
            rule.identity.alert == answer.alert && answer.group.map { $0 == rule.identity.group } ?? true
        }
        if rules.isEmpty {
            return [
                unknown(
                    "unknown-alert", "no rule of this test raises '\(answer.alert)'", answer.location, answer.alert,
                    Set(catalog.rules.filter { $0.query != nil || !$0.sides.isEmpty }.map(\.identity.alert)).sorted())
            ]
        }
        guard !rules.contains(where: { answer.query(of: $0) != nil }) else { return [] }
        let sides = rules.flatMap(\.sides).map(\.name)
        guard let side = answer.side else {
            return [
                Diagnostic(
                    code: "unknown-query", "the rule '\(answer.alert)' has no 'influx'", at: answer.location,
                    hint: sides.isEmpty ? nil : "'with: \(sides[0])' means the rule's side input")
            ]
        }
        return [unknown("unknown-query", "the rule '\(answer.alert)' has no side input '\(side)'", answer.location, side, sides)]
    }

    private func unknown(_ code: String, _ message: String, _ location: SourceLocation, _ name: String, _ known: [String]) -> Diagnostic {
        let near = nearestName(to: name, in: known)
        let some = known.prefix(20).joined(separator: ", ") + (known.count > 20 ? ", …" : "")
        return Diagnostic(
            code: code, message, at: location, notes: near == nil && !known.isEmpty ? ["there are: \(some)"] : [],
            hint: near.map { "did you mean '\($0)'?" })
    }

    /// Whether a file of this name holds tests.
    public static func isTestFile(_ name: String) -> Bool {
        !name.hasPrefix(".") && (name.hasSuffix(".test.yaml") || name.hasSuffix(".test.yml"))
    }
}
