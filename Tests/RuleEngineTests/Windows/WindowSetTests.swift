import Testing

@testable import RuleEngine

@Suite struct WindowSetTests {
    @Test func `a window begins after its left edge and ends with its right`() {
        let plan = WindowPlan([.init(text: "x", windows: [.init(.avg, over: .seconds(10))])])
        var windows = WindowSet(plan)
        for second in [0, 5, 10] {
            let at = Instant(milliseconds: Int64(second) * 1000)
            windows.add(Sample(at: at, value: Double(second)), to: 0, at: at)
        }
        #expect(windows.value(of: 0, at: Instant(milliseconds: 10_000)) == .number(7.5))
    }
}
