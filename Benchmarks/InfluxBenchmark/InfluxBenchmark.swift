import BenchmarkHarness
import EmbeddedState
import Foundation
import Glibc
import InfluxWindows
import Logging
import RuleEngine
import RuleLanguage

/// What a rule over 1,000 stored series costs beyond InfluxDB's own time: from asking for a 15-minute mean until every instance is evaluated, beside libcurl fetching the same answer.
///
/// `influx-benchmark [--json] [--quick]`
@main
struct InfluxBenchmark {
    static func main() async {
        do {
            let arguments = CommandLine.arguments.dropFirst()
            let report = Report("influx", isJSON: arguments.contains("--json"))
            try await QueryCost(isQuick: arguments.contains("--quick")).measure(report)
        } catch {
            say("influx-benchmark: \(error)")
            exit(1)
        }
    }
}

struct QueryCost {
    let isQuick: Bool

    private static let series = 1000
    private static let every = Duration.seconds(300)
    /// 15 minutes at a point in ten seconds.
    private static let pointsOfSeries = 90

    /// Of each run the bare fetch and ours, one after the other, each being first in turn; what ours takes beyond is of the pair.
    func measure(_ report: Report) async throws {
        let server = try InfluxServer.ofEnvironment()
        let database = "benchmark_\(getpid())"
        let bare = BareClient(server)
        try bare.ask("CREATE DATABASE \(database)", database: "")
        defer { try? bare.ask("DROP DATABASE \(database)", database: "") }
        let start = Instant(nanoseconds: Int64(Date().timeIntervalSince1970) / 300 * 300_000_000_000)
        try fill(bare, database, upTo: start)
        let history = InfluxWindowHistory(
            try InfluxConfiguration(url: server.url, database: database, username: server.username, password: server.password))
        let folder = NSTemporaryDirectory() + "nodesphere-influx-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let journal = try InputJournal(path: folder, after: 0, logger: Logger(label: "benchmark"))
        defer { journal.close() }

        // Later instants ask the same: what is stored does not go on.
        let text = try asking(start).query.text
        for isNew in [true, false] {
            var ours: [Double] = []
            var fetches: [Double] = []
            var processor: [Double] = []
            let known = try asking(start)
            if !isNew { _ = try await answer(known, text, history, journal) }
            for run in 0..<(isQuick ? 10 : 40) {
                let asked = try isNew ? asking(start) : next(known.engine)
                if run.isMultiple(of: 2) { fetches.append(try bare.time(text, database: database)) }
                let begin = processorMilliseconds()
                ours.append(try await answer(asked, text, history, journal))
                processor.append(processorMilliseconds() - begin)
                if !run.isMultiple(of: 2) { fetches.append(try bare.time(text, database: database)) }
            }
            try write(report, isNew ? "1000 series, new instances" : "1000 series, known instances", ours, fetches, processor)
        }
    }

    private func write(_ report: Report, _ name: String, _ ours: [Double], _ fetches: [Double], _ processor: [Double]) throws {
        guard let all = Samples(ours), let bare = Samples(fetches), let beyond = Samples(zip(ours, fetches).map { $0 - $1 }),
            let own = Samples(processor)
        else { return }
        report.write(name, "milliseconds", all, reference: bare)
        report.write(name, "milliseconds_beyond_fetch", beyond)
        report.write(name, "processor_milliseconds", own)
    }

    private static let rules = """
        groups:
          - name: g
            rules:
              - alert: High
                every: 5m
                influx: SELECT mean(kw) AS kw FROM meters WHERE time > now() - 15m AND time <= now() GROUP BY device
                expr: kw > 900
                annotations: {summary: "{{ device }} draws {{ kw }}"}
        """

    /// An engine that has just asked for its first rows.
    private func asking(_ start: Instant) throws -> (engine: Engine, query: DueQuery) {
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: [
            RuleLoader.Source(name: "benchmark.yaml", bytes: Array(Self.rules.utf8))
        ])
        guard let plan = loaded.catalog.flatMap({ EvaluationPlan.compile($0).plan }) else {
            throw BenchmarkFailure("the rules were refused")
        }
        let engine = Engine(plan: plan)
        engine.connected(at: start + -1)
        engine.backlogEnded(at: start + -1)
        return try next(engine)
    }

    /// The engine at the next instant for which it asks.
    private func next(_ engine: Engine) throws -> (engine: Engine, query: DueQuery) {
        for _ in 0..<10 {
            guard let due = engine.nextDue else { break }
            engine.advance(to: due)
            if let query = engine.takeEffects().dueQueries.first { return (engine, query) }
        }
        throw BenchmarkFailure("the rule asks nothing")
    }

    /// Milliseconds from asking until the rows are in the journal's buffer and every instance is evaluated, as the server does it.
    private func answer(
        _ asked: (engine: Engine, query: DueQuery), _ text: String, _ history: InfluxWindowHistory, _ journal: InputJournal
    ) async throws -> Double {
        let (engine, query) = asked
        let before = engine.counters.evaluations
        let begin = monotonicSeconds()
        let series = try await history.rows(of: text, within: .seconds(30))
        let input = EngineInput.rows(QueryOutcome(query: query.id, instant: query.instant, .rows(series)))
        let position = journal.append(input, at: engine.reached)
        engine.apply(input, at: engine.reached)
        let effects = engine.takeEffects()
        let milliseconds = (monotonicSeconds() - begin) * 1000
        guard journal.wait(for: position, atMost: .seconds(60)) else { throw BenchmarkFailure("the journal stands still") }
        let evaluations = engine.counters.evaluations - before
        guard evaluations == UInt64(Self.series), engine.counters.subjects == Self.series else {
            throw BenchmarkFailure("\(evaluations) evaluations, \(effects.transitions.count) transitions of \(series.count) series")
        }
        return milliseconds
    }

    private func fill(_ bare: BareClient, _ database: String, upTo end: Instant) throws {
        for point in 0..<Self.pointsOfSeries {
            let at = end.nanoseconds - Int64(point) * 10_000_000_000
            var lines = ""
            for device in 0..<Self.series {
                lines += "meters,site=s\(device % 20),device=m\(device) kw=\(device).\(point % 10),volts=230 \(at)\n"
            }
            try bare.write(lines, database: database)
        }
    }
}

/// Of all threads of this process: what is ours, whatever the server and others on the machine do meanwhile.
private func processorMilliseconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now)
    return Double(now.tv_sec) * 1e3 + Double(now.tv_nsec) * 1e-6
}
