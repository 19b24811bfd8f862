import Foundation
import RuleEngine
import TestSupport
import Testing

extension ServerTests {
    @Suite(.serialized) struct Telemetry {
        static let rules = """
            groups:
              - name: all
                on: $ROOT/{device}
                rules:
                  - {alert: Warm, expr: temperature > 30.0}
              - name: status
                on: $ROOT/{device}/status
                rules:
                  - {alert: Lost, expr: value == 'lost'}
                  - {alert: Became, expr: became(value == 'lost'), event: true}
              - name: exactly-once
                on: {topic: "$ROOT/{device}/exact", qos: 2}
                rules:
                  - {alert: Exact, expr: n > 0, event: true}
              - name: skipping
                on: {topic: "$ROOT/{device}/skip", retained: skip}
                rules:
                  - {alert: Skipped, expr: n > 0}
            """

        @Test func `a last will is a reading like any other`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.send("w1/status", "alive")
                try await server.publisher.die(will: server.topic("w1/status"), "lost")
                #expect(await server.webhook.first("firing", "Lost", device: "w1") != nil)
                #expect(await server.webhook.first("firing", "Became", device: "w1") != nil)
            }
        }

        @Test func `a message of QoS 2 counts once`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.publisher.send((1...30).map { .init(server.topic("q1/exact"), #"{"n": \#($0)}"#) }, qos: 2)
                #expect(await eventually { await server.metric("nodesphere_readings_total") >= 30 })
                try await server.publisher.send((1...30).map { .init(server.topic("q2/exact"), #"{"n": \#($0)}"#) }, qos: 2)
                #expect(await eventually { server.webhook.alerts("firing", "Exact", device: "q2").count >= 1 })
                #expect(await eventually { await server.metric("nodesphere_readings_total") == 60 })
            }
        }

        @Test func `a retained message is evaluated and is no edge, and one that is skipped is nothing`() async throws {
            try await ServerBench.with(rules: Self.rules, starting: false) { server in
                try await server.publisher.send(
                    [.init(server.topic("r1/status"), "lost"), .init(server.topic("r1/skip"), #"{"n": 1}"#)], retain: true)
                try await server.start()
                #expect(await server.webhook.first("firing", "Lost", device: "r1") != nil)
                try await server.send("r2/skip", #"{"n": 1}"#)
                #expect(await server.webhook.first("firing", "Skipped", device: "r2") != nil)
                #expect(
                    server.webhook.alerts("firing", "Skipped", device: "r1").isEmpty && server.webhook.alerts("firing", "Became").isEmpty)
                try await server.publisher.send([.init(server.topic("r1/status"), ""), .init(server.topic("r1/skip"), "")], retain: true)
            }
        }

        @Test func `one message that several filters match is one reading`() async throws {
            let overlapping = Self.rules + "\n  - name: over\n    on: $ROOT/#\n    rules: [{alert: Any, by: [], expr: 'true'}]\n"
            try await ServerBench.with(rules: overlapping) { server in
                try await server.publisher.send((0..<40).map { server.reading("o1", #"{"temperature": \#($0)}"#) })
                #expect(await server.webhook.first("firing", "Warm", device: "o1") != nil)
                #expect(await eventually { await server.metric("nodesphere_readings_total") >= 40 })
                #expect(await server.metric("nodesphere_readings_total") == 40)
            }
        }

        @Test func `every payload of the real world and bytes changed at random do not stop the server, and are counted`() async throws {
            let text = try String(
                contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Data/real-payloads.jsonl"),
                encoding: .utf8)
            let lines = try text.split(separator: "\n").map { try Document(json: String($0)) }
            // Rules that read what these payloads have, with every kind of comparison.
            let names = ["temperature", "humidity", "state", "battery", "value", "linkquality", "occupancy", "ENERGY.Power", "Time"]
            let readers = names.enumerated().map { index, name in
                "      - {alert: R\(index), expr: '\(name) > 1e9 || \(name) == \"no such\"'}\n      - {alert: S\(index), expr: changed(\(name)) && string(\(name)) == \"x\"}\n"
            }
            let rules = Self.rules + "\n  - name: real\n    on: $ROOT/real/{device#}\n    rules:\n" + readers.joined()
            try await ServerBench.with(rules: rules) { server in
                var chance = SplitMix(seed: 7)
                var messages: [DevicePublisher.Message] = []
                for (index, line) in lines.enumerated() {
                    let payload = Array((line["payload"]?.string ?? "").utf8)
                    let topic = server.topic("real/\(index)/\((line["topic"]?.string ?? "").filter { $0 != "+" && $0 != "#" })")
                    messages.append(.init(topic, bytes: payload))
                    for _ in 0..<20 { messages.append(.init(topic, bytes: Self.mutated(payload, using: &chance))) }
                }
                for bomb in [
                    String(repeating: "[", count: 50_000), String(repeating: #"{"a":"#, count: 20_000), #"{"temperature": 1e999}"#,
                    #"{"temperature": -999999999999999999999}"#,
                ] {
                    messages.append(server.reading("bomb", bomb))
                }
                try await server.publisher.send(messages)
                try await server.send("after", #"{"temperature": 31}"#)
                #expect(await server.webhook.first("firing", "Warm", device: "after") != nil)
                #expect(await server.metric("nodesphere_readings_total") == Double(messages.count + 1))
                let undecodable = await server.metric("nodesphere_readings_undecodable_total")
                #expect(undecodable > 500 && undecodable < Double(messages.count), "\(undecodable) of \(messages.count)")
                #expect(await server.get("/readyz").status == 200)
                #expect(await server.stop() == 0)
            }
        }

        /// Some bytes changed, removed, doubled or cut off.
        private static func mutated(_ payload: [UInt8], using chance: inout SplitMix) -> [UInt8] {
            var bytes = payload.isEmpty ? [0x7b] : payload
            for _ in 0..<Int.random(in: 1...4, using: &chance) {
                guard let at = bytes.indices.randomElement(using: &chance) else { return bytes }
                switch Int.random(in: 0..<5, using: &chance) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &chance)
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(contentsOf: bytes[at...].prefix(8), at: at)
                case 3: bytes.removeSubrange(at...)
                default: bytes.insert(Array(#"{}[]",:\0-e"#.utf8).randomElement(using: &chance) ?? 0, at: at)
                }
            }
            return bytes
        }

        @Test func `the broker is reached over TLS with a client certificate as the configuration says`() async throws {
            let folder = try environment("NODESPHERE_TEST_TLS_DIR")
            let settings = [
                "NODESPHERE_MQTT_URL": try environment("NODESPHERE_TEST_MQTTS_CLIENT_CERTIFICATE_URL"),
                "NODESPHERE_MQTT_CA_FILE": "\(folder)/ca.pem",
                "NODESPHERE_MQTT_CERT_FILE": "\(folder)/client.pem", "NODESPHERE_MQTT_KEY_FILE": "\(folder)/client-key.pem",
            ]
            try await ServerBench.with(rules: Self.rules, settings: settings) { server in
                try await server.send("tls", #"{"temperature": 31}"#)
                #expect(await server.webhook.first("firing", "Warm", device: "tls") != nil)
            }
            var without = settings
            for name in ["CERT", "KEY"] { without["NODESPHERE_MQTT_\(name)_FILE"] = nil }
            try await ServerBench.with(rules: Self.rules, settings: without, starting: false) { server in
                try server.launch()
                let reason = await eventually {
                    await server.unreadyReason("mqtt").flatMap { $0.contains("certificate") ? $0 : nil }
                }
                #expect(reason != nil, "\(server.log)")
            }
        }

        @Test(arguments: ["3.1.1", "5"])
        func `a name and a password open the broker, in both versions of MQTT, and the password is told nobody`(version: String)
            async throws
        {
            let settings = [
                "NODESPHERE_MQTT_VERSION": version, "NODESPHERE_MQTT_USERNAME": try environment("NODESPHERE_TEST_MQTT_USERNAME"),
                "NODESPHERE_MQTT_PASSWORD": try environment("NODESPHERE_TEST_MQTT_PASSWORD"),
            ]
            try await ServerBench.with(rules: Self.rules, settings: settings) { server in
                try await server.send("pw", #"{"temperature": 31}"#)
                #expect(await server.webhook.first("firing", "Warm", device: "pw") != nil)
            }
            var wrong = settings
            wrong["NODESPHERE_MQTT_PASSWORD"] = "s3cret-and-wrong"
            try await ServerBench.with(rules: Self.rules, settings: wrong, starting: false) { server in
                try server.launch()
                let reason = await eventually {
                    await server.unreadyReason("mqtt").flatMap { $0.lowercased().contains("authori") ? $0 : nil }
                }
                #expect(reason != nil, "\(server.log)")
                #expect(!server.log.contains("s3cret"))
            }
        }
    }
}
