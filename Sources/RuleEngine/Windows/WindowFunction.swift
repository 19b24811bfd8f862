/// What is asked of a window. The meaning is PromQL's, sample by sample, with these differences:
///
/// * `delta`, `increase` and `rate` do not extrapolate to the edges of the window: `delta` is the newest sample less the oldest, `increase` is the
///   same with what was lost at counter resets (a sample lower than the one before it) added back, and `rate` is `increase` over the seconds from
///   the oldest sample to the newest. Each needs two samples. A counter that counts in whole steps therefore increases by whole steps.
/// * `present`, `absent`, `any` and `all` are truth values, the `ts_of_…` functions instants.
/// * `predict_linear` is the line through the window's samples, `ahead` after the instant asked for, also where the window is shifted back.
///
/// NaN: `avg`, `sum`, `stddev`, `stdvar`, `zscore`, `mad`, `deriv` and `predict_linear` are NaN while the window holds one; `min` and `max` see it only where there is
/// nothing else; quantiles order it below everything; two NaN in a row are no change. Infinities of both signs sum to NaN.
public enum WindowFunction: Hashable, Sendable {
    case avg, min, max, sum, count
    /// Of the population, as in PromQL: divided by n.
    case stddev, stdvar
    case last, first
    /// Linear interpolation between the two nearest ranks; -Inf below 0, +Inf above 1, NaN for NaN.
    case quantile(Double)
    /// The median of the distances to the median.
    case mad
    case present, absent
    /// Whether a condition was true at a sample of the window; false where there is none.
    case any
    /// Whether a condition was true at each of the newest so many samples; false while there are fewer.
    case all
    case changes, resets
    case delta, idelta, increase, rate, irate
    /// The slope of the least-squares line, per second.
    case deriv
    /// The value of the least-squares line so many nanoseconds after the instant asked for.
    case predictLinear(ahead: Int64)
    case tsOfMin, tsOfMax, tsOfLast, tsOfFirst
    /// The mean of all samples so far, each weighted by 2^(-age/halflife) (nanoseconds): pandas' `ewm(halflife:times:)`. Infinities and NaN are left out:
    /// they would stay for ever. It has no window.
    case ewma(halflife: Int64)
    /// How many standard deviations the newest sample is from the mean of the window; 0 where all are equal.
    case zscore
    /// The time for which a condition held: a sample holds until the next one, and the newest one before the window until the first one in it.
    /// A sample is true when it is not 0 and not NaN.
    case duration
    /// `duration` over the part of the window that is known, which begins with the first sample ever seen.
    case share
}

/// What a window takes as a sample.
public enum SampleKind: Sendable {
    /// Numbers, truth values, and texts that are wholly a number.
    case numbers
    /// These and any text: samples are only compared with each other.
    case texts
    /// Whatever there is: only that it came, and when, matters.
    case anything
}

extension WindowFunction {
    /// The stems of the names under which rules call the functions.
    public enum Stem: String, CaseIterable, Sendable {
        case avg, min, max, sum, count, stddev, stdvar, last, first, quantile, mad, present, absent, any, all
        case changes, resets, delta, idelta, increase, rate, irate, deriv, zscore, ewma, duration, share
        case predictLinear = "predict_linear"
        case tsOfMin = "ts_of_min"
        case tsOfMax = "ts_of_max"
        case tsOfLast = "ts_of_last"
        case tsOfFirst = "ts_of_first"

        /// PromQL's name over a length of time: with `_over_time`, but for those that have never had it.
        public var overTimeName: String {
            switch self {
            case .changes, .resets, .delta, .idelta, .increase, .rate, .irate, .deriv, .predictLinear, .zscore, .ewma: rawValue
            default: rawValue + "_over_time"
            }
        }

        /// The name over a number of samples; nil for `ewma`, which has no window.
        public var overLastName: String? { self == .ewma ? nil : rawValue + "_over_last" }

        /// Whether the first argument is a number (φ) before the expression.
        public var takesQuantile: Bool { self == .quantile }

        /// Whether the samples are of a condition instead of a number.
        public var takesCondition: Bool { [.duration, .share, .any, .all].contains(self) }

        /// What samples have to be.
        public var samples: SampleKind {
            switch self {
            case .changes: .texts
            case .count, .present, .absent, .tsOfFirst, .tsOfLast: .anything
            default: .numbers
            }
        }

        /// The function; `parameter` is φ of `quantile`, or nanoseconds: `ahead` of `predict_linear`, the half-life of `ewma`. Nil when it is missing.
        public func function(quantile: Double? = nil, nanoseconds: Int64? = nil) -> WindowFunction? {
            switch self {
            case .avg: .avg
            case .min: .min
            case .max: .max
            case .sum: .sum
            case .count: .count
            case .stddev: .stddev
            case .stdvar: .stdvar
            case .last: .last
            case .first: .first
            case .quantile: quantile.map { .quantile($0) }
            case .mad: .mad
            case .present: .present
            case .absent: .absent
            case .any: .any
            case .all: .all
            case .changes: .changes
            case .resets: .resets
            case .delta: .delta
            case .idelta: .idelta
            case .increase: .increase
            case .rate: .rate
            case .irate: .irate
            case .deriv: .deriv
            case .zscore: .zscore
            case .ewma: nanoseconds.flatMap { $0 > 0 ? .ewma(halflife: $0) : nil }
            case .duration: .duration
            case .share: .share
            case .predictLinear: nanoseconds.map { .predictLinear(ahead: $0) }
            case .tsOfMin: .tsOfMin
            case .tsOfMax: .tsOfMax
            case .tsOfLast: .tsOfLast
            case .tsOfFirst: .tsOfFirst
            }
        }
    }

    /// What a name of a call means: `avg_over_time`, `changes`, `avg_over_last`; nil for other names.
    public static func named(_ name: some StringProtocol) -> (stem: Stem, overLast: Bool)? {
        for stem in Stem.allCases {
            if stem.overTimeName == name { return (stem, false) }
            if let overLast = stem.overLastName, overLast == name { return (stem, true) }
        }
        return nil
    }
}
