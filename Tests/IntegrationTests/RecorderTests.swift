import Foundation
import RuleEngine
import TestSupport
import Testing

@testable import InfluxWindows

extension ServerTests {
    /// Readings through Mosquitto and `nodesphere serve` into InfluxDB, asked for past our own adapter.
    @Suite(.serialized, .usesInfluxDB, .enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
    struct Recorder {
        private static let rules = "groups:\n  - name: g\n    on: $ROOT/nothing/{device}\n    rules: [{alert: A, expr: x > 1}]\n"

        private static func settings(_ influx: InfluxBench, _ more: [String: String] = [:]) -> [String: String] {
            influx.settings.merging([
                "NODESPHERE_RECORDER_ENABLED": "true", "NODESPHERE_RECORDER_MEASUREMENTS_NAB_TOPIC": "$ROOT/{device}",
                "NODESPHERE_RECORDER_BATCH_INTERVAL": "50ms",
            ]) { $1 }.merging(more) { $1 }
        }

        /// A series of the Numenta Anomaly Benchmark.
        struct Series {
            var device: String
            /// RFC 3339, and the value as the file writes it.
            var rows: [(at: String, value: String)]

            /// Its first rows.
            init(_ device: String, file: String, rows count: Int) throws {
                self.device = device
                let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Data/nab/\(file).csv")
                rows = try String(contentsOf: path, encoding: .utf8).split(whereSeparator: \.isNewline).dropFirst().prefix(count).map {
                    line in
                    let cells = line.split(separator: ",").map(String.init)
                    return (cells[0].replacingOccurrences(of: " ", with: "T") + "Z", cells[1])
                }
            }

            /// Value by nanoseconds; of an instant that stands twice the last one.
            func values(_ rows: Range<Int>? = nil) -> [Int64: Double] {
                Dictionary(
                    self.rows[rows ?? 0..<self.rows.count].map { (Instant(rfc3339: $0.at)?.nanoseconds ?? 0, Double($0.value) ?? .nan) }
                ) { $1 }
            }

            func messages(_ server: ServerBench, _ rows: Range<Int>? = nil) -> [DevicePublisher.Message] {
                self.rows[rows ?? 0..<self.rows.count].map { server.reading(device, "{\"ts\": \"\($0.at)\", \"value\": \($0.value)}") }
            }
        }

        private static func stored(_ influx: InfluxBench, _ device: String) async throws -> [Int64: Double] {
            Dictionary(
                try await influx.rows("SELECT value FROM nab WHERE device = '\(device)'").compactMap { row in
                    guard let at = row[0].int, let value = row[1].number else { return nil }
                    return (at, value)
                }
            ) { _, last in last }
        }

        @Test func `series played through MQTT are queried back value by value`() async throws {
            let all = [
                try Series("ec2", file: "ec2_request_latency_system_failure", rows: 900),
                try Series("keys", file: "rogue_agent_key_hold", rows: 900),
            ]
            try await InfluxBench.with { influx in
                let settings = Self.settings(influx, ["NODESPHERE_RECORDER_MEASUREMENTS_NAB_TIME_FIELD": "ts"])
                try await ServerBench.with(rules: Self.rules, settings: settings) { server in
                    for series in all { try await server.publisher.send(series.messages(server)) }
                    let messages = all.reduce(0) { $0 + $1.rows.count }
                    #expect(await eventually { await server.metric("nodesphere_recorder_points_total") == Double(messages) })
                    for series in all {
                        #expect(
                            try await eventually { try await Self.stored(influx, series.device) == series.values() }, "\(series.device)")
                    }
                    let parts = await server.get("/readyz").json["parts"]
                    #expect(parts?["recorder"]?["ready"] == true)
                    #expect(await server.stop() == 0)
                }
            }
        }

        @Test func `nothing is lost when InfluxDB stops in the middle and the server is killed meanwhile`() async throws {
            let series = try Series("keys", file: "rogue_agent_key_hold", rows: 1_500)
            try await InfluxBench.with { influx in
                let settings = Self.settings(influx, ["NODESPHERE_RECORDER_MEASUREMENTS_NAB_TIME_FIELD": "ts"])
                try await ServerBench.with(rules: Self.rules, settings: settings) { server in
                    try await server.publisher.send(series.messages(server, 0..<300))
                    #expect(try await eventually { try await Self.stored(influx, "keys").count == 300 })
                    try await services("stop", "influxdb")
                    let outcome: Result<Void, any Error>
                    do {
                        try await server.publisher.send(series.messages(server, 300..<600))
                        #expect(await eventually { await server.unreadyReason("recorder")?.contains("InfluxDB at") == true })
                        #expect(await server.get("/readyz").status == 200)
                        #expect(server.logLines(" ERROR ").count == 1, "\(server.logLines(" ERROR "))")
                        // These are acknowledged, and perhaps no further than the journal.
                        try await server.publisher.send(series.messages(server, 600..<900))
                        await server.kill()
                        try await server.start()
                        try await server.publisher.send(series.messages(server, 900..<1_200))
                        #expect(await eventually { await server.metric("nodesphere_recorder_spool_bytes") > 0 })
                        outcome = .success(())
                    } catch { outcome = .failure(error) }
                    try await services("start", "influxdb")
                    try outcome.get()
                    try await server.publisher.send(series.messages(server, 1_200..<1_500))
                    let wanted = series.values(0..<1_500)
                    let isThere = try await eventually { try await Self.stored(influx, "keys") == wanted }
                    let found = try await Self.stored(influx, "keys").count
                    #expect(isThere, "\(found) of \(wanted.count)")
                    #expect(await eventually { await server.metric("nodesphere_recorder_spool_bytes") == 0 })
                    #expect(await server.unreadyReason("recorder") == nil)
                    #expect(server.logLines("readings are recorded again").count == 1)
                }
            }
        }

        @Test func `readings without stamps survive a kill at any moment, each once`() async throws {
            try await InfluxBench.with { influx in
                try await ServerBench.with(rules: Self.rules, settings: Self.settings(influx)) { server in
                    for round in 0..<3 {
                        try await server.publisher.send((0..<200).map { server.reading("r\(round)", "\($0)") })
                        await server.kill()
                        try await server.start()
                    }
                    for round in 0..<3 {
                        let isThere = try await eventually {
                            try await Self.stored(influx, "r\(round)").sorted { $0.key < $1.key }.map(\.value) == (0..<200).map(Double.init)
                        }
                        let found = try await Self.stored(influx, "r\(round)").count
                        #expect(isThere, "\(found)")
                    }
                }
            }
        }

        private static func policies(_ influx: InfluxBench) async throws -> [String: String] {
            Dictionary(try await influx.rows("SHOW RETENTION POLICIES").map { ($0[0].string ?? "", $0[1].string ?? "") }) { $1 }
        }

        /// The text of the only continuous query.
        private static func query(_ influx: InfluxBench) async throws -> String {
            let all = try await influx.ask("SHOW CONTINUOUS QUERIES")["series"]?.array ?? []
            return all.first { $0["name"]?.string == influx.database }?["values"]?.array?.first?.array?.last?.string ?? ""
        }

        private static func setUp(_ influx: InfluxBench, raw duration: String, _ functions: String) -> [String: String] {
            settings(
                influx,
                [
                    "NODESPHERE_RECORDER_RETENTION_RAW_DURATION": duration, "NODESPHERE_RECORDER_RETENTION_RAW_DEFAULT": "true",
                    "NODESPHERE_RECORDER_RETENTION_YEARS_DURATION": "forever",
                    "NODESPHERE_RECORDER_DOWNSAMPLING_NAB_1S_FROM": "nab", "NODESPHERE_RECORDER_DOWNSAMPLING_NAB_1S_EVERY": "1s",
                    "NODESPHERE_RECORDER_DOWNSAMPLING_NAB_1S_FUNCTIONS": functions,
                    "NODESPHERE_RECORDER_DOWNSAMPLING_NAB_1S_RETENTION": "years",
                ])
        }

        /// Whether means of what is sent turn up.
        private static func isDownsampled(_ server: ServerBench, _ influx: InfluxBench) async throws -> Bool {
            try await eventually {
                for value in [1, 3] { try await server.send("d1", "\(value)") }
                let rows = try await influx.rows("SELECT mean_value, max_value FROM years.nab_1s WHERE device = 'd1'")
                return rows.contains { $0[2].number == 3 }
            }
        }

        @Test func `policies and continuous queries are made, changed to what is configured, and work`() async throws {
            try await InfluxBench.with { influx in
                try await ServerBench.with(rules: Self.rules, settings: Self.setUp(influx, raw: "48h", "mean, max")) { server in
                    let isMade = try await eventually { try await Self.query(influx).contains("SELECT mean(*), max(*) INTO") }
                    #expect(isMade)
                    let policies = try await Self.policies(influx)
                    #expect(policies == ["autogen": "0s", "raw": "48h0m0s", "years": "0s"])
                    let isDownsampled = try await Self.isDownsampled(server, influx)
                    #expect(isDownsampled)
                    let raw = try await influx.rows("SELECT value FROM raw.nab")
                    #expect(!raw.isEmpty)
                }
                try await ServerBench.with(rules: Self.rules, settings: Self.setUp(influx, raw: "72h", "min")) { server in
                    let isReplaced = try await eventually { try await Self.query(influx).contains("SELECT min(*) INTO") }
                    #expect(isReplaced)
                    let policies = try await Self.policies(influx)
                    #expect(policies["raw"] == "72h0m0s")
                    for words in ["is changed to what is configured", "is replaced by the one that is configured"] {
                        #expect(await eventually { server.logLines(words).count == 1 })
                    }
                }
            }
        }

        @Test func `a field that changes its type costs its points, is counted and told, and the others are written`() async throws {
            try await InfluxBench.with { influx in
                try await ServerBench.with(rules: Self.rules, settings: Self.settings(influx)) { server in
                    try await server.send("d1", #"{"on": true}"#)
                    #expect(try await eventually { try await influx.rows("SELECT \"on\" FROM nab").count == 1 })
                    try await server.publisher.send([
                        server.reading("d1", #"{"on": 5}"#), server.reading("d1", #"{"value": 7}"#), server.reading("d2", "{nonsense"),
                    ])
                    #expect(await eventually { await server.get("/metrics").text.contains("points_total{outcome=\"refused\"} 1\n") })
                    let stored = try await Self.stored(influx, "d1")
                    #expect(stored.values.contains(7))
                    #expect(await server.get("/metrics").text.contains("left_out_total{reason=\"undecodable\"} 1\n"))
                    #expect(server.logLines("InfluxDB refuses points").count == 1)
                }
            }
        }
    }
}

extension InfluxTests {
    @Test func `whatever is in names, texts and topics, InfluxDB has it as it was`() async throws {
        var random = SplitMix(seed: 3)
        let alphabet = Array("ab,= \\\"{}$'é\t\u{1F600}:#")
        func word() -> String { String((0..<Int.random(in: 1...5, using: &random)).map { _ in alphabet.randomElement(using: &random)! }) }
        func isWritable(_ text: String) -> Bool {
            !text.hasSuffix("\\") && !["\\,", "\\=", "\\ ", "\\\""].contains(where: text.contains) && !text.utf8.contains { $0 < 32 }
        }
        try await InfluxBench.with { bench in
            let lines = PointLines([
                .init(name: "m", topic: try TopicFilter("t/{tag}/{number}"), fields: .init(.all), texts: .init(.paths(["text"])))
            ])
            var wanted: [String: (tag: String, name: String, value: Double, text: String)] = [:]
            for number in 0..<300 {
                let (tag, name, text) = (word(), word(), word() + (number % 7 == 0 ? "\n" : "") + word())
                guard isWritable(tag), isWritable(name) else { continue }
                let value = Double(bitPattern: .random(in: .min ... .max, using: &random))
                guard value.isFinite else { continue }
                let payload = Document.object([.init(name, .double(value)), .init("text", .string(text))]).json
                Array("t/\(tag)/\(number)".utf8).withUnsafeBytes { topic in
                    Array(payload.utf8).withUnsafeBytes {
                        lines.add(topic: topic, payload: $0, isRetained: false, receivedAt: Instant(nanoseconds: 1_000 + Int64(number)))
                    }
                }
                wanted["\(number)"] = (tag, name, value, text)
            }
            for (_, batch) in lines.takeLines() { try await bench.write(String(decoding: batch.bytes, as: UTF8.self)) }
            let series = try await InfluxWindowHistory(try bench.configuration).rows(
                of: "SELECT * FROM m GROUP BY *", within: patience)
            #expect(series.count == wanted.count && wanted.count > 150)
            for one in series {
                let expected = try #require(wanted[one.tags["number"] ?? ""])
                #expect(one.tags["tag"] == expected.tag)
                let row = try #require(one.rows.first)
                let fields = Dictionary(zip(one.columns, row.values).filter { $0.1 != .null }) { $1 }
                #expect(fields == ["text": .string(expected.text), expected.name: fields[expected.name] ?? .null])
                #expect(fields[expected.name]?.number == expected.value, "\(expected.name)")
            }
        }
    }
}
