import RuleEngine

/// `influx`, `every` and `offset` of a rule, and `with`.
struct QueryReader {
    let reading: FileReading

    /// The query of a rule; nil when something is wrong, all of which has been reported.
    func query(_ node: YAMLNode, every: Duration?, offset: Duration?) -> HistoryQuery? {
        guard let text = reading.name(node, "influx"), case .scalar(_, let style) = node.content else { return nil }
        let source = reading.file.sourceText(text, style, at: node.range)
        guard reading.isShortEnough(source) else { return nil }
        let query: QueryText
        do {
            query = try QueryText(text)
        } catch {
            reading.findings.report("influx", error.message, at: source.location(of: error.range), notes: error.notes)
            return nil
        }
        if !query.hasNow {
            reading.findings.add(
                Diagnostic(
                    .warning, code: "unbounded-query", "a query without now() reads all that was ever written, each time",
                    at: source.location(of: 0..<6), hint: "add WHERE time > now() - 15m"))
        }
        guard checkTags(query.tags ?? [], source), let every else { return nil }
        return HistoryQuery(
            parts: query.parts, tags: query.tags.map { $0.map(\.name) }, bucket: query.bucket, every: every, offset: offset ?? .zero)
    }

    /// Tags become labels and names.
    private func checkTags(_ tags: [(name: String, range: Range<Int>)], _ source: SourceText) -> Bool {
        var seen = Set<String>()
        var isGood = true
        for (name, range) in tags {
            var mistake: (code: String, message: String)?
            if !Names.isIdentifier(name) {
                mistake = ("label-name", "a tag that becomes a label is letters, digits and '_', and begins with no digit: '\(name)'")
            } else if name == "alertname" {
                mistake = ("reserved-name", "a tag cannot be named 'alertname': the label belongs to the rule's name")
            } else if let refusal = Names.refusal(name, of: "a tag") {
                mistake = ("reserved-name", refusal)
            } else if !seen.insert(name).inserted {
                mistake = ("duplicate-name", "GROUP BY names a tag once: '\(name)'")
            }
            guard let mistake else { continue }
            reading.findings.report(mistake.code, mistake.message, at: source.location(of: range))
            isGood = false
        }
        return isGood
    }

    // MARK: with

    private static let sideKeys = ["influx", "every", "offset"].map { KnownKey($0) }

    /// Side inputs; those that are wrong are reported and left out. `by` is what they are matched on, `taken` are names that they must not hide.
    func sides(_ node: YAMLNode, by: [String], taken: Set<String>) -> [SideInput] {
        (reading.entries(node, "with") ?? []).compactMap { entry in
            let isNamed = checkName(entry, taken)
            guard let mapping = MappingReader(entry.value, subject: "a side input", keys: Self.sideKeys, in: reading) else { return nil }
            let every = mapping.required("every").flatMap { reading.duration($0, "every", atLeast: .seconds(1)) }
            let offset = mapping["offset"].flatMap { reading.duration($0, "offset") }
            guard let node = mapping.required("influx"), let query = query(node, every: every, offset: offset), isNamed else { return nil }
            return checkMatch(query, entry, node, by) ? SideInput(name: entry.key, query: query) : nil
        }
    }

    private func checkName(_ entry: YAMLNode.Entry, _ taken: Set<String>) -> Bool {
        if !Names.isIdentifier(entry.key) {
            reading.report("label-name", "a side input's name is letters, digits and '_', and begins with no digit", at: entry.keyRange)
        } else if let refusal = Names.refusal(entry.key, of: "a side input") {
            reading.report("reserved-name", refusal, at: entry.keyRange)
        } else if taken.contains(entry.key) {
            reading.report(
                "duplicate-name", "'\(entry.key)' is a capture or a named expression and cannot be a side input too", at: entry.keyRange)
        } else {
            return true
        }
        return false
    }

    /// A series has to belong to an instance: each of its tags is a label that the instance has.
    private func checkMatch(_ query: HistoryQuery, _ entry: YAMLNode.Entry, _ node: YAMLNode, _ by: [String]) -> Bool {
        let known = by.isEmpty ? "the instances have no labels" : "labels of the instances: \(by.joined(separator: ", "))"
        guard let tags = query.tags else {
            reading.report(
                "influx", "'\(entry.key)' must name the tags that it is matched on: GROUP BY * and patterns do not", at: node.range,
                notes: [known])
            return false
        }
        guard let stranger = tags.first(where: { !by.contains($0) }) else { return true }
        reading.report(
            "influx", "'\(entry.key)' is matched on labels of the instances, and '\(stranger)' is none", at: node.range, notes: [known],
            hint: nearestName(to: stranger, in: by).map { "did you mean '\($0)'?" })
        return false
    }
}
