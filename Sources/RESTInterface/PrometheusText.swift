import RuleEngine

/// Writes metrics in Prometheus' text format 0.0.4: families with help and type, their samples in the order of labels.
///
///     var text = PrometheusText()
///     text.family("nodesphere_readings_total", .counter, "Readings taken in.", [.init(12)])
///     text.histogram("nodesphere_store_commit_seconds", "Time a commit took.", [.init(buckets: [(0.01, 3)], sum: 0.02, count: 3)])
public struct PrometheusText: Sendable {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public enum Kind: String, Sendable { case counter, gauge, untyped }

    public typealias Labels = [(name: String, value: String)]

    /// One value; labels may hold any text.
    public struct Sample: Sendable {
        public var labels: Labels
        public var value: Double
        public init(_ labels: Labels, _ value: Double) {
            self.labels = labels
            self.value = value
        }
        /// Above 2^53 the number is rounded, as whoever reads it would.
        public init(_ labels: Labels, _ value: some BinaryInteger) { self.init(labels, Double(value)) }
        public init(_ value: Double) { self.init([], value) }
        public init(_ value: some BinaryInteger) { self.init([], Double(value)) }
    }

    /// Observations counted by upper bounds.
    public struct Histogram: Sendable {
        public var labels: Labels
        /// Upper bounds, rising, each with how many observations were at most as large; without the infinite one.
        public var buckets: [(upperBound: Double, count: Int64)]
        public var sum: Double
        public var count: Int64
        public init(labels: Labels = [], buckets: [(upperBound: Double, count: Int64)], sum: Double, count: Int64) {
            self.labels = labels
            self.buckets = buckets
            self.sum = sum
            self.count = count
        }
    }

    public private(set) var text = ""

    public init() {}

    /// Writes a family; nothing when it has no samples. Names must follow Prometheus' rules (letters, digits, `_`): other characters become `_`. No two samples
    /// of a family may have the same labels.
    public mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        let name = Self.legal(name)
        head(name, kind.rawValue, help)
        for sample in samples.map({ (labels: Self.labels($0.labels), value: $0.value) }).sorted(by: { Self.precedes($0.labels, $1.labels) })
        {
            line(name, sample.labels, sample.value)
        }
    }

    public mutating func histogram(_ name: String, _ help: String, _ histograms: [Histogram]) {
        guard !histograms.isEmpty else { return }
        let name = Self.legal(name)
        head(name, "histogram", help)
        for histogram in histograms.sorted(by: { Self.precedes(Self.labels($0.labels), Self.labels($1.labels)) }) {
            for bucket in histogram.buckets + [(Double.infinity, histogram.count)] {
                line(name + "_bucket", Self.labels(histogram.labels + [("le", Self.number(bucket.upperBound))]), Double(bucket.count))
            }
            line(name + "_sum", Self.labels(histogram.labels), histogram.sum)
            line(name + "_count", Self.labels(histogram.labels), Double(histogram.count))
        }
    }

    private mutating func head(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: String, _ value: Double) { text += "\(name)\(labels) \(Self.number(value))\n" }

    private static func labels(_ labels: Labels) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\(legal($0.name))=\"\(escape($0.value, quotes: true))\"" }.joined(separator: ",") + "}"
    }

    private static func precedes(_ one: String, _ other: String) -> Bool { one.utf8.lexicographicallyPrecedes(other.utf8) }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value.shortest
    }

    private static func legal(_ name: String) -> String {
        var legal = ""
        for (index, scalar) in name.unicodeScalars.enumerated() {
            let isDigit = ("0"..."9").contains(scalar)
            let isAllowed =
                ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_" || scalar == ":" || isDigit && index > 0
            legal.unicodeScalars.append(isAllowed ? scalar : "_")
        }
        return legal.isEmpty ? "_" : legal
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
