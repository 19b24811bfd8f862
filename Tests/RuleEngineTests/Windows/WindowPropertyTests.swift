import Testing

@testable import RuleEngine

/// Random readings against a computation anew, as the windows see them: late, doubled, far out, NaN, infinite, and with gaps.
@Suite struct WindowPropertyTests {
    static let functions: [WindowFunction] = [
        .avg, .min, .max, .sum, .count, .stddev, .stdvar, .last, .first, .quantile(0.5), .quantile(0.95), .quantile(-1), .quantile(2),
        .quantile(.nan), .mad, .present, .absent, .any, .all, .changes, .resets, .delta, .idelta, .increase, .rate, .irate, .deriv,
        .predictLinear(ahead: 60_000_000_000), .tsOfMin, .tsOfMax, .tsOfLast, .tsOfFirst, .zscore, .duration, .share,
    ]

    static func windows(_ extents: [(WindowSpecification.Extent, Int64)]) -> [WindowSpecification] {
        extents.flatMap { extent, shift in functions.map { WindowSpecification($0, over: extent, shiftedBy: shift) } }
    }

    struct Stream {
        var random: SeededGenerator
        var now: Int64 = 1_700_000_000_000
        var isWild: Bool

        mutating func next() -> Sample {
            let dice = Int.random(in: 0..<1000, using: &random)
            switch dice {
            case 0..<5: now += Int64.random(in: 10_000...400_000, using: &random)
            case 5..<60: break
            default: now += Int64.random(in: 1...2000, using: &random)
            }
            var at = now
            if Int.random(in: 0..<15, using: &random) == 0 { at -= Int64.random(in: 1...60_000, using: &random) }
            return Sample(at: Instant(milliseconds: at), value: value())
        }

        mutating func value() -> Double {
            switch isWild ? Int.random(in: 0..<300, using: &random) : 299 {
            case 0: .nan
            case 1: .infinity
            case 2: -.infinity
            case 3: 1e300
            case 4: -1e120
            case 5: 1e-300
            case 6..<30: 0
            case 30..<120: Double(Int.random(in: 0...5, using: &random))
            default: Double.random(in: -50...100, using: &random)
            }
        }
    }

    @Test(arguments: 0..<6, [false, true])
    func `windows agree with a computation anew whatever arrives`(seed: Int, besideOthers: Bool) throws {
        let minute: Int64 = 60_000_000_000
        let windows = Self.windows([
            (.time(minute / 6), 0), (.time(minute * 3), 0), (.time(minute * 10), 0), (.time(minute * 2), minute * 3), (.count(1), 0),
            (.count(30), 0), (.count(250), 0), (.count(120), minute),
        ])
        let plan = WindowPlan([.init(text: "x", windows: windows)])
        var set = WindowSet(plan)
        var naive = NaiveWindow()
        var stream = Stream(random: SeededGenerator(state: UInt64(seed)), isWild: seed % 2 == 0)
        for step in 0..<900 {
            let sample = stream.next()
            let now = Instant(milliseconds: stream.now)
            set.add(sample, to: 0, at: now, besideOthers: besideOthers)
            naive.add(sample, besideOthers: besideOthers)
            guard step % 13 == 0 else { continue }
            var asked = now
            if step % 3 == 0 {
                stream.now += 5000
                asked = Instant(milliseconds: stream.now)
            }
            if step % 5 == 0 { set = try #require(WindowSet(plan, restoring: set.snapshot())) }
            for (index, window) in windows.enumerated() {
                let (found, expected) = (set.value(of: index, at: asked), naive.value(window, at: asked))
                try #require(
                    agree(found, expected), "step \(step), \(window): \(String(describing: found)), not \(String(describing: expected))")
            }
        }
    }

    @Test(arguments: 0..<4)
    func `a set that was restored says the same to the last bit`(seed: Int) throws {
        let minute: Int64 = 60_000_000_000
        let windows = Self.windows([(.time(minute * 10), 0), (.time(minute * 2), minute), (.count(300), 0)])
        let plan = WindowPlan([.init(text: "x", windows: windows + [.init(.ewma(halflife: minute), overLast: 1)])], sampleLimit: 400)
        var stream = Stream(random: SeededGenerator(state: UInt64(seed) + 77), isWild: seed % 2 == 0)
        var (kept, restored) = (WindowSet(plan), WindowSet(plan))
        for step in 0..<1500 {
            let sample = stream.next()
            let now = Instant(milliseconds: stream.now)
            kept.add(sample, to: 0, at: now, besideOthers: seed > 1)
            restored.add(sample, to: 0, at: now, besideOthers: seed > 1)
            if step % 37 == 0 {
                restored = try #require(WindowSet(plan, restoring: restored.snapshot()))
                for index in plan.windows.indices {
                    let (one, other) = (kept.value(of: index, at: now), restored.value(of: index, at: now))
                    let same = one == other || one?.asNumber.bitPattern == other?.asNumber.bitPattern
                    try #require(
                        same, "step \(step), \(plan.windows[index].specification): \(String(describing: one)), \(String(describing: other))"
                    )
                }
                try #require(kept.snapshot() == restored.snapshot())
            }
        }
    }
}
