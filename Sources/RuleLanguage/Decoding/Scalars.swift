import CEL
import RuleEngine

/// Readers of single values. Each reports what is wrong and then returns nil.
extension FileReading {
    /// Any scalar but null, as text.
    func text(_ node: YAMLNode, _ key: String) -> String? {
        guard case .scalar(let text, _) = node.content, !node.isNull else {
            wrongType(node, "'\(key)' must be text")
            return nil
        }
        return text
    }

    /// Text that is not empty.
    func name(_ node: YAMLNode, _ key: String) -> String? {
        guard let text = text(node, key) else { return nil }
        guard !text.isEmpty else {
            report("wrong-type", "'\(key)' cannot be empty", at: node.range)
            return nil
        }
        return text
    }

    func duration(_ node: YAMLNode, _ key: String, atLeast minimum: Duration = .zero) -> Duration? {
        let rule = "'\(key)' must be a duration"
        guard case .scalar(let text, _) = node.content, !node.isNull else {
            wrongType(node, "\(rule), such as 5m", code: "duration")
            return nil
        }
        guard let duration = Duration(ruleText: text) else {
            let isNumber = !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
            let isFraction = isNumber && text.contains(".")
            let isNegative = text.hasPrefix("-")
            report(
                "duration",
                isNumber && !isFraction
                    ? "\(rule): a duration needs a unit, such as \(text)s or \(text)m"
                    : isNegative ? "\(rule), which is never negative" : "\(rule), such as 5m",
                at: node.range, notes: ["units are ms s m h d w, the largest first, whole numbers: 1h30m"])
            return nil
        }
        guard duration >= minimum else {
            report("out-of-range", "'\(key)' must be at least \(minimum.ruleText)", at: node.range)
            return nil
        }
        return duration
    }

    func integer(_ node: YAMLNode, _ key: String, in range: ClosedRange<Int>) -> Int? {
        let rule =
            range.upperBound == .max
            ? "'\(key)' must be a whole number, at least \(range.lowerBound)"
            : "'\(key)' must be a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .scalar(let text, .plain) = node.content, let value = Int(text) else {
            report("wrong-type", rule, at: node.headRange)
            return nil
        }
        guard range.contains(value) else {
            report("out-of-range", rule, at: node.range)
            return nil
        }
        return value
    }

    func bool(_ node: YAMLNode, _ key: String) -> Bool? {
        if case .scalar(let text, .plain) = node.content {
            switch text {
            case "true", "True", "TRUE": return true
            case "false", "False", "FALSE": return false
            default: break
            }
        }
        report("wrong-type", "'\(key)' must be true or false", at: node.headRange)
        return nil
    }

    /// One of a few words.
    func choice<Choice>(_ node: YAMLNode, _ key: String, _ choices: [(name: String, value: Choice)]) -> Choice? {
        guard case .scalar(let text, _) = node.content, let found = choices.first(where: { $0.name == text }) else {
            var near: String?
            if case .scalar(let text, _) = node.content { near = nearestName(to: text, in: choices.map(\.name)) }
            report(
                "wrong-type", "'\(key)' must be one of: \(choices.map(\.name).joined(separator: ", "))", at: node.headRange,
                hint: near.map { "did you mean '\($0)'?" })
            return nil
        }
        return found.value
    }

    /// A list; nothing at all counts as an empty one.
    func list(_ node: YAMLNode, _ key: String) -> [YAMLNode]? {
        if case .sequence(let items) = node.content { return items }
        if node.isNull { return [] }
        wrongType(node, "'\(key)' must be a list", mayBeText: false)
        return nil
    }

    /// A mapping whose keys are names of the writer's own; nothing at all counts as an empty one.
    func entries(_ node: YAMLNode, _ key: String) -> [YAMLNode.Entry]? {
        if case .mapping(let entries) = node.content { return entries }
        if node.isNull { return [] }
        wrongType(node, "'\(key)' must be a mapping", mayBeText: false)
        return nil
    }

    /// A CEL expression. Only its syntax is looked at: which names and types there are is known when the rule is planned.
    func expression(_ node: YAMLNode, _ key: String) -> RuleExpression? {
        guard case .scalar(let text, let style) = node.content, !node.isNull, text.contains(where: { !$0.isWhitespace }) else {
            wrongType(node, "'\(key)' must be an expression")
            return nil
        }
        return expression(file.sourceText(text, style, at: node.range))
    }

    /// The longest expression or text with expressions, in bytes; it bounds what a hostile one costs.
    static let maximumTextLength = 16_384

    func isShortEnough(_ source: SourceText) -> Bool {
        guard source.text.utf8.count > Self.maximumTextLength else { return true }
        findings.report("too-long", "an expression or a text has at most \(Self.maximumTextLength) bytes", at: source.location(of: 0..<1))
        return false
    }

    func expression(_ source: SourceText) -> RuleExpression? {
        guard isShortEnough(source) else { return nil }
        let parsed = environment.parse(source.text)
        for diagnostic in parsed.diagnostics { findings.add(source.diagnostic(diagnostic)) }
        guard let expression = parsed.expression, !parsed.diagnostics.contains(where: { $0.severity == .error }) else { return nil }
        return RuleExpression(source, expression)
    }

    /// The value is of another kind than `rule` says; `mayBeText`: text would have been right.
    func wrongType(_ node: YAMLNode, _ rule: String, code: String = "wrong-type", mayBeText: Bool = true) {
        guard !node.isReported else { return }
        report(code, rule, at: node.headRange, notes: ["here stands \(node.kindInWords)"] + (mayBeText ? braceNote(node) : []))
    }

    private func braceNote(_ node: YAMLNode) -> [String] {
        guard case .mapping = node.content, file.bytes[node.range.clamped(to: 0..<file.bytes.count)].first == UInt8(ascii: "{") else {
            return []
        }
        return ["a value that begins with '{' must be quoted"]
    }
}
