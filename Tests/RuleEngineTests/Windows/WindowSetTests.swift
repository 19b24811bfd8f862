import Testing

@testable import RuleEngine

@Suite struct WindowSetTests {
    static let second: Int64 = 1_000_000_000

    static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * second) }

    static func filled(_ window: WindowSpecification, _ samples: [(Int64, Double)], limit: Int = WindowPlan.defaultSampleLimit) -> WindowSet
    {
        var windows = WindowSet(WindowPlan([.init(text: "x", windows: [window])], sampleLimit: limit))
        for (seconds, value) in samples { windows.add(Sample(at: at(seconds), value: value), to: 0, at: at(seconds)) }
        return windows
    }

    @Test(arguments: [
        (WindowFunction.count, 5.0 as Double?), (.sum, 150), (.avg, 30), (.last, 50), (.delta, 40), (.increase, 40), (.idelta, 10),
        (.changes, 4),
        (.rate, nil), (.irate, nil), (.deriv, nil), (.predictLinear(ahead: 1), nil),
    ])
    func `samples of one instant stand beside each other, and say nothing of how fast`(function: WindowFunction, expected: Double?) {
        var windows = Self.filled(.init(function, over: .seconds(10)), [])
        for value in [10.0, 20, 30, 40, 50] { windows.add(Sample(at: Self.at(5), value: value), to: 0, at: Self.at(5), besideOthers: true) }
        #expect(windows.value(of: 0, at: Self.at(5)) == expected.map { .number($0) })
        // With a sample before them there is a rate again.
        var longer = Self.filled(.init(function, over: .seconds(10)), [(3, 0)])
        for value in [10.0, 20] { longer.add(Sample(at: Self.at(5), value: value), to: 0, at: Self.at(5), besideOthers: true) }
        guard let value = longer.value(of: 0, at: Self.at(5))?.asNumber else { return #expect(Bool(false)) }
        if [.rate, .irate].contains(function) { #expect(value == 10) }
        #expect(longer.sampleCount(of: 0) == 3)
    }

    @Test func `a late sample of a group stands beside those of its instant`() {
        var windows = Self.filled(.init(.count, over: .seconds(10)), [(1, 1), (2, 2), (3, 3)])
        for _ in 0..<3 { windows.add(Sample(at: Self.at(2), value: 7), to: 0, at: Self.at(3), besideOthers: true) }
        #expect(windows.value(of: 0, at: Self.at(3)) == .number(6))
        windows.add(Sample(at: Self.at(2), value: 7), to: 0, at: Self.at(3))
        #expect(windows.value(of: 0, at: Self.at(3)) == .number(6))
    }

    @Test func `a window begins after its left edge and ends with its right`() {
        var windows = Self.filled(.init(.avg, over: .seconds(10)), [(0, 0), (5, 5), (10, 10)])
        #expect(windows.value(of: 0, at: Self.at(10)) == .number(7.5))
    }

    @Test(arguments: [
        (WindowFunction.delta, 2.0), (.increase, 22), (.rate, 22.0 / 40), (.irate, 1), (.idelta, 10),
    ])
    func `counters are not extrapolated to the edges of the window`(function: WindowFunction, expected: Double) {
        // 10 → 20 is 10, the reset to 2 adds 2, 2 → 12 is 10: 22 over the 40 s from the first sample to the last; Prometheus would answer 27.5 over the 50 s.
        var windows = Self.filled(.init(function, over: .seconds(50)), [(0, 10), (10, 20), (30, 2), (40, 12)])
        #expect(windows.value(of: 0, at: Self.at(45)) == .number(expected))
    }

    @Test func `a window that held an outlier is exact again after it left`() {
        for outlier in [1e300, -1e300, .infinity, .nan] {
            for length in [20, 2000] as [Int64] {
                let samples = (0..<length * 3).map { ($0, $0 == length ? outlier : 0.1) }
                var windows = Self.filled(.init(.avg, over: .seconds(length)), samples)
                #expect(windows.value(of: 0, at: Self.at(length * 3 - 1)) == .number(0.1))
            }
        }
    }

    @Test func `a window says when it changes though nothing arrives`() {
        var windows = Self.filled(.init(.count, over: .seconds(10)), [(1, 0), (4, 0)])
        #expect(windows.nextChange(of: 0, after: Self.at(4)) == Self.at(11))
        #expect(windows.value(of: 0, at: Instant(nanoseconds: 11 * Self.second - 1)) == .number(2))
        #expect(windows.value(of: 0, at: Self.at(11)) == .number(1))
        #expect(windows.nextChange(after: Self.at(11)) == Self.at(14))
        #expect(windows.value(of: 0, at: Self.at(14)) == nil)
        #expect(windows.nextChange(after: Self.at(14)) == nil)
    }

    @Test func `a window shifted back changes when a sample comes into it`() {
        var windows = Self.filled(.init(.last, over: .seconds(10), shiftedBy: .seconds(100)), [(5, 1)])
        #expect(windows.value(of: 0, at: Self.at(50)) == nil)
        #expect(windows.nextChange(of: 0, after: Self.at(50)) == Self.at(105))
        #expect(windows.value(of: 0, at: Self.at(105)) == .number(1))
        #expect(windows.nextChange(of: 0, after: Self.at(105)) == Self.at(115))
    }

    @Test func `a condition holds from before the window to its end`() {
        var windows = Self.filled(.init(.duration, over: .seconds(10)), [(0, 1), (12, 0), (14, 1)])
        #expect(windows.value(of: 0, at: Self.at(20)) == .duration(8 * Self.second))
        #expect(windows.value(of: 0, at: Self.at(60)) == .duration(10 * Self.second))
    }

    @Test func `a decayed mean weighs by age in half-lives, late samples too`() {
        let window = WindowSpecification(.ewma(halflife: 10 * Self.second), overLast: 1)
        var windows = Self.filled(window, [(0, 8), (20, 2), (10, 4), (15, .infinity)])
        #expect(windows.value(of: 0, at: Self.at(20)) == .number((8 * 0.25 + 4 * 0.5 + 2) / 1.75))
    }

    @Test(arguments: [(WindowFunction.sum, 2999.0), (.count, 2999), (.max, 3000), (.first, 2), (.changes, 2998), (.deriv, 1)])
    func `beyond the limit of samples a window is exact while nothing in panes leaves`(function: WindowFunction, expected: Double) {
        let samples = (1...3000).map { (Int64($0), function == .sum ? 1.0 : Double($0)) }
        var windows = Self.filled(.init(function, over: .seconds(100_000)), [], limit: 500)
        for (at, value) in samples.dropFirst() { windows.add(Sample(at: Self.at(at), value: value), to: 0, at: Self.at(at)) }
        let found = windows.value(of: 0, at: Self.at(3000))?.asNumber ?? .nan
        #expect(abs(found - expected) <= 1e-9 * expected)
        #expect(windows.sampleCount(of: 0) <= 500)
    }

    @Test func `a window in panes covers at most one pane more than it was asked for`() {
        var windows = Self.filled(.init(.count, over: .seconds(50_000)), (0..<200_000).map { ($0, 1.0) }, limit: 1000)
        let found = windows.value(of: 0, at: Self.at(199_999))?.asNumber ?? 0
        #expect(found >= 50_000 && found <= 50_000 * 1.006, "\(found)")
        #expect(windows.snapshot().count < 1000 * 16 + 1200 * 64)
    }

    @Test func `quantiles give no result while they reach lost samples`() {
        var windows = Self.filled(.init(.quantile(0.5), over: .seconds(1000)), (0..<600).map { ($0, 1.0) }, limit: 300)
        #expect(windows.value(of: 0, at: Self.at(599)) == nil)
        let lost = Sample(at: Self.at(1), value: 1)
        #expect(windows.add(lost, to: 0, at: Self.at(600)) == .refused)
        windows.add(Sample(at: Self.at(1560), value: 7), to: 0, at: Self.at(1560))
        #expect(windows.value(of: 0, at: Self.at(1560)) == .number(1))
    }

    @Test func `the ring of a steady window takes at most an eighth more than its samples`() {
        for length in [30, 300, 10_000] as [Int64] {
            let windows = Self.filled(.init(.avg, over: .seconds(length)), (0..<length * 3).map { ($0, 1.0) })
            #expect(windows.series[0].history.capacity * 8 <= Int(length) * 9)
        }
    }

    @Test func `no damage to a snapshot is taken for a state or stops the server`() {
        let plan = WindowPlan([
            .init(
                text: "x",
                windows: [.init(.avg, over: .seconds(300)), .init(.mad, overLast: 50), .init(.share, over: .seconds(200))])
        ])
        var windows = WindowSet(plan)
        for second in 0..<250 as Range<Int64> { windows.add(Sample(at: Self.at(second), value: 1), to: 0, at: Self.at(second)) }
        let bytes = windows.snapshot()
        var random = SeededGenerator(state: 5)
        for cut in stride(from: 0, to: bytes.count, by: 7) { #expect(WindowSet(plan, restoring: bytes[..<cut]) == nil) }
        for _ in 0..<3000 {
            var damaged = bytes
            for _ in 0..<3 { damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
            guard var restored = WindowSet(plan, restoring: damaged) else { continue }
            for window in plan.windows.indices { _ = restored.value(of: window, at: Self.at(260)) }
        }
    }

    @Test func `extreme instants and lengths do not trap`() {
        let windows: [WindowSpecification] = [
            .init(.avg, over: .time(.max), shiftedBy: .max), .init(.duration, over: .time(.max)), .init(.rate, overLast: .max),
            .init(.predictLinear(ahead: .max), over: .time(.max)), .init(.ewma(halflife: 1), overLast: 1),
        ]
        var set = WindowSet(WindowPlan([.init(text: "x", windows: windows)]))
        for instant in [.min, .min + 1, -1, 0, .max - 1, .max] as [Int64] {
            set.add(Sample(at: Instant(nanoseconds: instant), value: 1), to: 0, at: .distantFuture)
            for index in windows.indices {
                _ = set.value(of: index, at: .distantPast)
                _ = set.nextChange(of: index, after: .distantFuture)
            }
        }
    }
}
