public import RuleEngine

/// What is recorded, how, and what InfluxDB is set up with.
public struct RecorderSettings: Sendable {
    public struct Measurement: Sendable {
        public var name: String
        /// Its captures are the tags, so every wildcard has one.
        public var topic: TopicFilter
        public var fields: FieldSelection
        /// Texts are only recorded where they are named.
        public var texts: FieldSelection
        /// The field that says when a reading was measured.
        public var timeField: String?
        /// The payload is text, whatever it looks like.
        public var isText: Bool
        public var retention: String?

        public init(
            name: String, topic: TopicFilter, fields: FieldSelection = .init(.all), texts: FieldSelection = .init(.none),
            timeField: String? = nil, isText: Bool = false, retention: String? = nil
        ) {
            self.name = name
            self.topic = topic
            self.fields = fields
            self.texts = texts
            self.timeField = timeField
            self.isText = isText
            self.retention = retention
        }
    }

    public struct Retention: Sendable {
        public var name: String
        /// Nil: for ever.
        public var duration: Duration?
        /// Nil: as InfluxDB chooses.
        public var shard: Duration?
        /// Whether it is where points without a policy of their own go.
        public var isDefault: Bool

        public init(name: String, duration: Duration?, shard: Duration? = nil, isDefault: Bool = false) {
            self.name = name
            self.duration = duration
            self.shard = shard
            self.isDefault = isDefault
        }
    }

    /// A measurement made of another one by a continuous query, under its own name.
    public struct Downsampling: Sendable {
        public static let functions = ["count", "first", "last", "max", "mean", "median", "min", "mode", "spread", "stddev", "sum"]

        public var name: String
        /// The name of a recorded measurement.
        public var source: String
        public var every: Duration
        public var functions: [String]
        public var retention: String?
        /// How far back it is computed again each time, for readings that come late.
        public var resample: Duration?

        public init(
            name: String, source: String, every: Duration, functions: [String], retention: String? = nil, resample: Duration? = nil
        ) {
            self.name = name
            self.source = source
            self.every = every
            self.functions = functions
            self.retention = retention
            self.resample = resample
        }
    }

    public var measurements: [Measurement]
    public var retentions: [Retention]
    public var downsamplings: [Downsampling]
    /// Points in one request at most.
    public var batchSize = 5_000
    /// A point waits at most so long for others.
    public var batchInterval = Duration.seconds(1)
    /// Bytes of readings that wait to be taken up, and again of lines that wait to be written.
    public var queueSize = 64 << 20
    /// Bytes on the disk.
    public var spoolSize: Int64 = 1 << 30

    public init(measurements: [Measurement], retentions: [Retention] = [], downsamplings: [Downsampling] = []) {
        self.measurements = measurements
        self.retentions = retentions
        self.downsamplings = downsamplings
    }

    /// A request's body is not longer: what stands before InfluxDB often takes no more than 1 MiB.
    static let longestBatch = 1_000_000

    // MARK: What is wrong with it

    /// In the words of `recorder.*`; empty when all is well.
    public func mistakes() -> [String] {
        var mistakes: [String] = []
        if measurements.isEmpty { mistakes.append("'recorder.enabled' needs at least one measurement under 'recorder.measurements'") }
        mistakes += measurements.flatMap(mistakes(in:)) + retentions.flatMap(mistakes(in:)) + downsamplings.flatMap(mistakes(in:))
        if retentions.count(where: \.isDefault) > 1 { mistakes.append("only one of 'recorder.retention' can be the default") }
        let measured = Set(measurements.map(\.name))
        for downsampling in downsamplings where measured.contains(downsampling.name) {
            mistakes.append("'\(downsampling.name)' cannot be both a measurement and a downsampling: they would be one measurement")
        }
        return mistakes
    }

    /// Letters, digits, `_` and `-`: names that need no escape in a query.
    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: "_"), first != UInt8(ascii: "-"), text.utf8.count <= 200 else {
            return false
        }
        return text.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "_")
                || $0 == UInt8(ascii: "-")
        }
    }

    private static func nameMistakes(_ kind: String, _ name: String) -> [String] {
        isName(name) ? [] : ["'recorder.\(kind).\(name)': a name is letters, digits, '_' and '-', and begins with a letter or digit"]
    }

    private func policyMistakes(_ key: String, _ policy: String?) -> [String] {
        guard let policy, !retentions.contains(where: { $0.name == policy }) else { return [] }
        return ["'\(key).retention': there is no '\(policy)' under 'recorder.retention'"]
    }

    private func mistakes(in measurement: Measurement) -> [String] {
        let key = "recorder.measurements.\(measurement.name)"
        var mistakes = Self.nameMistakes("measurements", measurement.name) + policyMistakes(key, measurement.retention)
        let hasUnnamed = measurement.topic.levels.contains { level in
            switch level {
            case .any(capture: nil), .rest(capture: nil): true
            default: false
            }
        }
        if hasUnnamed {
            mistakes.append(
                "'\(key).topic': every wildcard needs a name, such as {device}: without a tag of its own, readings of two topics become one point"
            )
        }
        if measurement.topic.share != nil { mistakes.append("'\(key).topic': '$share' is not used here; it is 'mqtt.share_group'") }
        for capture in measurement.topic.captures where PointLines.reservedTags.contains(capture) {
            mistakes.append("'\(key).topic': a tag cannot be called '\(capture)' in InfluxDB")
        }
        return mistakes
    }

    private func mistakes(in retention: Retention) -> [String] {
        let key = "recorder.retention.\(retention.name)"
        var mistakes = Self.nameMistakes("retention", retention.name)
        for (member, length) in [("duration", retention.duration), ("shard", retention.shard)] {
            if let length, length < .seconds(3600) { mistakes.append("'\(key).\(member)' must be at least 1h: InfluxDB takes no less") }
        }
        if let shard = retention.shard, let duration = retention.duration, shard > duration {
            mistakes.append("'\(key).shard' cannot be longer than 'duration'")
        }
        return mistakes
    }

    private func mistakes(in downsampling: Downsampling) -> [String] {
        let key = "recorder.downsampling.\(downsampling.name)"
        var mistakes = Self.nameMistakes("downsampling", downsampling.name) + policyMistakes(key, downsampling.retention)
        if !measurements.contains(where: { $0.name == downsampling.source }) {
            mistakes.append("'\(key).from': there is no '\(downsampling.source)' under 'recorder.measurements'")
        }
        if downsampling.every < .seconds(1) { mistakes.append("'\(key).every' must be at least 1s") }
        if let resample = downsampling.resample, resample < downsampling.every {
            mistakes.append("'\(key).resample' must be at least 'every'")
        }
        if downsampling.functions.isEmpty { mistakes.append("'\(key).functions' names no function") }
        for function in downsampling.functions where !Downsampling.functions.contains(function) {
            mistakes.append("'\(key).functions': '\(function)' is none of \(Downsampling.functions.joined(separator: ", "))")
        }
        return mistakes
    }
}
