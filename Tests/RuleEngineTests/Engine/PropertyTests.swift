import CEL
import RuleLanguage
import Testing

@testable import RuleEngine

/// Random rules over random inputs: the engine against itself with another number of shards, and against one that looks at every rule at every reading.
@Suite struct PropertyTests {
    struct Inputs {
        var random: Seeded
        var now = 0.0

        mutating func drive(_ drivers: [EngineDriver], steps: Int, plans: [String], ending: Bool = true) throws {
            for _ in 0..<steps {
                now += [0, 0.5, 1, 7, 40].randomElement(using: &random) ?? 0
                let device = "d\(Int.random(in: 0..<6, using: &random))"
                switch Int.random(in: 0..<40, using: &random) {
                case 0:
                    let high = Int.random(in: 0..<10, using: &random)
                    let place = "{\"latitude\": 10, \"longitude\": \(high * 36 - 175)}"
                    let config = "{\"high\": \(high), \"location\": \(place)}"
                    for driver in drivers { try driver.setDevice(device, config, at: now) }
                case 1: for driver in drivers { try driver.setDevice(device, nil, at: now) }
                case 2:
                    let mode = Int.random(in: 0..<3, using: &random)
                    for driver in drivers { try driver.setVariable("mode", "\(mode)", at: now) }
                case 3: for driver in drivers { driver.advance(to: now) }
                case 4:
                    for driver in drivers { driver.connected(at: now) }
                case 5 where !plans.isEmpty:
                    let plan = plans.randomElement(using: &random) ?? ""
                    for driver in drivers { try driver.reload(plan, at: now) }
                default:
                    let payload = reading(at: now)
                    let retained = Int.random(in: 0..<12, using: &random) == 0
                    // Of other topics, which `latest` sees.
                    let other = Int.random(in: 0..<8, using: &random)
                    let topic = other == 0 ? "o/s0" : other == 1 ? "o/s0/\(device)" : "t/s0/\(device)"
                    for driver in drivers { driver.send(topic, payload, at: now, retained: retained) }
                }
                if Int.random(in: 0..<6, using: &random) == 0 { for driver in drivers { driver.backlogEnded(at: now) } }
            }
            guard ending else { return }
            for driver in drivers {
                driver.backlogEnded(at: now)
                driver.advance(to: now + 1000)
            }
        }

        private mutating func reading(at now: Double) -> String {
            var members: [String] = []
            if Int.random(in: 0..<8, using: &random) > 0 {
                // Stamps behind, some too late, a few ahead or not to be read; a device that was away for a while sends what it kept.
                let behind: Double = [0, 0, 0, 0, 1, 3, 20, 70, 500, -2, -1000].randomElement(using: &random) ?? 0
                members.append("\"at\": \(Int.random(in: 0..<30, using: &random) == 0 ? "null" : "\(now - 600 - behind)")")
            }
            for name in ["a", "b", "c"] where Int.random(in: 0..<3, using: &random) > 0 {
                let value = [
                    "\(Int.random(in: 0..<10, using: &random))", "null", "\"\(Int.random(in: 0..<10, using: &random))\"", "\"x\"", "1e999",
                ]
                members.append("\"\(name)\": \(value[max(0, Int.random(in: -14..<5, using: &random))])")
            }
            return "{\(members.joined(separator: ", "))}"
        }
    }

    static func rules(
        _ random: inout Seeded, count: Int, thresholdsOnly: Bool = false, windows: Bool = false, eventTime: Bool = false
    ) -> String {
        func comparison() -> String {
            let name = ["a", "b", "c"].randomElement(using: &random) ?? "a"
            let sign = [">", "<", ">=", "<=", "==", "!="].randomElement(using: &random) ?? ">"
            return "\(name) \(sign) \(Int.random(in: 0..<10, using: &random)).0"
        }
        var isOfSite = false
        func condition() -> String {
            let first = comparison()
            switch Int.random(in: 0..<5, using: &random) {
            case 0: return "\(first) && \(comparison())"
            case 1: return "\(first) || \(comparison())"
            case 2: return "!(\(first)) || \(comparison())"
            case 3 where !thresholdsOnly:
                var special = [
                    "a > config.high", "vars.mode == 1.0", "age(a) > duration('30s')", "changed(b)", "became(c > 5.0)", "previous(a) < a",
                    "latest('o/{site}').a > 4.0", "latest('t/{site}/d1').b < a", "has(latest('t/s0/d2').c)",
                    isOfSite ? "latest('o/s0').b == b" : "latest('o/{site}/{device}').a >= a",
                    isOfSite ? "latest('o/{site}').c > 2.0" : "previous(a) > latest('t/s0/{device}').a - 2.0", "a + b > 9.0", "has(c)",
                    "is_between(now, '00:05', '00:20')", "sun.elevation > -20", "sun.is_up",
                ]
                if isOfSite {
                    special += [
                        "members.exists(m, m.a > 7.0)", "members.size() > 3", "members.filter(m, has(m.b) && m.b == c).size() >= 2",
                        "members.map(m, has(m.c), m.c).sum() > a",
                    ]
                    if windows { special.append("max_over_time(members.filter(m, has(m.a)).size(), '1m') > 2.0") }
                }
                if windows {
                    special += [
                        "avg_over_time(a, '1m') > 4.0", "max_over_last(b, 3) > 6.0", "quantile_over_time(0.5, a, '30s') < 5.0",
                        "duration_over_time(a > 3.0, '2m') > duration('40s')", "ewma(c, '20s') > 5.0", "changes(b, '1m') > 1.0",
                    ]
                }
                return "\(first) && \(special.randomElement(using: &random) ?? "has(c)")"
            default: return first
            }
        }
        var rules: [String] = []
        for number in 0..<count {
            var keys = ["alert: R\(number)"]
            isOfSite = Int.random(in: 0..<4, using: &random) == 0
            if !thresholdsOnly, Int.random(in: 0..<8, using: &random) == 0 {
                keys += ["event: true", "expr: \"\(condition())\""]
            } else if !thresholdsOnly, Int.random(in: 0..<5, using: &random) == 0 {
                let within = ["", ", within: 8s", ", within: 50s"].randomElement(using: &random) ?? ""
                let last = Bool.random(using: &random) ? ", {not: \"\(condition())\", within: 30s}" : ""
                keys.append("sequence: [{expr: \"\(condition())\"}, {expr: \"\(condition())\"\(within)}\(last)]")
            } else if Int.random(in: 0..<4, using: &random) == 0 {
                keys.append(
                    "levels: {low: {expr: \"\(condition())\"}, high: {expr: \"\(condition())\", resolve_expr: \"\(condition())\", for: 20s}}"
                )
                if Bool.random(using: &random) { keys.append("keep_firing_for: 30s") }
            } else {
                keys.append("expr: \"\(condition())\"")
                if Bool.random(using: &random) { keys.append("resolve_expr: \"\(condition())\"") }
                if Bool.random(using: &random) { keys.append("for: 15s") }
                if Bool.random(using: &random) { keys.append("keep_firing_for: 10s") }
                if !thresholdsOnly, Int.random(in: 0..<4, using: &random) == 0 { keys.append("every: 10s") }
                if Int.random(in: 0..<3, using: &random) == 0 {
                    let policy = ["ok", "alert", "nodata", "hold"].randomElement(using: &random) ?? "ok"
                    let after = ["1m", "45s", "auto", "{beats: 2}"].randomElement(using: &random) ?? "1m"
                    keys.append("missing: {after: \(after), policy: \(policy)}")
                }
            }
            if Int.random(in: 0..<6, using: &random) == 0, !keys.contains("event: true"), !keys[1].hasPrefix("sequence") {
                keys.append("limit: 2")
            }
            if isOfSite { keys.append("by: [site]") }
            keys.append("annotations: {x: \"{{ a }} {{ alert.state }} {{ alert.value }}\"}")
            rules.append("      - {\(keys.joined(separator: ", "))}")
        }
        let on = eventTime ? "{topic: 't/{site}/{device}', time_field: at}" : "t/{site}/{device}"
        return "groups:\n  - name: g\n    on: \(on)\n    rules:\n\(rules.joined(separator: "\n"))\n"
    }

    @Test(arguments: 0..<12) func `state, effects and their order are equal for 1, 2 and 7 shards`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(seed))
        let plans = (0..<3).map { Self.rules(&random, count: 8, windows: $0 > 0, eventTime: ($0 + seed) % 2 == 1) }
        let drivers = try [1, 2, 7].map { try EngineDriver(plans[0], shards: $0) }
        var inputs = Inputs(random: random)
        try inputs.drive(drivers, steps: 250, plans: plans)
        let expected = drivers[0].take()
        #expect(!expected.isEmpty)
        for driver in drivers.dropFirst() {
            let seen = driver.take()
            let place = zip(seen, expected).enumerated().first { $0.element.0 != $0.element.1 }
            #expect(
                Bool(seen == expected),
                "\(place.map { "\($0.offset): \($0.element.0.short) for \($0.element.1.short)" } ?? "\(seen.count) for \(expected.count)")")
            #expect(driver.engine.nextDue == drivers[0].engine.nextDue)
            #expect(driver.engine.counters == drivers[0].engine.counters)
            for rule in driver.engine.plan.rules {
                #expect(driver.engine.status(of: rule.rule.identity) == drivers[0].engine.status(of: rule.rule.identity))
            }
        }
    }

    @Test(arguments: 0..<20) func `the indexes make no difference to evaluating every rule at every reading`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(1000 + seed))
        let yaml = Self.rules(&random, count: 12, thresholdsOnly: seed % 2 == 0, windows: seed % 4 == 1, eventTime: seed % 3 == 2)
        let indexed = try EngineDriver(yaml)
        let plan = try EngineDriver.plan(yaml)
        let naive = EngineDriver(plan: plan.withoutIndexes())
        var inputs = Inputs(random: random)
        try inputs.drive([indexed, naive], steps: 400, plans: [])
        let (seen, expected) = (indexed.take(), naive.take())
        #expect(!expected.isEmpty)
        let place = zip(seen, expected).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(
            Bool(seen == expected),
            "\(place.map { "\($0.offset): \($0.element.0.short) for \($0.element.1.short)" } ?? "\(seen.count) for \(expected.count)")\n\(yaml)"
        )
        #expect(indexed.engine.counters.evaluations < naive.engine.counters.evaluations)
    }

    @Test(arguments: 0..<6) func `no transition has the id of another`(_ seed: Int) throws {
        var random = Seeded(seed: UInt64(2000 + seed))
        let plans = (0..<2).map { Self.rules(&random, count: 10, eventTime: ($0 + seed) % 2 == 1) }
        let driver = try EngineDriver(plans[0])
        var inputs = Inputs(random: random)
        try inputs.drive([driver], steps: 250, plans: plans)
        let ids = driver.take().map(\.id)
        #expect(Set(ids).count == ids.count)
    }
}

/// SplitMix64: the same numbers in every run.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension EvaluationPlan {
    /// The same rules, every one of which is evaluated at every reading.
    fileprivate func withoutIndexes() -> EvaluationPlan {
        let plain = sources.map { source in
            var source = source
            let isAtReadings = source.rules.filter { rules[Int($0)].everyNanoseconds == 0 }
            source.onEveryReading = source.isOnClock ? [] : isAtReadings
            for field in source.fields.indices {
                source.onPresence[field] = []
                source.onChange[field] = []
                source.thresholds[field] = []
            }
            return source
        }
        return EvaluationPlan(catalog: catalog, rules: rules, sources: plain, strings: strings)
    }
}
