import RuleEngine

/// The route tree.
struct RouteReader {
    let reading: FileReading
    let compile: RegexCompiler
    /// Names of the receivers; nil when there is no list of them, which has been reported.
    let receivers: [String]?

    private static let keys =
        [
            "receiver", "matchers", "match", "match_re", "group_by", "group_wait", "group_interval", "repeat_interval", "continue",
            "routes",
        ].map { KnownKey($0) }
        + ["mute_time_intervals", "active_time_intervals", "escalation", "repeat_backoff"].map { .notSupported($0, unlessEmpty: true) }

    func root(_ node: YAMLNode) -> Route? {
        guard let mapping = mapping(node) else { return nil }
        _ = mapping.required("receiver")
        for key in ["matchers", "match", "match_re"] {
            guard let entry = mapping.entry(key), !entry.value.isEmpty else { continue }
            reading.report("root-route", "the root route takes every alert: it has no '\(key)'", at: entry.keyRange)
        }
        if let entry = mapping.entry("continue") {
            reading.report("root-route", "the root route has no siblings: it takes no 'continue'", at: entry.keyRange)
        }
        return route(mapping)
    }

    private func mapping(_ node: YAMLNode) -> MappingReader? { MappingReader(node, subject: "a route", keys: Self.keys, in: reading) }

    private func route(_ mapping: MappingReader) -> Route {
        let smallest = Duration.milliseconds(1)
        var route = Route()
        route.receiver = mapping["receiver"].flatMap { receiver($0) }
        route.matchers = matchers(mapping)
        route.groupBy = mapping["group_by"].flatMap { groupBy($0) }
        route.groupWait = mapping["group_wait"].flatMap { reading.duration($0, "group_wait") }
        route.groupInterval = mapping["group_interval"].flatMap { reading.duration($0, "group_interval", atLeast: smallest) }
        route.repeatInterval = mapping["repeat_interval"].flatMap { reading.duration($0, "repeat_interval", atLeast: smallest) }
        route.continues = mapping["continue"].flatMap { reading.bool($0, "continue") } ?? false
        let children = mapping["routes"].flatMap { reading.list($0, "routes") } ?? []
        route.routes = children.compactMap { self.mapping($0).map { self.route($0) } }
        return route
    }

    private func receiver(_ node: YAMLNode) -> String? {
        guard let name = reading.name(node, "receiver") else { return nil }
        if let receivers, !receivers.contains(name) {
            reading.report(
                "unknown-receiver", "a route's receiver must be one of 'receivers': there is no '\(name)'", at: node.range,
                notes: receivers.isEmpty ? [] : ["receivers: \(receivers.joined(separator: ", "))"],
                hint: nearestName(to: name, in: receivers).map { "did you mean '\($0)'?" })
        }
        return name
    }

    private func groupBy(_ node: YAMLNode) -> GroupBy? {
        guard let items = reading.list(node, "group_by") else { return nil }
        var names: [String] = []
        for item in items {
            guard let name = reading.name(item, "group_by") else { continue }
            if name == "..." {
                guard items.count == 1 else {
                    reading.report("group-by", "'...' means all labels and stands alone", at: item.range)
                    continue
                }
                return .all
            }
            if !Names.isIdentifier(name) {
                reading.report("label-name", "a label's name is letters, digits and '_', and begins with no digit", at: item.range)
            } else if names.contains(name) {
                reading.report("duplicate-name", "'group_by' names a label once: '\(name)'", at: item.range)
            } else {
                names.append(name)
            }
        }
        return .labels(names)
    }

    private func matchers(_ mapping: MappingReader) -> [Matcher] {
        var found: [Matcher] = []
        for item in mapping["matchers"].flatMap({ reading.list($0, "matchers") }) ?? [] {
            guard let text = reading.name(item, "matchers"), case .scalar(_, let style) = item.content else { continue }
            let source = reading.file.sourceText(text, style, at: item.range)
            do {
                let parsed = try MatcherText.parse(text)
                for (matcher, range) in parsed { check(matcher, at: source.location(of: range)) }
                found += parsed.map(\.0)
            } catch {
                reading.findings.report(
                    "matcher", error.message, at: source.location(of: error.range),
                    notes: ["a matcher is name, one of = != =~ !~, and a value"])
            }
        }
        for (key, operation) in [("match", Matcher.Operation.equal), ("match_re", .matches)] {
            for entry in mapping[key].flatMap({ reading.entries($0, key) }) ?? [] {
                guard let value = reading.text(entry.value, entry.key) else { continue }
                let matcher = Matcher(entry.key, operation, value)
                check(matcher, at: reading.file.location(of: entry.value.range))
                if !Names.isIdentifier(entry.key) {
                    reading.report("label-name", "a label's name is letters, digits and '_', and begins with no digit", at: entry.keyRange)
                }
                found.append(matcher)
            }
        }
        return found
    }

    private func check(_ matcher: Matcher, at location: SourceLocation) {
        guard matcher.operation.isRegularExpression, compile(matcher.value) == nil else { return }
        reading.findings.report("regex", "'\(matcher.value)' must be a regular expression", at: location)
    }
}
