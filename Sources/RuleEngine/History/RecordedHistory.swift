/// How far back shifted windows reach by the engine's own samples, and where those that reach further find theirs: in what is recorded of the readings.
public struct RecordedHistory: Sendable, Hashable {
    /// Readings of topics as the store of time series has them.
    public struct Measurement: Sendable, Hashable {
        public var name: String
        /// Whose readings are in it; its captures are the tags, members of the payload the fields.
        public var topic: TopicFilter
        /// Nil: the database's default.
        public var retention: String?
        /// The member of the payload that says when it was measured.
        public var timeField: [String]?
        /// Paths of the members that are recorded; nil: all but elements of arrays.
        public var fields: Set<String>?

        public init(
            _ name: String, topic: TopicFilter, retention: String? = nil, timeField: [String]? = nil, fields: Set<String>? = nil
        ) {
            self.name = name
            self.topic = topic
            self.retention = retention
            self.timeField = timeField
            self.fields = fields
        }

        func has(_ field: String) -> Bool { fields.map { $0.contains(field) } ?? !field.utf8.contains(UInt8(ascii: "[")) }
    }

    /// Nil: without bound; every window is of the engine's own samples.
    public var ownReach: Duration?
    public var measurements: [Measurement]
    /// Whether the measurements are known: `check` may look at rules without a server's configuration.
    public var isKnown: Bool

    public init(ownReach: Duration?, measurements: [Measurement] = [], isKnown: Bool = true) {
        self.ownReach = ownReach
        self.measurements = measurements
        self.isKnown = isKnown
    }

    /// Every window is of the engine's own samples, however far back it reaches.
    public static let none = RecordedHistory(ownReach: nil)

    /// Where a field of a rule's topics is found; nil when no measurement has all its readings, or none tells the instances apart.
    func selection(of field: String, _ subscriptions: [TopicSubscription], by: [String]) -> RecordedSelection? {
        for measurement in measurements where measurement.has(field) {
            let found = subscriptions.map { measurement.selection(of: $0, by: by) }
            if let first = found.first, let selection = first, found.allSatisfy({ $0 == selection }) { return selection }
        }
        return nil
    }
}

/// The series of a measurement that are a rule's instances.
struct RecordedSelection: Hashable {
    var measurement: RecordedHistory.Measurement
    /// The tags that tell instances apart, in the order of `by`.
    var tags: [String]
    /// Tags that have one value: the measurement's topic leaves open what the rule's says.
    var conditions: [Condition]

    struct Condition: Hashable {
        var tag: String
        var value: String
    }

    /// The beginning of a query for a field, up to the condition on time, and its end from there on.
    func query(of field: String) -> (head: String, tail: String) {
        let policy = measurement.retention.map { "\(Self.name($0))." } ?? ""
        let conditions = conditions.map { " AND \(Self.name($0.tag)) = \(Self.text($0.value))" }.joined()
        let groups = tags.isEmpty ? "" : " GROUP BY \(tags.map(Self.name).joined(separator: ", "))"
        return ("SELECT \(Self.name(field)) FROM \(policy)\(Self.name(measurement.name)) WHERE ", conditions + groups)
    }

    private static func name(_ text: String) -> String { quoted(text, "\"") }
    private static func text(_ text: String) -> String { quoted(text, "'") }

    /// InfluxQL: a quotation mark and a backslash stand behind a backslash, a line feed is `\n`.
    private static func quoted(_ text: String, _ mark: Character) -> String {
        var quoted = String(mark)
        for scalar in text.unicodeScalars {
            if scalar == "\n" {
                quoted += "\\n"
                continue
            }
            if Character(scalar) == mark || scalar == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + String(mark)
    }
}

extension RecordedHistory.Measurement {
    func selection(of subscription: TopicSubscription, by: [String]) -> RecordedSelection? {
        guard subscription.timeField == timeField, subscription.valueAs == nil, case .automatic = subscription.decoder else { return nil }
        var match = TopicMatch()
        guard match.take(subscription.filter.levels[...], topic.levels[...]) else { return nil }
        let tags = by.compactMap { match.tags[$0] }
        guard tags.count == by.count else { return nil }
        return RecordedSelection(measurement: self, tags: tags, conditions: match.conditions)
    }
}

/// Whether every topic of one filter is one of another, and what the captures of both have to do with each other.
private struct TopicMatch {
    /// By the capture of the rule's filter.
    var tags: [String: String] = [:]
    var conditions: [RecordedSelection.Condition] = []

    mutating func take(_ rule: ArraySlice<TopicFilter.Level>, _ recorded: ArraySlice<TopicFilter.Level>) -> Bool {
        guard let wanted = rule.first, let level = recorded.first else { return rule.isEmpty && recorded.isEmpty }
        switch (level, wanted) {
        case (.literal(let one), .literal(let other)):
            guard one.utf8.elementsEqual(other.utf8) else { return false }
        case (.any(let tag?), .literal(let value)): conditions.append(.init(tag: tag, value: value))
        case (.any(let tag), .any(let capture)): note(capture, tag)
        case (.rest(let tag), .rest(let capture)):
            note(capture, tag)
            return true
        case (.rest(let tag?), _): return takeRest(rule, tag)
        case (.literal, _), (.any, _), (.rest(nil), _): return false
        }
        return take(rule.dropFirst(), recorded.dropFirst())
    }

    private mutating func note(_ capture: String?, _ tag: String?) {
        if let capture, let tag { tags[capture] = tag }
    }

    /// Several levels of the rule's topic are one tag: they have to be written out.
    private mutating func takeRest(_ rule: ArraySlice<TopicFilter.Level>, _ tag: String) -> Bool {
        var names: [String] = []
        for level in rule {
            guard case .literal(let name) = level else { return false }
            names.append(name)
        }
        conditions.append(.init(tag: tag, value: names.joined(separator: "/")))
        return true
    }
}
