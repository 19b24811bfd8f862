import EmbeddedState
import Foundation
import RuleEngine
import RuleLanguage
import TestSupport
import Testing

extension ServerTests {
    /// What is believed after a crash: the server stands where an engine stands that was given the same journal without a stop.
    @Suite(.serialized) struct Recovery {
        static let rules = """
            groups:
              - name: g
                on: $ROOT/{device}
                rules:
                  - alert: High
                    expr: v > 50
                  - alert: HighForLong
                    expr: v > 40
                    for: 400ms
                    keep_firing_for: 200ms
                  - alert: Mean
                    expr: avg_over_time(v, '3s') > 45
                    annotations: {mean: "{{ avg_over_time(v, '3s') }}"}
                  - alert: Middle
                    expr: quantile_over_last(0.5, v, 7) > 48
                  - alert: Step
                    event: true
                    expr: v > previous(v) + 90
                  - alert: Drop
                    sequence: [{expr: v > 60}, {expr: v < 20, within: 300ms}]
                  - alert: Calm
                    sequence: [{expr: v > 60}, {expr: v < 40, within: 2s}, {not: v > 95, within: 60ms}]
                  - alert: Silent
                    expr: v > 1000
                    missing: {after: 700ms, policy: nodata}
            """

        @Test(arguments: [UInt64(1), 2, 3])
        func `kills at random moments: state and decisions are those of one engine without a stop, every reading counts once`(
            _ seed: UInt64
        ) async throws {
            try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_JOURNAL_RETAIN": "1h"], starting: false) { server in
                var chance = SplitMix(seed: seed)
                try await server.start()
                let journal = server.folder.path("data/journal")
                let first = try #require(try CheckpointFile.newest(in: journal).0)
                var sent = 0
                for round in 0..<8 {
                    let moment = Duration.microseconds(Int.random(in: 0...600_000, using: &chance))
                    var parts: [[DevicePublisher.Message]] = []
                    for _ in 0..<10 {
                        parts.append(
                            (0..<20).map { _ in
                                sent += 1
                                return server.reading("d\(sent % 7)", #"{"v": \#(Int.random(in: 0..<100, using: &chance)), "n": \#(sent)}"#)
                            })
                    }
                    let batches = parts
                    async let sending: Void = {
                        for part in batches {
                            try await server.publisher.send(part)
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }()
                    try await Task.sleep(for: moment)
                    await server.kill()
                    if round % 3 == 1 {
                        try server.launch()
                        try await Task.sleep(for: .microseconds(Int.random(in: 0...200_000, using: &chance)))
                        await server.kill()
                    }
                    try await sending
                    try await server.start()
                }
                // A reading of another topic comes behind what the broker kept.
                try await server.send("last", #"{"v": 99}"#)
                #expect(await server.webhook.first("firing", "High", device: "last") != nil)
                try await server.send("last", #"{"v": 30}"#)
                #expect(await server.webhook.first("firing", "Calm", device: "last") != nil)
                #expect(await server.stop() == 0)
                let last = try #require(try CheckpointFile.newest(in: journal).0)
                let replayed = try Self.replay(journal, from: first)
                #expect(replayed.readings == Set(1...sent) && replayed.readingCount == sent, "\(replayed.readingCount) readings of \(sent)")
                let recovered = try #require(Engine(plan: try Self.plan(last.rules, journal), restoring: last.state))
                #expect(Bool(recovered.snapshot() == replayed.state), "the state differs")
                try await Self.compareEffects(server, replayed.transitions)
            }
        }

        /// What was told is what one engine decided, once each.
        private static func compareEffects(_ server: ServerBench, _ transitions: [AlertTransition]) async throws {
            let ids = transitions.map(\.id)
            #expect(Set(ids).count == ids.count)
            let decided = Set(
                transitions.filter { $0.alert.state == .firing && $0.from != .recovering && !$0.isOccurrence }.map {
                    "\($0.alert.labels["alertname"] ?? "") \($0.alert.labels["device"] ?? "") \($0.alert.firedAt?.description ?? "")"
                })
            #expect(decided.count > 20)
            let told = Set(
                ["High", "HighForLong", "Mean", "Middle"].flatMap { server.webhook.alerts("firing", $0) }.map {
                    "\($0.labels["alertname"] ?? "") \($0.labels["device"] ?? "") \($0.startsAt)"
                })
            // An episode that ended before its notification went out is not told of; nothing is told that was not decided.
            #expect(told.subtracting(decided).isEmpty, "told and not decided: \(told.subtracting(decided).sorted().prefix(3))")
            for alert in ["Step", "Drop", "Calm"] {
                let occurrences = transitions.filter { $0.isOccurrence && $0.alert.rule.alert == alert }
                #expect(!occurrences.isEmpty, "\(alert)")
                let told = Set(server.webhook.alerts("firing", alert).map(\.startsAt))
                #expect(told.isSubset(of: Set(occurrences.compactMap { $0.alert.firedAt?.description })), "\(alert)")
            }
        }

        private static func plan(_ name: String, _ journal: String) throws -> EvaluationPlan {
            let document = try Document(json: try Data(contentsOf: URL(fileURLWithPath: "\(journal)/rules-\(name).json")))
            let files = (document["files"]?.array ?? []).map {
                RuleLoader.Source(name: $0["name"]?.string ?? "", bytes: Array(($0["text"]?.string ?? "").utf8))
            }
            let catalog = try #require(RuleLoader(environment: RuleLanguageEnvironment.standard).load(files: files).catalog)
            return try #require(EvaluationPlan.compile(catalog).plan)
        }

        private struct Replayed {
            var state: [UInt8]
            var transitions: [AlertTransition] = []
            var readings = Set<Int>()
            var readingCount = 0
        }

        private static func replay(_ journal: String, from first: CheckpointFile) throws -> Replayed {
            let engine = try #require(Engine(plan: try plan(first.rules, journal), restoring: first.state))
            let reading = try JournalReading(path: journal, from: first.position, repairing: false)
            var replayed = Replayed(state: [])
            try reading.forEach(after: first.position) { record in
                guard case .input(let input)? = EngineInput.decode(record.content) else {
                    Issue.record("input \(record.position) cannot be read")
                    return true
                }
                for number in numbers(input) {
                    replayed.readings.insert(number)
                    replayed.readingCount += 1
                }
                engine.apply(input, at: record.instant)
                replayed.transitions += engine.takeEffects().transitions
                return true
            }
            replayed.state = engine.snapshot()
            return replayed
        }

        /// The readings' own numbers.
        private static func numbers(_ input: EngineInput) -> [Int] {
            guard case .readings(let batch) = input else { return [] }
            return batch.entries.compactMap { entry in
                let start = entry.start + entry.topicLength
                return (try? Document(json: Data(batch.bytes[start..<start + entry.payloadLength])))?["n"]?.int.map { Int($0) }
            }
        }

        @Test func `a restart in the middle of a window and of a 'for' fires at the same instant as without one`() async throws {
            let rules = """
                groups:
                  - name: g
                    on: $ROOT/{device}
                    rules:
                      - {alert: Mean, expr: "avg_over_time(v, '8s') > 10"}
                      - {alert: Long, expr: "v > 5", for: 6s}
                """
            try await ServerBench.with(rules: rules) { server in
                // Each in a batch of its own, so that the two leave the window one after the other.
                let low = try await Self.instants {
                    try await server.send("a", #"{"v": 0}"#)
                } until: {
                    await server.metric("nodesphere_readings_total") == 1
                }
                let high = try await Self.instants {
                    try await server.send("a", #"{"v": 20}"#)
                } until: {
                    await server.metric("nodesphere_readings_total") == 2
                }
                try await Task.sleep(for: .milliseconds(1500))
                await server.kill()
                try await server.start()
                // The mean is 10 until the 0 leaves the window, 8 s after it came.
                let mean = try #require(await server.webhook.first("firing", "Mean", device: "a"))
                let long = try #require(await server.webhook.first("firing", "Long", device: "a"))
                // When the server decided it: how soon that is told depends on what else the machine does.
                for (alert, came, after) in [(mean, low, Int64(8)), (long, high, 6)] {
                    let firedAt = try #require(Instant(rfc3339: alert.startsAt))
                    #expect(came.contains(firedAt + -after * 1_000_000_000), "\(alert.labels): \(firedAt), not \(after) s after \(came)")
                }
            }
        }

        /// Between which instants the server took something in, with what two clocks may differ by.
        private static func instants(of sending: () async throws -> Void, until isThere: () async -> Bool) async throws
            -> ClosedRange<Instant>
        {
            let start = AMQPBench.wallClock()
            try await sending()
            #expect(await eventually { await isThere() })
            return start + -50_000_000...AMQPBench.wallClock() + 50_000_000
        }

        @Test func `without a journal windows are those of the last clean stop, and alerts those of the store`() async throws {
            let rules = """
                groups:
                  - name: g
                    on: $ROOT/{device}
                    rules:
                      - {alert: Three, expr: "count_over_time(v, '5m') >= 3.0"}
                      - {alert: High, expr: "v > 50"}
                """
            try await ServerBench.with(rules: rules, settings: ["NODESPHERE_JOURNAL_ENABLED": "false"]) { server in
                try await server.send("a", #"{"v": 60}"#)
                try await server.send("a", #"{"v": 61}"#)
                #expect(await server.webhook.first("firing", "High", device: "a") != nil)
                #expect(await server.stop() == 0)
                try await server.start()
                try await server.send("a", #"{"v": 62}"#)
                #expect(await server.webhook.first("firing", "Three", device: "a") != nil)
                #expect(server.webhook.alerts("firing", "High").count == 1)
            }
        }

        @Test func `a damaged journal stops the start with a message, and --repair goes on`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                let journal = URL(fileURLWithPath: server.folder.path("data/journal"))
                func files(_ prefix: String) throws -> [URL] {
                    try FileManager.default.contentsOfDirectory(at: journal, includingPropertiesForKeys: nil)
                        .filter { $0.lastPathComponent.hasPrefix(prefix) }.sorted { $0.path < $1.path }
                }
                let first = try #require(try files("checkpoint-").last), segment = try #require(try files("segment-").last)
                let checkpoint = try Data(contentsOf: first)
                // Where the readings below come to stand: what is behind is reserved.
                let end = try #require(Data(contentsOf: segment, options: .alwaysMapped).firstRange(of: Data(count: 64))).lowerBound
                for number in 0..<50 { try await server.send("a", #"{"v": \#(number)}"#) }
                await server.kill()
                // What was before a checkpoint is not read again, and there is one every five seconds.
                for file in try files("checkpoint-") { try FileManager.default.removeItem(at: file) }
                try checkpoint.write(to: first)
                var bytes = try Data(contentsOf: segment)
                bytes[end + 400] ^= 0x55
                try bytes.write(to: segment)
                try server.launch()
                #expect(await server.ended() == 1)
                #expect(server.log.contains("--repair") && server.log.contains("is damaged at byte"))
                try server.launch(["serve", "--repair"])
                try await server.ready()
                #expect(server.logLines("the journal goes on with what is whole").count == 1)
                try await server.send("a", #"{"v": 99}"#)
                #expect(await server.webhook.first("firing", "High", device: "a") != nil)
            }
        }

        @Test func `a data folder of another installation than the store's is refused`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                #expect(await server.stop() == 0)
                try Data("another".utf8).write(to: URL(fileURLWithPath: server.folder.path("data/installation")))
                try server.launch()
                #expect(await server.ended() == 1)
                #expect(server.log.contains("belongs to installation another"))
            }
        }

        @Test(.usesRabbitMQAndMongoDB, .enabled(if: Backing.available.contains(.servers), "needs scripts/services up rabbitmq mongodb"))
        func `with the data folder lost, alerts come from the store`() async throws {
            try await ServerBench.with(.servers, rules: Self.rules) { server in
                try await server.send("a", #"{"v": 60}"#)
                #expect(await server.webhook.first("firing", "High", device: "a") != nil)
                await server.kill()
                try FileManager.default.removeItem(atPath: server.folder.path("data"))
                try await server.start()
                #expect(await server.alerts("state=firing&label=alertname=High").count == 1)
                try await server.send("a", #"{"v": 0}"#)
                #expect(await server.webhook.first("resolved", "High", device: "a") != nil)
                #expect(server.webhook.alerts("firing", "High").count == 1)
            }
        }
    }
}
