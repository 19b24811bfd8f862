import RESTInterface
import Testing

@Suite struct PrometheusTextTests {
    @Test func `A family has help, type and its samples in the order of labels`() {
        var text = PrometheusText()
        text.family(
            "nodesphere_alerts", .gauge, "Alerts by name and state.",
            [
                .init([("alertname", "B"), ("state", "firing")], 2), .init([("alertname", "A"), ("state", "pending")], 0.5),
                .init([("alertname", "A"), ("state", "firing")], 1),
            ])
        text.family("nodesphere_readings_total", .counter, "Readings taken in.", [.init(12_345_678_901)])
        #expect(
            text.text == """
                # HELP nodesphere_alerts Alerts by name and state.
                # TYPE nodesphere_alerts gauge
                nodesphere_alerts{alertname="A",state="firing"} 1
                nodesphere_alerts{alertname="A",state="pending"} 0.5
                nodesphere_alerts{alertname="B",state="firing"} 2
                # HELP nodesphere_readings_total Readings taken in.
                # TYPE nodesphere_readings_total counter
                nodesphere_readings_total 12345678901

                """)
    }

    @Test(arguments: [
        (#"a"b"#, #"a\"b"#), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#), ("\r\n", "\r\\n"), ("æ🐟{}=,", "æ🐟{}=,"), ("", ""), (#"\n"#, #"\\n"#),
    ])
    func `Label values may be any text`(value: String, written: String) {
        var text = PrometheusText()
        text.family("m", .gauge, "h", [.init([("l", value)], 1)])
        #expect(Array(text.text.utf8) == Array("# HELP m h\n# TYPE m gauge\nm{l=\"\(written)\"} 1\n".utf8))
    }

    @Test func `Help keeps its quotes, and stays on its line`() {
        var text = PrometheusText()
        text.family("m", .untyped, "a \"b\"\nc \\ d", [.init(1)])
        #expect(text.text.hasPrefix("# HELP m a \"b\"\\nc \\\\ d\n# TYPE m untyped\n"))
    }

    @Test(arguments: [
        (Double.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (0, "0"), (-0.0, "0"), (1e300, "1e+300"), (0.1, "0.1"), (-2, "-2"),
        (1e-7, "1e-07"), (9_007_199_254_740_992, "9007199254740992"),
    ])
    func `Values are written as Prometheus reads them`(value: Double, written: String) throws {
        var text = PrometheusText()
        text.family("m", .gauge, "h", [.init(value)])
        #expect(text.text.split(separator: "\n").last == "m \(written)")
    }

    @Test func `A histogram has buckets up to infinity, sum and count`() {
        var text = PrometheusText()
        text.histogram(
            "nodesphere_store_commit_seconds", "Time a commit took.",
            [.init(labels: [("store", "embedded")], buckets: [(0.005, 1), (1, 3)], sum: 2.25, count: 4)])
        #expect(
            text.text == """
                # HELP nodesphere_store_commit_seconds Time a commit took.
                # TYPE nodesphere_store_commit_seconds histogram
                nodesphere_store_commit_seconds_bucket{store="embedded",le="0.005"} 1
                nodesphere_store_commit_seconds_bucket{store="embedded",le="1"} 3
                nodesphere_store_commit_seconds_bucket{store="embedded",le="+Inf"} 4
                nodesphere_store_commit_seconds_sum{store="embedded"} 2.25
                nodesphere_store_commit_seconds_count{store="embedded"} 4

                """)
    }

    @Test func `A family without samples is not written, and names are made legal`() {
        var text = PrometheusText()
        text.family("empty", .gauge, "h", [])
        text.histogram("empty", "h", [])
        #expect(text.text.isEmpty)
        text.family("9 lives", .gauge, "h", [.init([("a-b", "x")], 1)])
        #expect(text.text.hasSuffix("__lives{a_b=\"x\"} 1\n"))
    }
}
