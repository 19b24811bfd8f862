/// Figures of one metric of one case, from repeated runs.
public struct Samples: Sendable {
    /// In rising order.
    public let values: [Double]

    /// Nil without values.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        self.values = values.sorted()
    }

    public var median: Double {
        let middle = values.count / 2
        return values.count.isMultiple(of: 2) ? (values[middle - 1] + values[middle]) / 2 : values[middle]
    }
    public var least: Double { values[0] }
    public var most: Double { values[values.count - 1] }

    /// The smallest value that at least this share of all values does not exceed (nearest rank); `share` from 0 to 1.
    public func percentile(_ share: Double) -> Double {
        let rank = Int((share * Double(values.count)).rounded(.up))
        return values[min(max(rank, 1), values.count) - 1]
    }
}

/// Prints results as they come: a table for people, or one JSON object a line.
public struct Report {
    private let benchmark: String
    private let isJSON: Bool

    public init(_ benchmark: String, isJSON: Bool) {
        self.benchmark = benchmark
        self.isJSON = isJSON
        if !isJSON { print(Self.row("case", "metric", "median", "min", "max", "reference", "ratio")) }
    }

    /// `ratio` is the median against the reference's median, unless runs were taken in pairs: then the median of the pairs' ratios.
    public func write(_ name: String, _ metric: String, _ samples: Samples, reference: Samples? = nil, pairRatios: Samples? = nil) {
        let beside = reference?.median
        let ratio = pairRatios?.median ?? beside.flatMap { $0 == 0 ? nil : samples.median / $0 }
        if isJSON {
            print(
                #"{"benchmark":"\#(benchmark)","case":"\#(name)","metric":"\#(metric)","median":\#(text(samples.median)),"#
                    + #""min":\#(text(samples.least)),"max":\#(text(samples.most)),"#
                    + #""reference":\#(text(beside)),"ratio":\#(text(ratio))}"#)
        } else {
            print(
                Self.row(
                    name, metric, text(samples.median), text(samples.least), text(samples.most), beside.map(text) ?? "-",
                    ratio.map(text) ?? "-"))
        }
        // A run takes minutes; whoever reads the output through a pipe sees each result when it is there.
        flushOutput()
    }

    /// Four significant digits are more than such measurements carry.
    private func text(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "null" }
        if value == 0 { return "0" }
        let places: Double = abs(value) >= 1000 ? 1 : abs(value) >= 10 ? 100 : 10_000
        let rounded = (value * places).rounded() / places
        guard rounded == rounded.rounded(), let whole = Int(exactly: rounded) else { return "\(rounded)" }
        return "\(whole)"
    }

    private static func row(_ name: String, _ metric: String, _ figures: String...) -> String {
        padded(name, 32) + padded(metric, 34) + figures.map { String(repeating: " ", count: max(1, 11 - $0.utf8.count)) + $0 }.joined()
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.utf8.count))
    }
}
