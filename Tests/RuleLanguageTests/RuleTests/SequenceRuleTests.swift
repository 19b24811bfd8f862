import RuleEngine
import Testing

@testable import RuleLanguage

/// `sequence` in rule tests: coverage of its steps, and why it did not fire.
@Suite struct SequenceRuleTests {
    private static let rules = """
        groups:
          - name: g
            on: f
            rules: [{alert: A, sequence: [{expr: v == 1}, {expr: v == 2, within: 1m}, {not: v == 3, within: 10s}]}]
        """

    private static func test(_ readings: [(String, Int)], _ expectation: String) -> String {
        let lines = readings.map { "      - {topic: f, at: \($0.0), v: \($0.1)}\n" }.joined()
        return "rules: [r.yaml]\ntests:\n  - name: it\n    readings:\n\(lines)    expect: [\(expectation)]"
    }

    @Test(
        arguments: [
            ([("0s", 2)], ["step 1", "step 2", "step 2 late", "step 3 broken", "occurred"]),
            ([("0s", 1)], ["step 2", "step 2 late", "step 3 broken", "occurred"]),
            ([("0s", 1), ("61s", 2)], ["step 2", "step 3 broken", "occurred"]),
            ([("0s", 1), ("60s", 2)], ["step 2 late", "step 3 broken"]),
            ([("0s", 1), ("60s", 2), ("1m10s", 3), ("2m", 1), ("4m", 1)], ["occurred"]),
        ] as [([(String, Int)], [String])])
    func `each step is a branch, and each way in which a run ends`(_ readings: [(String, Int)], _ missed: [String]) throws {
        let report = try runRuleTest(rules: Self.rules, test: Self.test(readings, "{at: 10m, alert: A, state: inactive}"), coverage: true)
        #expect(report.coverage?.entries.map(\.missed) == [missed])
    }

    @Test(
        arguments: [
            ([("0s", 7)], "no step has come, step 1 is awaited", "step 1 expr"),
            (
                [("0s", 1)], "step 1 of 3 came at 1970-01-01T00:00:00.000Z, step 2 is awaited until 1970-01-01T00:01:00.000Z", "step 2 expr"
            ),
            (
                [("0s", 1), ("10s", 2)],
                "step 2 of 3 came at 1970-01-01T00:00:10.000Z, step 3 must not come until 1970-01-01T00:00:20.000Z",
                "step 3 not"
            ),
            (
                [("0s", 1), ("10s", 2), ("11s", 3)],
                "step 3 said what must not happen, which happened at 1970-01-01T00:00:11.000Z; step 1 is awaited", "step 1 expr"
            ),
        ] as [([(String, Int)], String, String)])
    func `a failure says where the run stands`(_ readings: [(String, Int)], _ standing: String, _ awaited: String) throws {
        let failure = try #require(
            runRuleTest(rules: Self.rules, test: Self.test(readings, "{at: 15s, alert: A}")).files[0].results[0].failures.first)
        #expect(failure.message.contains("A sequence: \(standing)\n"), "\(failure.message)")
        #expect(failure.message.contains("A \(awaited):\n"), "\(failure.message)")
    }

    @Test func `a failure says that a step did not come in time`() throws {
        let failure = try #require(
            runRuleTest(rules: Self.rules, test: Self.test([("0s", 1)], "{at: 5m, alert: A}")).files[0].results[0].failures.first)
        #expect(failure.message.contains("step 2 did not come until 1970-01-01T00:01:00.000Z; step 1 is awaited"), "\(failure.message)")
    }

    @Test func `a completion is firing at its own instant`() throws {
        let expectations = "{at: 20s, alert: A, state: firing, count: 1}, {at: 20s, notifications: [{receiver: default, status: firing}]}"
        let report = try runRuleTest(rules: Self.rules, test: Self.test([("0s", 1), ("10s", 2)], expectations))
        #expect(report.passed == 1)
    }
}
