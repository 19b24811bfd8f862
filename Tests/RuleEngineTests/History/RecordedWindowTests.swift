import RuleLanguage
import TestSupport
import Testing

@testable import RuleEngine

/// Windows that reach further back than the engine's own history: over what is recorded.
@Suite struct RecordedWindowTests {
    static func surroundings(
        own: Duration? = .seconds(3600), _ measurements: [RecordedHistory.Measurement] = [measurement("power", "t/{device}")],
        isKnown: Bool = true
    ) -> Surroundings {
        Surroundings(recorded: RecordedHistory(ownReach: own, measurements: measurements, isKnown: isKnown))
    }

    static func measurement(
        _ name: String, _ topic: String, retention: String? = nil, timeField: [String]? = nil, fields: Set<String>? = nil
    ) -> RecordedHistory.Measurement {
        do {
            return RecordedHistory.Measurement(
                name, topic: try TopicFilter(topic), retention: retention, timeField: timeField, fields: fields)
        } catch { fatalError("'\(topic)' is no topic: \(error)") }
    }

    private static func driver(
        _ body: String, on: String = "t/{device}", start: Double = 0, shards: Int = 1, _ surroundings: Surroundings = surroundings()
    ) throws -> EngineDriver {
        try EngineDriver(EngineDriver.yaml(body, on: on), shards: shards, start: start, surroundings: surroundings)
    }

    // MARK: What is asked

    @Test func `the samples are asked for piece by piece, from where the windows begin to where they will be in a while`() throws {
        let driver = try Self.driver("expr: kw > 2.0 * avg_over_time(kw, '10m', '2h')", start: 100_000)
        let store = RecordedReadings()
        var texts: [String] = []
        for number in 0..<4 {
            for due in driver.takeDue() {
                // What is behind is asked for at once.
                #expect(number == 3 || due.askAt == EngineDriver.instant(100_000 + Double(number)))
                #expect(due.expiresAt == EngineDriver.instant(100_200))
                texts.append(due.text)
                driver.apply(store.answer(due), at: 100_001 + Double(number))
            }
        }
        // 100,000 s is 03:46:40; the multiple of five minutes before it 03:45.
        #expect(
            texts
                == [("01:36:40", "01:41:40"), ("01:41:40", "01:46:40"), ("01:46:40", "01:51:40"), ("01:51:40", "01:55:00")].map {
                    "SELECT \"kw\" FROM \"power\" WHERE time > '1970-01-02T\($0.0).000Z' AND time <= '1970-01-02T\($0.1).000Z' GROUP BY \"device\""
                })
        #expect(driver.takeDue().isEmpty)
        driver.advance(to: 100_200)
        let next = try #require(driver.takeDue().first)
        #expect(next.text.contains("time > '1970-01-02T01:55:00.000Z' AND time <= '1970-01-02T02:00:00.000Z'"))
        #expect(next.askAt > EngineDriver.instant(100_200) && next.askAt < EngineDriver.instant(100_230))
    }

    @Test(arguments: [
        // A topic that the measurement leaves open is a condition, captures are told by their level.
        ("s/{site}/{dev}/power", "s/{plant}/{device}/{metric}", "\"metric\" = 'power' GROUP BY \"plant\", \"device\""),
        ("s/o'slo/{dev}/power", "s/{place}/{device}/power", "\"place\" = 'o\\'slo' GROUP BY \"device\""),
        ("s/{site}/a/b", "s/{site}/{rest#}", "\"rest\" = 'a/b' GROUP BY \"site\""), ("s/{r#}", "s/{rest#}", "Z' GROUP BY \"rest\""),
        ("s/all", "s/all", "Z'"),
    ]) func `a rule's topics are found in the measurement that has them`(_ on: String, _ topic: String, _ end: String) throws {
        let driver = try Self.driver(
            "expr: kw > avg_over_time(kw, '1h', '1d')", on: "\"\(on)\"", Self.surroundings([Self.measurement("m", topic, retention: "r p")])
        )
        let text = try #require(driver.takeDue().first).text
        #expect(text.hasPrefix("SELECT \"kw\" FROM \"r p\".\"m\" WHERE time > ") && text.hasSuffix(end), "\(text)")
    }

    // MARK: What they say

    static let functions = [
        "avg_over_time(kw", "min_over_time(kw", "max_over_time(kw", "sum_over_time(kw", "count_over_time(kw", "stddev_over_time(kw",
        "stdvar_over_time(kw", "first_over_time(kw", "last_over_time(kw", "quantile_over_time(0.8, kw", "mad_over_time(kw", "changes(kw",
        "resets(kw", "delta(kw", "increase(kw", "rate(kw", "irate(kw", "idelta(kw", "deriv(kw", "zscore(kw",
    ]

    /// For each function two rules, one that is evaluated at readings and when the window moves, and one on the clock.
    private static func everyFunction(_ more: String = "") -> String {
        var yaml = "groups:\n  - name: g\n    on: \(more.isEmpty ? "t/{device}" : more)\n    rules:\n"
        for (number, function) in functions.enumerated() {
            yaml += "      - {alert: R\(number), expr: \"kw > 3.0 + 0.5 * \(function), '40m', '2h')\"}\n"
            yaml += "      - {alert: E\(number), every: 7m, expr: \"kw > 3.0 + 0.5 * \(function), '40m', '2h')\"}\n"
        }
        yaml += "      - {alert: P, expr: \"present_over_time(kw, '3m', '2h')\"}\n"
        return yaml + "      - {alert: N, expr: \"absent_over_time(kw, '3m', '2h') && kw > 0.0\"}\n"
    }

    /// Readings of three devices at odd intervals; one of them is silent for a long time.
    private static func readings(_ hours: Int) -> [(at: Double, device: String, kw: Double)] {
        var random = SplitMix(seed: 7)
        var all: [(at: Double, device: String, kw: Double)] = []
        for (place, device) in ["a", "b", "c"].enumerated() {
            var at = Double(10 + place)
            while at < Double(hours * 3600) {
                if device != "c" || !(9000..<16_000).contains(at) {
                    all.append((at, device, Double(Int(random.next() % 400)) / 20))
                }
                at += Double(20 + random.next() % 90)
            }
        }
        return all.sorted { $0.at < $1.at }
    }

    @Test(arguments: [1, 2, 7]) func `rules decide as with windows over the engine's own samples, at the same instants`(_ shards: Int)
        throws
    {
        let own = try EngineDriver(Self.everyFunction(), shards: shards)
        let recorded = try EngineDriver(Self.everyFunction(), shards: shards, surroundings: Self.surroundings())
        let store = RecordedReadings()
        for reading in Self.readings(6) {
            for driver in [own, recorded] { driver.advance(to: reading.at) }
            store.serve(recorded, at: reading.at)
            store.add(reading.device, "kw", reading.kw, at: reading.at)
            for driver in [own, recorded] { driver.send("t/\(reading.device)", "{\"kw\": \(reading.kw)}", at: reading.at) }
        }
        let (expected, seen) = (own.log(), recorded.log())
        #expect(expected.count > 500 && seen == expected, "\(zip(expected, seen).first { $0 != $1 } as Any)")
    }

    @Test func `windows of a group's several devices are of all of them`() throws {
        let yaml = EngineDriver.yaml("by: []\nexpr: kw > 0.0 && count_over_time(kw, '10m', '2h') > 39.0")
        let own = try EngineDriver(yaml), recorded = try EngineDriver(yaml, surroundings: Self.surroundings())
        let store = RecordedReadings()
        for number in 0..<600 {
            let at = Double(number) * 20
            for driver in [own, recorded] { driver.advance(to: at) }
            store.serve(recorded, at: at)
            for device in number % 200 < 100 ? ["a", "b"] : ["a"] {
                store.add(device, "kw", 1, at: at)
                for driver in [own, recorded] { driver.send("t/\(device)", "{\"kw\": 1}", at: at) }
            }
        }
        let (expected, seen) = (own.log(), recorded.log())
        #expect(seen == expected && expected.count > 2)
    }

    @Test func `until all samples of a window are there it gives no result, and then the rule is evaluated`() throws {
        let store = RecordedReadings()
        for minute in 0..<600 { store.add("a", "kw", 10, at: Double(minute) * 60) }
        let driver = try Self.driver("expr: kw > 2.0 * avg_over_time(kw, '10m', '2h')", start: 36_000)
        driver.send("t/a", #"{"kw": 30}"#, at: 36_000)
        for number in 1...2 { driver.apply(store.answer(try #require(driver.takeDue().last)), at: 36_000 + Double(number)) }
        #expect(driver.log() == [])
        driver.apply(store.answer(try #require(driver.takeDue().last)), at: 36_003)
        #expect(driver.log() == ["36003s A(a) firing"])
    }

    @Test func `a failed query is asked again, the rule's health says why, and what is there holds as long as it reaches`() throws {
        let store = RecordedReadings()
        for minute in 0..<600 { store.add("a", "kw", minute < 490 ? 10 : 20, at: Double(minute) * 60) }
        let driver = try Self.driver("expr: kw > 2.0 * min_over_time(kw, '10m', '2h')", start: 36_000)
        store.serve(driver, at: 36_000)
        driver.send("t/a", #"{"kw": 30}"#, at: 36_000)
        #expect(driver.log() == ["36000s A(a) firing"])
        driver.advance(to: 36_300)
        let due = try #require(driver.takeDue().last)
        driver.apply(QueryOutcome(query: due.id, instant: due.instant, .failed("away")), at: 36_301)
        #expect(driver.status()?.health == .error && driver.status()?.lastError == "away")
        // What was fetched reaches to the next multiple of five minutes. After that the rule keeps its state.
        driver.send("t/a", #"{"kw": 15}"#, at: 36_500)
        #expect(driver.log() == ["36500s A(a) resolved"])
        driver.send("t/a", #"{"kw": 30}"#, at: 36_590)
        driver.send("t/a", #"{"kw": 15}"#, at: 36_700)
        #expect(driver.log() == ["36590s A(a) firing"])
        let again = try #require(driver.takeDue().last)
        #expect(again.text == due.text)
        driver.apply(store.answer(again), at: 36_710)
        #expect(driver.log() == ["36710s A(a) resolved"])
        #expect(driver.status()?.lastError == nil)
    }

    @Test func `event time that is behind has results as far as samples are kept for it`() throws {
        let surroundings = Self.surroundings([Self.measurement("power", "t/{device}", timeField: ["at"])])
        let yaml =
            "groups:\n  - name: g\n    on: [{topic: 't/{device}', time_field: at}]\n    rules:\n      - {alert: A, expr: \"kw > 2.0 * avg_over_time(kw, '10m', '2h')\"}\n"
        let driver = try EngineDriver(yaml, start: 36_000, surroundings: surroundings)
        let store = RecordedReadings()
        for minute in 0..<600 { store.add("a", "kw", 10, at: Double(minute) * 60) }
        store.serve(driver, at: 36_000)
        driver.send("t/a", #"{"kw": 30, "at": 35800}"#, at: 36_001)
        driver.send("t/b", #"{"kw": 30, "at": 35800}"#, at: 36_001)
        #expect(driver.log().map { $0.hasSuffix("A(a) firing") } == [true])
        driver.send("t/a", #"{"kw": 1, "at": 35810}"#, at: 36_002)
        #expect(driver.log().count == 1)
    }

    // MARK: State

    @Test(arguments: [1, 40, 60, 100]) func `restored at any point, they go on as without a stop`(_ stop: Int) throws {
        let driver = try EngineDriver(Self.everyFunction(), shards: 2, surroundings: Self.surroundings())
        let store = RecordedReadings()
        let readings = Self.readings(6)
        func feed(_ drivers: [EngineDriver], _ range: Range<Int>) {
            for reading in readings[range] {
                for driver in drivers {
                    driver.advance(to: reading.at)
                    store.serve(driver, at: reading.at)
                    driver.send("t/\(reading.device)", "{\"kw\": \(reading.kw)}", at: reading.at)
                }
                store.add(reading.device, "kw", reading.kw, at: reading.at)
            }
        }
        feed([driver], 0..<stop * 8)
        _ = driver.take()
        let before = driver.engine.snapshot()
        let other = EngineDriver(engine: try #require(Engine(plan: driver.engine.plan, restoring: before)))
        #expect(other.engine.snapshot() == before)
        #expect(other.engine.unansweredQueries == driver.engine.unansweredQueries)
        feed([driver, other], stop * 8..<stop * 8 + 60)
        let (expected, seen) = (driver.log(), other.log())
        #expect(seen == expected)
        #expect(driver.engine.snapshot() == other.engine.snapshot())
    }

    @Test func `samples are kept over a reload, also where another function is asked of them`() throws {
        let store = RecordedReadings()
        for minute in 0..<600 { store.add("a", "kw", 10, at: Double(minute) * 60) }
        let driver = try Self.driver("expr: kw > 2.0 * avg_over_time(kw, '10m', '2h')", start: 36_000)
        store.serve(driver, at: 36_000)
        let next = EngineDriver.yaml("expr: kw > max_over_time(kw, '10m', '2h') + quantile_over_time(0.5, kw, '10m', '2h')")
        driver.engine.reload(try EngineDriver.plan(next, surroundings: Self.surroundings()), at: EngineDriver.instant(36_001))
        driver.send("t/a", #"{"kw": 20.5}"#, at: 36_002)
        #expect(driver.takeDue().isEmpty)
        #expect(driver.log() == ["36002s A(a) firing"])
    }

    @Test func `after a time away that no window reaches back over, they begin anew`() throws {
        let store = RecordedReadings()
        let driver = try Self.driver("expr: kw > 2.0 * avg_over_time(kw, '10m', '2h')")
        store.serve(driver, at: 0)
        let engine = try #require(Engine(plan: driver.engine.plan, restoring: driver.engine.snapshot()))
        let later = EngineDriver(engine: engine)
        for minute in 0..<6000 { store.add("a", "kw", 10, at: Double(minute) * 60) }
        later.connected(at: 360_000)
        later.backlogEnded(at: 360_000)
        store.serve(later, at: 360_000)
        #expect(store.answers < 12)
        later.send("t/a", #"{"kw": 30}"#, at: 360_001)
        #expect(later.log() == ["360001s A(a) firing"])
    }

    // MARK: What is refused

    @Test(
        arguments: [
            // Within the engine's own history, or hardly shifted: of its own samples.
            ("kw > avg_over_time(kw, '10m', '50m')", []), ("kw > avg_over_time(kw, '5h')", []), ("kw > avg_over_time(kw, '5h', '10m')", []),
            ("kw > avg_over_time(kw, '10m', '51m')", []), ("kw > avg_over_time(payload.kw, '10m', '2h')", []),
            ("kw > avg_over_time(a.b, '10m', '2h')", []), ("kw > avg_over_time(a[0], '10m', '2h')", ["window-history"]),
            ("kw > avg_over_time(kw * 2.0, '10m', '2h')", ["window-history"]),
            ("kw > avg_over_time(config.kw + kw, '10m', '2h')", ["window-history"]),
            ("share_over_time(on, '10m', '2h') > 0.5", ["window-history"]), ("kw > avg_over_last(kw, 10, '2h')", ["window-history"]),
        ] as [(String, [String])]) func `a window beyond the engine's own history takes a plain recorded field`(
            _ expression: String, _ codes: [String]
        ) throws
    {
        #expect(try Self.codes(EngineDriver.yaml("expr: \"\(expression)\""), Self.surroundings()) == codes)
    }

    @Test(arguments: [
        ("t/{device}", measurement("m", "u/{device}")), ("t/{device}", measurement("m", "t/+")), ("t/#", measurement("m", "t/{device}")),
        ("t/{device}", measurement("m", "t/{device}/x")), ("t/{device}", measurement("m", "t/one")),
        ("t/{device}", measurement("m", "t/{device}", timeField: ["at"])), ("t/{device}", measurement("m", "t/{device}", fields: ["w"])),
        ("s/{site}/power", measurement("m", "s/{site}/+")), ("{topic: 't/{m}', value_as: m}", measurement("m", "t/{m}")),
        ("['t/{device}', 'u/{device}']", measurement("m", "t/{device}")),
    ]) func `a rule's readings must be recorded, all and told apart`(_ on: String, _ measurement: RecordedHistory.Measurement) throws {
        let yaml = EngineDriver.yaml("expr: \"kw > avg_over_time(kw, '10m', '2h')\"", on: on)
        #expect(try Self.codes(yaml, Self.surroundings([measurement])) == ["window-history"])
    }

    @Test func `where it is not known what is recorded there is a warning`() throws {
        let yaml = EngineDriver.yaml("expr: \"kw > avg_over_time(kw, '10m', '2h')\"")
        let diagnostics = try Self.diagnostics(yaml, Self.surroundings([], isKnown: false))
        #expect(diagnostics.map(\.code) == ["window-history"] && diagnostics.map(\.severity) == [.warning])
        #expect(diagnostics.map(\.location.line) == [6] && diagnostics.map(\.location.column) == [21])
    }

    private static func diagnostics(_ yaml: String, _ surroundings: Surroundings) throws -> [Diagnostic] {
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: [
            .init(name: "rules.yaml", bytes: Array(yaml.utf8))
        ])
        return EvaluationPlan.compile(try #require(loaded.catalog), surroundings: surroundings).diagnostics
    }

    private static func codes(_ yaml: String, _ surroundings: Surroundings) throws -> [String] {
        try diagnostics(yaml, surroundings).map(\.code)
    }
}

/// What a recorder has written, and what a store says when it is asked for it.
private final class RecordedReadings {
    private var points: [(at: Instant, device: String, field: String, value: Double)] = []
    private(set) var answers = 0

    func add(_ device: String, _ field: String, _ value: Double, at seconds: Double) {
        points.append((EngineDriver.instant(seconds), device, field, value))
    }

    func answer(_ due: DueQuery) -> QueryOutcome {
        answers += 1
        let parts = due.text.split(separator: "'").map(String.init), names = due.text.split(separator: "\"").map(String.init)
        guard parts.count > 3, let after = Instant(rfc3339: parts[1]), let upTo = Instant(rfc3339: parts[3]) else {
            return QueryOutcome(query: due.id, instant: due.instant, .failed("cannot read \(due.text)"))
        }
        let found = points.filter { $0.field == names[1] && after < $0.at && $0.at <= upTo }.sorted { $0.at < $1.at }
        let isGrouped = due.text.hasSuffix("GROUP BY \"device\"")
        let series = (isGrouped ? Set(found.map(\.device)).sorted() : found.isEmpty ? [] : [""]).map { device in
            HistorySeries(
                tags: isGrouped ? ["device": device] : [:], columns: [names[1]],
                rows: found.filter { !isGrouped || $0.device == device }.map { HistoryRow(at: $0.at, [.double($0.value)]) })
        }
        return QueryOutcome(query: due.id, instant: due.instant, .rows(series))
    }

    /// Answers until nothing more is asked.
    func serve(_ driver: EngineDriver, at seconds: Double) {
        while case let due = driver.takeDue(), !due.isEmpty { for query in due { driver.apply(answer(query), at: seconds) } }
    }
}
