import RuleEngine

/// Labels, annotations and named sub-expressions.
extension FileReading {
    /// `labels` or `annotations`; entries that are wrong are reported and left out.
    func namedTemplates(_ node: YAMLNode, _ key: String) -> [NamedTemplate] {
        (entries(node, key) ?? []).compactMap { entry in
            let subject = key == "labels" ? "a label" : "an annotation"
            let found = template(entry.value, entry.key)
            guard Names.isIdentifier(entry.key) else {
                report("label-name", "\(subject)'s name is letters, digits and '_', and begins with no digit", at: entry.keyRange)
                return nil
            }
            if key == "labels", entry.key == "alertname" {
                report("reserved-name", "'alertname' is the rule's name and cannot be set", at: entry.keyRange)
                return nil
            }
            return found.map { NamedTemplate(entry.key, $0) }
        }
    }

    /// `let`. `captures` are the names that it must not hide.
    func lets(_ node: YAMLNode, captures: Set<String>) -> [LetBinding] {
        (entries(node, "let") ?? []).compactMap { entry in
            checkLetName(entry, captures: captures)
            // A wrong one, which is reported, stays a name, of something of which nothing is known.
            let found = expression(entry.value, entry.key) ?? expression(SourceText("vars.unknown", file: file.name))
            return found.map { LetBinding(entry.key, $0) }
        }
    }

    private func checkLetName(_ entry: YAMLNode.Entry, captures: Set<String>) {
        let subject = "a named expression"
        if !Names.isIdentifier(entry.key) {
            report("label-name", "\(subject)'s name is letters, digits and '_', and begins with no digit", at: entry.keyRange)
        } else if let refusal = entry.key == "device"
            ? "\(subject) cannot be named 'device': every expression has that name already" : Names.refusal(entry.key, of: subject)
        {
            report("reserved-name", refusal, at: entry.keyRange)
        } else if captures.contains(entry.key) {
            report("duplicate-name", "'\(entry.key)' is a capture of 'on' and cannot be a named expression too", at: entry.keyRange)
        }
    }
}
