import CEL
import RuleEngine

extension FileReading {
    /// A text of the notification configuration. What its expressions name is looked at here, since nobody is there to see it when an alert fires.
    func notificationText(_ node: YAMLNode, _ key: String) -> NotificationText? {
        guard let template = template(node, key) else { return nil }
        return NotificationText(
            template.parts.map { part in
                switch part {
                case .literal(let text): return .literal(text)
                case .expression(let expression):
                    check(expression)
                    return .expression(expression.source.text)
                }
            })
    }

    private func check(_ expression: RuleExpression) {
        var names = Names()
        let found = environment.compile(expression.expression, names: &names, strings: InternedStrings()).diagnostics
        for diagnostic in found { findings.add(expression.source.diagnostic(diagnostic)) }
    }

    private struct Names: NameResolver {
        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            let known = NotificationText.names
            guard case .name(let first)? = path.first else { return .unknown(nearest: nil, known: known) }
            guard let slot = known.firstIndex(of: first) else { return .unknown(nearest: nearestName(to: first, in: known), known: known) }
            return .slot(slot, consumed: 1)
        }
    }
}
