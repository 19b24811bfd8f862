/// One value of a field in a rule test.
public enum TestSample: Sendable, Equatable {
    /// The reading does not carry the field.
    case none
    case null
    case bool(Bool)
    /// NaN and the infinities too, which no JSON payload can hold.
    case number(Double)
    case text(String)
}

/// The values of a field at equal intervals, as runs, so that a week of samples takes a few bytes.
public struct TestSeries: Sendable, Equatable {
    public struct Run: Sendable, Equatable {
        public var first: TestSample
        /// Added from sample to sample, when they are numbers.
        public var step: Double
        public var count: Int

        public init(_ first: TestSample, step: Double = 0, count: Int = 1) {
            self.first = first
            self.step = step
            self.count = count
        }

        func sample(_ index: Int) -> TestSample {
            // Multiplied and not added up, so that rounding does not gather.
            if step != 0, case .number(let number) = first { return .number(number + step * Double(index)) }
            return first
        }
    }

    public var runs: [Run]
    public init(_ runs: [Run]) { self.runs = runs }

    /// How many samples there are, those that are not carried included; saturates.
    public var count: Int {
        runs.reduce(0) { sum, run in
            let (total, overflow) = sum.addingReportingOverflow(max(0, run.count))
            return overflow ? .max : total
        }
    }
}

/// Walks over a series, one sample at a time.
struct TestSeriesCursor {
    private let runs: [TestSeries.Run]
    private var run = 0
    private var index = 0
    /// The sample at hand; `.none` behind the end.
    private(set) var sample: TestSample
    /// Whether it may differ from the one before.
    private(set) var isNew = true

    init(_ series: TestSeries) {
        runs = series.runs.filter { $0.count > 0 }
        sample = runs.first?.first ?? .none
    }

    mutating func advance() {
        isNew = false
        guard run < runs.count else { return }
        index += 1
        if index == runs[run].count {
            run += 1
            index = 0
            sample = run < runs.count ? runs[run].first : .none
            isNew = true
        } else if runs[run].step != 0 {
            sample = runs[run].sample(index)
            isNew = true
        }
    }
}
