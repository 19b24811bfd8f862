import RuleEngine

/// What windows have to say, computed anew from all samples every time.
struct NaiveWindow {
    private(set) var samples: [Sample] = []

    mutating func add(_ sample: Sample, besideOthers: Bool = false) {
        if besideOthers { return samples.insert(sample, at: firstIndex(after: sample.at)) }
        let index = firstIndex(after: sample.at + -1)
        if index < samples.count, samples[index].at == sample.at { samples[index] = sample } else { samples.insert(sample, at: index) }
    }

    private func firstIndex(after instant: Instant) -> Int {
        var (low, high) = (0, samples.count)
        while low < high {
            let middle = (low + high) / 2
            if samples[middle].at <= instant { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The value and the error that rounding may excuse.
    func value(_ window: WindowSpecification, at now: Instant) -> (value: WindowValue, tolerance: Double)? {
        let end = now + -window.shift
        var lower: Instant?
        var inside = samples[..<firstIndex(after: end)]
        switch window.extent {
        case .time(let length):
            lower = end + -length
            inside = inside[firstIndex(after: end + -length)...]
        case .count(let count): inside = inside.suffix(count)
        }
        return value(window, Array(inside), lower, end, now)
    }

    private func value(
        _ window: WindowSpecification, _ inside: [Sample], _ lower: Instant?, _ end: Instant, _ now: Instant
    ) -> (value: WindowValue, tolerance: Double)? {
        if window.function == .duration || window.function == .share {
            return held(inside, lower, end, share: window.function == .share).map { ($0, 1e-12) }
        }
        if window.function == .present { return (.truth(!inside.isEmpty), 0) }
        if window.function == .absent { return (.truth(inside.isEmpty), 0) }
        if window.function == .any || window.function == .all { return (.truth(holds(window, inside)), 0) }
        guard let first = inside.first, let last = inside.last else { return nil }
        let values = inside.map(\.value)
        let n = Double(values.count)
        let size = values.reduce(0) { max($0, $1.isFinite ? abs($1) : 0) }
        func number(_ value: Double, _ tolerance: Double = 0) -> (WindowValue, Double)? { (.number(value), tolerance) }
        switch window.function {
        case .count: return number(n)
        case .sum: return number(total(values), size * n * 1e-28)
        case .avg: return number(total(values) / n, size * 1e-28)
        case .stdvar: return number(variance(values))
        case .stddev: return number(variance(values).squareRoot())
        case .zscore:
            let deviation = variance(values).squareRoot()
            return number(deviation == 0 ? 0 : (last.value - total(values) / n) / deviation, 1e-12)
        case .last: return number(last.value)
        case .first: return number(first.value)
        case .tsOfLast: return (.instant(last.at), 0)
        case .tsOfFirst: return (.instant(first.at), 0)
        case .min, .max, .tsOfMin, .tsOfMax: return extreme(inside, window.function)
        case .quantile(let q): return number(quantile(q, values))
        case .mad:
            if values.contains(where: \.isNaN) { return number(.nan) }
            let median = quantile(0.5, values)
            return number(median.isFinite ? quantile(0.5, values.map { abs($0 - median) }) : .nan)
        case .changes, .resets, .delta, .increase, .rate, .idelta, .irate: return steps(inside, window.function, size)
        case .deriv, .predictLinear: return line(inside, window.function, now, size)
        default: return nil
        }
    }

    private func holds(_ window: WindowSpecification, _ inside: [Sample]) -> Bool {
        let numbers = inside.map(\.value).filter { !$0.isNaN }
        if window.function == .any { return numbers.contains { $0 > 0 } }
        guard case .count(inside.count) = window.extent else { return false }
        return !numbers.isEmpty && numbers.allSatisfy { $0 > 0 }
    }

    private func extreme(_ samples: [Sample], _ function: WindowFunction) -> (WindowValue, Double)? {
        let numbers = samples.filter { !$0.value.isNaN }
        let isLeast = function == .min || function == .tsOfMin
        let wanted = isLeast ? numbers.map(\.value).min() : numbers.map(\.value).max()
        guard let found = wanted.map({ wanted in numbers.last { $0.value == wanted } }) ?? samples.last else { return nil }
        return (function == .min || function == .max ? .number(found.value) : .instant(found.at), 0)
    }

    private func steps(_ samples: [Sample], _ function: WindowFunction, _ size: Double) -> (WindowValue, Double)? {
        let pairs = Array(zip(samples, samples.dropFirst()))
        if function == .changes {
            return (.number(Double(pairs.count { $0.value != $1.value && !($0.value.isNaN && $1.value.isNaN) })), 0)
        }
        if function == .resets { return (.number(Double(pairs.count { $1.value < $0.value })), 0) }
        guard let before = pairs.last, let first = samples.first, let last = samples.last else { return nil }
        if function == .idelta { return (.number(last.value - before.0.value), 0) }
        if function == .irate {
            guard let before = samples.last(where: { $0.at < last.at }) else { return nil }
            let step = last.value < before.value ? last.value : last.value - before.value
            return (.number(step / (Double(last.at - before.at) / 1e9)), 0)
        }
        let delta = last.value - first.value
        if function == .delta { return (.number(delta), 0) }
        let falls = pairs.filter { $1.value < $0.value }.map(\.0.value)
        let increase = falls.isEmpty ? delta : delta + total(falls)
        let seconds = Double(last.at - first.at) / 1e9
        if function == .rate, seconds == 0 { return nil }
        // What the first and the last sample lose in their difference is lost in both.
        return function == .increase ? (.number(increase), size * 1e-15) : (.number(increase / seconds), size * 1e-15 / seconds)
    }

    private func line(_ samples: [Sample], _ function: WindowFunction, _ now: Instant, _ size: Double) -> (WindowValue, Double)? {
        guard samples.count > 1 else { return nil }
        let times = samples.map { Double($0.at - samples[0].at) / 1e9 }
        let values = samples.map(\.value)
        let n = Double(samples.count)
        let isConstant = values.allSatisfy { $0 == values[0] }
        let (meanTime, meanValue) = (total(times) / n, total(values) / n)
        let spread = total(times.map { ($0 - meanTime) * ($0 - meanTime) })
        guard spread > 0 else { return nil }
        var slope = total(zip(times, values).map { ($0 - meanTime) * ($1 - meanValue) }) / spread
        if isConstant { slope = values[0].isFinite ? 0 : .nan }
        let error = size * 1e-13 * n / spread.squareRoot()
        guard case .predictLinear(let ahead) = function else { return (.number(slope), error) }
        let reach = Double(now - samples[0].at) / 1e9 + Double(ahead) / 1e9
        return (.number(isConstant ? meanValue : meanValue + slope * (reach - meanTime)), size * 1e-13 + error * (abs(reach) + meanTime))
    }

    private func held(_ inside: [Sample], _ lower: Instant?, _ end: Instant, share: Bool) -> WindowValue? {
        var states = inside
        if let lower, let before = samples[..<firstIndex(after: lower)].last {
            states.insert(Sample(at: lower, value: before.value), at: 0)
        }
        guard let first = states.first else { return nil }
        var held: Int64 = 0
        for (index, state) in states.enumerated() where state.value != 0 && !state.value.isNaN {
            held += (index + 1 < states.count ? states[index + 1].at : end) - state.at
        }
        if !share { return .duration(held) }
        return end - first.at > 0 ? .number(Double(held) / Double(end - first.at)) : nil
    }

    private func variance(_ values: [Double]) -> Double {
        guard values.allSatisfy(\.isFinite) else { return .nan }
        let n = Double(values.count)
        let mean = total(values) / n
        let rest = total(values.map { $0 - mean }) / n
        return total(values.map { ($0 - mean - rest) * ($0 - mean - rest) }) / n
    }

    private func quantile(_ q: Double, _ values: [Double]) -> Double {
        let sorted = values.sorted { $0.isNaN ? !$1.isNaN : $0 < $1 }
        if q.isNaN { return .nan }
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        let rank = q * Double(sorted.count - 1)
        let low = Int(rank)
        let weight = rank - Double(low)
        return weight == 0 ? sorted[low] : sorted[low] * (1 - weight) + sorted[min(low + 1, sorted.count - 1)] * weight
    }

    /// Kahan and Babuška's sum; infinities as IEEE 754 has them.
    private func total(_ values: [Double]) -> Double {
        guard values.allSatisfy(\.isFinite) else { return values.reduce(0, +) }
        var (sum, error) = (0.0, 0.0)
        for value in values {
            let next = sum + value
            error += abs(sum) >= abs(value) ? (sum - next) + value : (value - next) + sum
            sum = next
        }
        return (sum + error).isFinite ? sum + error : sum
    }
}

/// Whether two answers are the same: numbers within 1e-9 of each other and of what rounding excuses.
func agree(_ found: WindowValue?, _ expected: (value: WindowValue, tolerance: Double)?) -> Bool {
    guard let found, let expected else { return found == nil && expected == nil }
    guard case .number(let number) = found, case .number(let wanted) = expected.value else { return found == expected.value }
    if number.isNaN || wanted.isNaN { return number.isNaN && wanted.isNaN }
    return number == wanted || abs(number - wanted) <= abs(wanted) * 1e-9 + expected.tolerance
}

/// SplitMix64: the same stream on every machine.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
