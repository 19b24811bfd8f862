import RuleEngine

/// `influx`, `every` and `offset` of a rule, and `with`.
struct QueryReader {
    let reading: FileReading

    /// A query, or what can be read of one that is wrong.
    struct Found {
        var query: HistoryQuery
        /// Whether by which tags the answer is grouped is known.
        var isWhole: Bool
    }

    /// What is wrong is reported, but that there is no `every`.
    func query(_ node: YAMLNode, every: Duration?, offset: Duration?) -> Found {
        var found = Found(query: HistoryQuery(parts: [], tags: [], every: every ?? .seconds(1), offset: offset ?? .zero), isWhole: false)
        guard let text = reading.name(node, "influx"), case .scalar(_, let style) = node.content else { return found }
        let source = reading.file.sourceText(text, style, at: node.range)
        guard reading.isShortEnough(source) else { return found }
        let query = QueryText(text)
        for mistake in query.mistakes {
            reading.findings.report("influx", mistake.message, at: source.location(of: mistake.range))
        }
        if !query.hasNow, query.isWhole {
            reading.findings.add(
                Diagnostic(
                    .warning, code: "unbounded-query", "a query without now() reads all that was ever written, each time",
                    at: source.location(of: 0..<6), hint: "add WHERE time > now() - 15m"))
        }
        let tags = query.tags.map { good($0, source) }
        found.query.parts = query.parts
        found.query.tags = tags
        found.query.bucket = query.bucket
        found.isWhole = query.isWhole && tags?.count == query.tags?.count
        return found
    }

    /// Tags become labels and names: without those that cannot.
    private func good(_ tags: [(name: String, range: Range<Int>)], _ source: SourceText) -> [String] {
        var good: [String] = []
        for (name, range) in tags {
            var mistake: (code: String, message: String)?
            if !Names.isIdentifier(name) {
                mistake = ("label-name", "a tag that becomes a label is letters, digits and '_', and begins with no digit: '\(name)'")
            } else if name == "alertname" {
                mistake = ("reserved-name", "a tag cannot be named 'alertname': the label belongs to the rule's name")
            } else if let refusal = Names.refusal(name, of: "a tag") {
                mistake = ("reserved-name", refusal)
            } else if good.contains(name) {
                mistake = ("duplicate-name", "GROUP BY names a tag once: '\(name)'")
            }
            guard let mistake else {
                good.append(name)
                continue
            }
            reading.findings.report(mistake.code, mistake.message, at: source.location(of: range))
        }
        return good
    }

    // MARK: with

    private static let sideKeys = ["influx", "every", "offset"].map { KnownKey($0) }

    /// Side inputs. `by` is what they are matched on, nil when that is not known; `taken` are names that they must not hide.
    func sides(_ node: YAMLNode, by: [String]?, taken: Set<String>) -> [SideInput] {
        (reading.entries(node, "with") ?? []).compactMap { entry in
            let isNamed = checkName(entry, taken)
            // One that is wrong stands for what it would have been in the rule's expressions.
            let query = side(entry, by) ?? HistoryQuery(parts: [], tags: [], every: .seconds(1))
            return isNamed ? SideInput(name: entry.key, query: query) : nil
        }
    }

    private func side(_ entry: YAMLNode.Entry, _ by: [String]?) -> HistoryQuery? {
        guard let mapping = MappingReader(entry.value, subject: "a side input", keys: Self.sideKeys, in: reading) else { return nil }
        let every = mapping.required("every").flatMap { reading.duration($0, "every", atLeast: .seconds(1)) }
        let offset = mapping["offset"].flatMap { reading.duration($0, "offset") }
        guard let node = mapping.required("influx") else { return nil }
        let found = query(node, every: every, offset: offset)
        if found.isWhole, let by { checkMatch(found.query, entry, node, by) }
        return found.query
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
    private func checkMatch(_ query: HistoryQuery, _ entry: YAMLNode.Entry, _ node: YAMLNode, _ by: [String]) {
        let known = by.isEmpty ? "the instances have no labels" : "labels of the instances: \(by.joined(separator: ", "))"
        guard let tags = query.tags else {
            reading.report(
                "influx", "'\(entry.key)' must name the tags that it is matched on: GROUP BY * and patterns do not", at: node.range,
                notes: [known])
            return
        }
        for stranger in tags where !by.contains(stranger) {
            reading.report(
                "influx", "'\(entry.key)' is matched on labels of the instances, and '\(stranger)' is none", at: node.range, notes: [known],
                hint: nearestName(to: stranger, in: by).map { "did you mean '\($0)'?" })
        }
    }
}
