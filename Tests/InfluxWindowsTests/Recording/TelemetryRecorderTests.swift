import Foundation
import Logging
import RuleEngine
import Synchronization
import TestSupport
import Testing

@testable import InfluxWindows

/// The recorder against a server that answers as it is told.
@Suite(.timeLimit(.minutes(5))) struct TelemetryRecorderTests {
    /// What `/write` and `/query` are answered, and what the log was told.
    final class Script: Sendable {
        let writes = Mutex<@Sendable (LoopbackServer.Request) -> LoopbackServer.Answer>({ _ in .init(status: 204) })
        let queries = Mutex<@Sendable (LoopbackServer.Request) -> LoopbackServer.Answer>({ _ in .init(body: #"{"results":[{}]}"#) })
        let told = Mutex<[String]>([])

        func answer(_ request: LoopbackServer.Request) -> LoopbackServer.Answer {
            (request.head.hasPrefix("POST /write") ? writes.withLock { $0 } : queries.withLock { $0 })(request)
        }
    }

    /// A recorder with a folder and a server of its own.
    final class Bench: Sendable {
        let path = NSTemporaryDirectory() + "recorder-\(UUID().uuidString)"
        let script = Script()
        let server: LoopbackServer
        /// Rings when the recorder has done something.
        private let (turns, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

        init() { server = LoopbackServer { [script] in script.answer($0) } }

        func recorder(
            _ change: (inout RecorderSettings) -> Void = { _ in }, turned: @escaping @Sendable () -> Void = {}
        ) throws -> TelemetryRecorder {
            var settings = RecorderSettings(measurements: [.init(name: "m", topic: try TopicFilter("t/{device}"))])
            settings.batchInterval = .milliseconds(10)
            change(&settings)
            let logger = Logger(label: "test") { [script] _ in Recording(lines: { line in script.told.withLock { $0.append(line) } }) }
            return try TelemetryRecorder(
                settings, influx: InfluxConfiguration(url: server.url, database: "db", username: "u", password: "s3cret"), path: path,
                logger: logger,
                turned: { [ring] in
                    ring.yield()
                    turned()
                })
        }

        /// Waits until something is so that a turn of the recorder brings about.
        func eventually(_ isSo: () -> Bool) async -> Bool {
            if isSo() { return true }
            for await _ in turns where isSo() { return true }
            return false
        }

        /// Bodies of `/write` that were answered with success.
        var lines: [String] {
            server.requests.filter { $0.head.hasPrefix("POST /write") }.flatMap { $0.text.split(separator: "\n").map(String.init) }
        }
        var statements: [String] {
            server.requests.filter { $0.head.hasPrefix("POST /query") }.compactMap {
                $0.text.split(separator: "&").first { $0.hasPrefix("q=") }?.dropFirst(2).removingPercentEncoding
            }
        }

        /// The journal's position as it was saved.
        func stop(_ recorder: TelemetryRecorder) async -> UInt64? {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    recorder.stop()
                    continuation.resume()
                }
            }
            return recorder.position
        }

        deinit {
            server.stop()
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private struct Recording: LogHandler {
        var logLevel = Logger.Level.trace
        var metadata = Logger.Metadata()
        let lines: @Sendable (String) -> Void
        init(lines: @escaping @Sendable (String) -> Void) { self.lines = lines }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { lines("\(event.level) \(event.message)") }
    }

    private static func batch(_ numbers: Range<Int>) -> MessageBatch {
        var batch = MessageBatch()
        for number in numbers { batch.append(topic: "t/d\(number)", payload: Array("\(number)".utf8)) }
        return batch
    }

    private static func line(_ number: Int, at: Int64) -> String { "m,device=d\(number) value=\(number) \(at)" }

    @Test func `readings are written with rising times, and the position of the journal follows`() async throws {
        let bench = Bench()
        let recorder = try bench.recorder()
        recorder.add(Self.batch(0..<3), at: Instant(nanoseconds: 1_000), position: 7)
        #expect(await bench.eventually { recorder.counts.written == 3 })
        #expect(bench.lines == [Self.line(0, at: 1_000), Self.line(1, at: 1_001), Self.line(2, at: 1_002)])
        let head = bench.server.requests.first { $0.head.hasPrefix("POST /write") }?.head ?? ""
        #expect(head.hasPrefix("POST /write?db=db&precision=ns HTTP/1.1\r\n") && head.contains("Authorization: Basic"))
        #expect(recorder.unreadyReason == nil)
        #expect(await bench.stop(recorder) == 7)
    }

    @Test func `a disk that failed is not asked again, nor told of, when everything is written`() throws {
        let path = NSTemporaryDirectory() + "recorder-\(UUID().uuidString)"
        let spool = try Spool(folder: path, maximumSize: 1 << 20)
        try FileManager.default.removeItem(atPath: path)
        let settings = RecorderSettings(measurements: [.init(name: "m", topic: try TopicFilter("t/{device}"))])
        let loop = RecorderLoop(
            settings: settings, spool: spool, folder: RecorderFolder(path: path),
            report: RecorderReport(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, address: "here"), send: { _ in })
        var now = ContinuousClock.now
        func turn(_ reply: RecorderLoop.Reply? = nil, readings: Range<Int> = 0..<0) -> ContinuousClock.Instant? {
            now += .seconds(60)
            let incoming = TelemetryRecorder.Incoming(batch: Self.batch(readings), at: Instant(nanoseconds: 1), position: nil)
            return loop.turn(readings.isEmpty ? [] : [incoming], reply, at: now, isStopping: false)
        }
        let isSetUp = RecorderLoop.Reply.setUp(.done(changes: [], refusals: []))
        _ = turn()
        _ = turn(isSetUp, readings: 0..<1)
        _ = turn()
        _ = turn(.wrote(.unavailable(reason: "away", retryAfter: nil)))
        #expect(loop.unreadyReason == "away" && loop.present.waitingPoints == 1)
        _ = turn()
        _ = turn(isSetUp)
        #expect(turn(.wrote(.written)) == nil)
        #expect(turn() == nil && loop.unreadyReason == nil && loop.present.written == 1)
    }

    @Test func `a stop that comes during a turn is noticed`() async throws {
        let bench = Bench()
        let count = Mutex(0)
        let (turns, ring) = AsyncStream.makeStream(of: Void.self)
        let mayEnd = DispatchSemaphore(value: 0)
        let recorder = try bench.recorder(turned: {
            // The first sends the set-up, the second takes its answer: after that nothing would wake it.
            let isSecond = count.withLock {
                $0 += 1
                return $0 == 2
            }
            guard isSecond else { return }
            ring.yield()
            mayEnd.wait()
        })
        for await _ in turns { break }
        async let position = bench.stop(recorder)
        while !recorder.isStopping { await Task.yield() }
        mayEnd.signal()
        _ = await position
        #expect(recorder.counts.written == 0)
    }

    @Test func `the set-up is made before the first write, in full`() async throws {
        let bench = Bench()
        let recorder = try bench.recorder {
            $0.measurements[0].retention = "raw"
            $0.retentions = [
                .init(name: "raw", duration: .seconds(86_400 * 30), isDefault: true),
                .init(name: "years", duration: nil, shard: .seconds(86_400 * 7)),
            ]
            $0.downsamplings = [
                .init(
                    name: "m_15m", source: "m", every: .seconds(900), functions: ["mean", "max"], retention: "years",
                    resample: .seconds(3600))
            ]
        }
        recorder.add(Self.batch(0..<1), at: Instant(nanoseconds: 1), position: nil)
        #expect(await bench.eventually { recorder.counts.written == 1 })
        #expect(
            bench.statements == [
                #"CREATE DATABASE "db""#,
                #"CREATE RETENTION POLICY "raw" ON "db" DURATION 4w2d REPLICATION 1 DEFAULT"#,
                #"CREATE RETENTION POLICY "years" ON "db" DURATION INF REPLICATION 1 SHARD DURATION 1w"#,
                #"CREATE CONTINUOUS QUERY "m_15m" ON "db" RESAMPLE FOR 1h BEGIN SELECT mean(*), max(*) INTO "db"."years"."m_15m" FROM "db"."raw"."m" GROUP BY time(15m), * END"#,
            ])
        #expect(bench.server.requests.last?.head.hasPrefix("POST /write?db=db&precision=ns&rp=raw ") == true)
        _ = await bench.stop(recorder)
    }

    @Test(arguments: ["retention policy already exists", "retention policy conflicts with an existing policy"])
    func `a policy that is there with other values is altered, a query with another text replaced`(words: String) async throws {
        let bench = Bench()
        let isDropped = Mutex(false)
        bench.script.queries.withLock {
            $0 = { request in
                func error(_ text: String) -> LoopbackServer.Answer { .init(body: "{\"results\":[{\"error\":\"\(text)\"}]}") }
                if request.text.contains("q=CREATE%20RETENTION") { return error(words) }
                if request.text.contains("q=DROP") { isDropped.withLock { $0 = true } }
                if request.text.contains("q=CREATE%20CONTINUOUS"), !isDropped.withLock({ $0 }) {
                    return error("continuous query already exists")
                }
                return .init(body: #"{"results":[{}]}"#)
            }
        }
        let recorder = try bench.recorder {
            $0.retentions = [.init(name: "raw", duration: .seconds(7_200))]
            $0.downsamplings = [.init(name: "m_1m", source: "m", every: .seconds(60), functions: ["mean"])]
        }
        try #require(await bench.eventually { bench.statements.count == 6 })
        #expect(bench.statements[2] == #"ALTER RETENTION POLICY "raw" ON "db" DURATION 2h"#)
        #expect(bench.statements[4] == #"DROP CONTINUOUS QUERY "m_1m" ON "db""# && bench.statements[3] == bench.statements[5])
        #expect(await bench.eventually { bench.script.told.withLock { $0.count { $0.hasPrefix("notice InfluxDB: ") } } == 2 })
        _ = await bench.stop(recorder)
    }

    /// As InfluxDB 2 and 3 do, and 1.x to who is no administrator.
    @Test(arguments: [(403, #"{"error":"not authorized"}"#), (200, #"{"results":[{"error":"not implemented"}]}"#), (500, "no such thing")])
    func `a server that refuses the set-up records all the same, and it is told once`(status: Int, body: String) async throws {
        let bench = Bench()
        bench.script.queries.withLock { $0 = { _ in .init(status: status, body: body) } }
        let recorder = try bench.recorder { $0.retentions = [.init(name: "raw", duration: nil)] }
        for number in 0..<3 {
            recorder.add(Self.batch(number..<number + 1), at: Instant(nanoseconds: Int64(number)), position: nil)
            #expect(await bench.eventually { recorder.counts.written == number + 1 })
        }
        let warnings = bench.script.told.withLock { $0.filter { $0.hasPrefix("warning") } }
        #expect(warnings.count == 2 && warnings.allSatisfy { $0.contains("recording goes on") }, "\(warnings)")
        _ = await bench.stop(recorder)
    }

    @Test func `while InfluxDB is away readings wait on the disk, and come in order when it is back, told once each`() async throws {
        let bench = Bench()
        let isAway = Mutex(true)
        bench.script.writes.withLock { $0 = { _ in isAway.withLock { $0 } ? .init(status: 503, body: "busy") : .init(status: 204) } }
        let recorder = try bench.recorder()
        for number in 0..<50 {
            recorder.add(Self.batch(number..<number + 1), at: Instant(nanoseconds: Int64(number)), position: UInt64(number))
            guard number % 10 == 0 else { continue }
            #expect(await bench.eventually { recorder.counts.requestsFailed > 0 && recorder.counts.queueBytes == 0 })
        }
        #expect(await bench.eventually { recorder.counts.spoolPoints == 50 })
        #expect(recorder.unreadyReason == "InfluxDB answered 503: busy" && recorder.counts.written == 0)
        let tried = bench.lines.count
        isAway.withLock { $0 = false }
        #expect(await bench.eventually { recorder.counts.written == 50 && recorder.counts.spoolBytes == 0 })
        #expect(Array(bench.lines.dropFirst(tried).suffix(50)) == (0..<50).map { Self.line($0, at: Int64($0)) })
        #expect(recorder.unreadyReason == nil)
        let levels = bench.script.told.withLock { $0.map { $0.prefix(while: { $0 != " " }) } }
        #expect(levels == ["error", "notice", "notice"], "\(bench.script.told.withLock { $0 })")
        #expect(await bench.stop(recorder) == 49)
    }

    @Test func `what a stop leaves unwritten is written by the next run`() async throws {
        let bench = Bench()
        bench.script.writes.withLock { $0 = { _ in .init(status: 500) } }
        let first = try bench.recorder()
        first.add(Self.batch(0..<5), at: Instant(nanoseconds: 1), position: 3)
        #expect(await bench.stop(first) == 3)
        let tried = bench.lines.count
        bench.script.writes.withLock { $0 = { _ in .init(status: 204) } }
        let second = try bench.recorder()
        #expect(await bench.eventually { second.counts.written == 5 })
        #expect(Array(bench.lines.dropFirst(tried)) == (0..<5).map { Self.line($0, at: 1 + Int64($0)) })
        _ = await bench.stop(second)
    }

    @Test func `points that are refused are counted, told once, and not written again`() async throws {
        let bench = Bench()
        bench.script.writes.withLock {
            $0 = { request in
                request.text.contains("d13 ")
                    ? .init(status: 400, body: #"{"error":"partial write: field type conflict: input field \"value\" dropped=1"}"#)
                    : .init(status: 204)
            }
        }
        let recorder = try bench.recorder()
        for round in 0..<3 {
            recorder.add(Self.batch(10..<20), at: Instant(nanoseconds: Int64(round) * 1_000), position: nil)
            #expect(await bench.eventually { recorder.counts.written == 9 * (round + 1) })
        }
        #expect(recorder.counts.refused == 3 && bench.lines.count == 30)
        let warnings = bench.script.told.withLock { $0.filter { $0.hasPrefix("warning") } }
        #expect(warnings.count == 1 && warnings.first?.contains("field type conflict") == true, "\(warnings)")
        _ = await bench.stop(recorder)
    }

    @Test func `a request that is too large is halved until it fits`() async throws {
        let bench = Bench()
        bench.script.writes.withLock { $0 = { $0.text.utf8.count > 100 ? .init(status: 413) : .init(status: 204) } }
        let recorder = try bench.recorder()
        recorder.add(Self.batch(0..<100), at: Instant(nanoseconds: 1), position: nil)
        #expect(await bench.eventually { recorder.counts.written == 100 })
        let fitting = bench.server.requests.filter { $0.head.hasPrefix("POST /write") && $0.text.utf8.count <= 100 }
        #expect(fitting.flatMap { $0.text.split(separator: "\n") } == (0..<100).map { Self.line($0, at: 1 + Int64($0))[...] })
        #expect(recorder.counts.refused == 0)
        _ = await bench.stop(recorder)
    }

    @Test func `a database that has gone is made again`() async throws {
        let bench = Bench()
        let isThere = Mutex(false)
        bench.script.queries.withLock {
            $0 = { _ in
                isThere.withLock { $0 = true }
                return .init(body: #"{"results":[{}]}"#)
            }
        }
        bench.script.writes.withLock {
            $0 = { _ in isThere.withLock { $0 } ? .init(status: 204) : .init(status: 404, body: #"{"error":"database not found: \"db\""}"#)
            }
        }
        let recorder = try bench.recorder()
        recorder.add(Self.batch(0..<1), at: Instant(nanoseconds: 1), position: nil)
        #expect(await bench.eventually { recorder.counts.written == 1 })
        isThere.withLock { $0 = false }
        recorder.add(Self.batch(1..<2), at: Instant(nanoseconds: 2), position: nil)
        #expect(await bench.eventually { recorder.counts.written == 2 })
        _ = await bench.stop(recorder)
    }

    @Test func `a full queue drops what comes, counts it, and nobody waits`() async throws {
        let bench = Bench()
        let isAdded = DispatchSemaphore(value: 0)
        // No write is answered before the last batch was added: whoever waited for room would wait for ever.
        bench.script.writes.withLock {
            $0 = { _ in
                isAdded.wait()
                isAdded.signal()
                return .init(status: 204)
            }
        }
        let recorder = try bench.recorder { $0.queueSize = 1_000 }
        let batches = 2_000
        for number in 0..<batches { recorder.add(Self.batch(0..<10), at: Instant(nanoseconds: Int64(number) * 10), position: nil) }
        isAdded.signal()
        #expect(await bench.eventually { recorder.counts.written + recorder.counts.queueDropped == batches * 10 })
        #expect(recorder.counts.queueDropped > 0)
        _ = await bench.stop(recorder)
    }

    @Test func `a batch is written when it is full, whatever the interval`() async throws {
        let bench = Bench()
        let recorder = try bench.recorder {
            $0.batchInterval = .seconds(3600)
            $0.batchSize = 10
        }
        recorder.add(Self.batch(0..<25), at: Instant(nanoseconds: 1), position: 1)
        #expect(await bench.eventually { recorder.counts.written == 20 })
        _ = await bench.stop(recorder)
        #expect(recorder.counts.written == 25 && bench.lines.count == 25)
    }

    @Test func `what continuous queries missed is computed when everything is written`() async throws {
        let bench = Bench()
        let isAway = Mutex(true)
        bench.script.writes.withLock { $0 = { _ in isAway.withLock { $0 } ? .init(status: 503) : .init(status: 204) } }
        let recorder = try bench.recorder {
            $0.downsamplings = [.init(name: "m_1m", source: "m", every: .seconds(60), functions: ["mean"])]
        }
        recorder.add(Self.batch(0..<1), at: Instant(nanoseconds: 600_000_000_001), position: nil)
        #expect(await bench.eventually { recorder.counts.spoolPoints == 1 })
        isAway.withLock { $0 = false }
        let fill =
            #"SELECT mean(*) INTO "db".."m_1m" FROM "db".."m" WHERE time >= 540000000000 AND time < 660000000000 GROUP BY time(1m), *"#
        #expect(await bench.eventually { bench.statements.last == fill }, "\(bench.statements)")
        #expect(recorder.counts.written == 1)
        _ = await bench.stop(recorder)
        #expect(bench.statements.count { $0 == fill } == 1)
    }
}
