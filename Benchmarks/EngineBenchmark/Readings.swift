import Glibc
import RuleEngine

/// Messages made beforehand, sent to an engine again and again.
struct Stream {
    private(set) var messages: [(topic: [UInt8], payload: [UInt8])] = []

    mutating func add(_ topic: String, _ payload: String) { messages.append((Array(topic.utf8), Array(payload.utf8))) }

    /// Nanoseconds a reading for each run; time goes on by a millisecond a reading.
    func measure(_ engine: Engine, runs: Int, readings: Int, from start: inout Int64) -> (nanoseconds: Figures, allocations: Double) {
        var took: [Double] = []
        var allocated = 0.0
        for run in 0...runs {
            let before = mallinfo2().uordblks
            let began = nanoseconds()
            for number in 0..<readings {
                let message = messages[number % messages.count]
                start += 1_000_000
                message.topic.withUnsafeBytes { topic in
                    message.payload.withUnsafeBytes { engine.ingest(topic: topic, payload: $0, at: Instant(nanoseconds: start)) }
                }
            }
            // The first run is for learning topics and filling caches.
            if run > 0 { took.append((nanoseconds() - began) / Double(readings)) }
            allocated = Double(mallinfo2().uordblks) - Double(before)
        }
        return (Figures(took), allocated / Double(readings))
    }
}

/// A hundred devices send a hundred bytes of JSON; of all rules three are for their topics, and evaluated at every reading.
struct Readings {
    let rules: Int
    let isQuick: Bool

    func measure(_ report: Report) {
        let memory = residentBytes()
        let engine = started(plan(yaml))
        let perRule = (residentBytes() - memory) / Double(rules)
        var stream = Stream()
        for round in 0..<4 {
            for device in 0..<100 {
                let payload =
                    "{\"temperature\":\(20 + round).\(device % 10),\"humidity\":\(40 + round).5,\"battery\":87,\"linkquality\":120,\"voltage\":3015,\"ok\":true}"
                stream.add("sites/oslo/freezers/f\(device)/telemetry", payload)
            }
        }
        var now: Int64 = 0
        let (figures, allocations) = stream.measure(engine, runs: isQuick ? 5 : 15, readings: isQuick ? 40_000 : 200_000, from: &now)
        report.add("rules=\(rules)", "ns_per_reading", figures)
        report.add("rules=\(rules)", "allocated_bytes_per_reading", Figures([allocations]))
        if rules >= 1000 { report.add("rules=\(rules)", "resident_bytes_per_rule", Figures([perRule])) }
        if !engine.takeEffects().isEmpty { fputs("an alert fired that should not\n", stderr) }
    }

    private var yaml: String {
        var text = "groups:\n  - name: wanted\n    on: sites/{site}/freezers/{device}/telemetry\n    rules:\n"
        let wanted = ["temperature > humidity", "temperature + 5.0 > humidity * 2.0", "humidity > 90 && temperature != battery"]
        for (number, expression) in wanted.prefix(rules).enumerated() {
            text += "      - {alert: W\(number), expr: \"\(expression)\", for: 5m}\n"
        }
        for group in 0..<max(0, (rules - 3 + 9) / 10) {
            text += "  - name: other\(group)\n    on: plants/p\(group)/{machine}/state\n    rules:\n"
            for number in 0..<min(10, rules - 3 - group * 10) {
                text += "      - {alert: O\(number), expr: pressure > \(number).5 && speed < \(group).0, for: 1m}\n"
            }
        }
        return text
    }
}

/// Ten thousand constants compared with one field of one topic, none of them crossed.
struct Thresholds {
    let isQuick: Bool

    func measure(_ report: Report) {
        var text = "groups:\n  - name: g\n    on: t/{device}\n    rules:\n"
        for number in 0..<10_000 { text += "      - {alert: R\(number), expr: v > \(number + 100).5}\n" }
        let engine = started(plan(text))
        var stream = Stream()
        for value in 0..<50 { stream.add("t/a", "{\"v\":\(value).25,\"unit\":\"C\"}") }
        var now: Int64 = 0
        let (figures, _) = stream.measure(engine, runs: isQuick ? 5 : 15, readings: isQuick ? 20_000 : 200_000, from: &now)
        report.add("thresholds=10000", "ns_per_reading", figures)
    }
}

/// Ten thousand rules from YAML text to a plan.
struct Loading {
    let isQuick: Bool

    func measure(_ report: Report) {
        var text = "groups:\n"
        for group in 0..<1000 {
            text += "  - name: g\(group)\n    on: sites/{site}/kind\(group)/{device}/telemetry\n    labels: {team: logistics}\n    rules:\n"
            for number in 0..<10 {
                text += """
                          - alert: R\(number)
                            expr: temperature > config.max_temperature + \(number).0 && humidity < 90
                            resolve_expr: temperature < config.max_temperature - 2.0
                            for: 5m
                            labels: {severity: critical}
                            annotations: {summary: "Freezer {{ device }} at {{ site }} is at {{ temperature }}"}

                    """
            }
        }
        var took: [Double] = []
        for _ in 0..<(isQuick ? 2 : 5) {
            let began = nanoseconds()
            let loaded = plan(text)
            let subscriptions = loaded.subscriptions.count
            took.append((nanoseconds() - began) / 1e6)
            if subscriptions != 1000 { fputs("\(subscriptions) subscriptions\n", stderr) }
        }
        report.add("load=10000", "milliseconds", Figures(took))
    }
}

/// Live instances of one rule with `for`: just known, and pending.
struct Instances {
    let count: Int

    func measure(_ report: Report) {
        for (name, temperature) in [("known", 20), ("pending", 40)] {
            let engine = started(
                plan(
                    "groups:\n  - name: g\n    on: sites/{site}/freezers/{device}/telemetry\n    rules:\n      - {alert: A, expr: temperature > 30, for: 1h}\n"
                ))
            let before = residentBytes()
            let payload = Array("{\"temperature\":\(temperature)}".utf8)
            for number in 0..<count {
                let topic = Array("sites/s\(number % 100)/freezers/f\(number)/telemetry".utf8)
                topic.withUnsafeBytes { topic in
                    payload.withUnsafeBytes { engine.ingest(topic: topic, payload: $0, at: Instant(nanoseconds: Int64(number))) }
                }
                if number % 1000 == 0 { _ = engine.takeEffects() }
            }
            _ = engine.takeEffects()
            report.add("instances=\(count) \(name)", "resident_bytes_per_instance", Figures([(residentBytes() - before) / Double(count)]))
            withExtendedLifetime(engine) {}
        }
    }
}
