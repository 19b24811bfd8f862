import Foundation
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized, .usesRabbitMQAndMongoDB) struct Outages {
        /// Devices of one outage, each with its reading.
        private static func warm(_ server: ServerBench, _ name: String) -> [DevicePublisher.Message] {
            (0..<50).map { server.reading("\(name)-\($0)", #"{"temperature": 5}"#) }
        }

        private static func expectAllFiring(_ server: ServerBench, _ name: String) async {
            func firing() -> [WebhookReceiver.Alert] {
                server.webhook.alerts("firing", "TooWarm").filter { $0.labels["device"]?.hasPrefix("\(name)-") ?? false }
            }
            _ = await eventually { firing().count >= 50 }
            #expect(Set(firing().compactMap { $0.labels["device"] }).count == 50, "\(name): \(firing().count) of 50")
            #expect(firing().count == 50, "\(name): some were notified twice")
        }

        @Test func `while Mosquitto is away /readyz says so and why, the log says it once, and nothing is lost`() async throws {
            let broker = try PrivateBroker()
            try broker.start()
            try await ServerBench.with(rules: Kills.rules, mqtt: "mqtt://127.0.0.1:\(broker.port)") { server in
                let before = server.log.count
                broker.stop()
                let reason = await eventually { await server.unreadyReason("mqtt") }
                #expect(reason?.contains("127.0.0.1:\(broker.port)") == true, "\(reason ?? "ready")")
                #expect(await server.get("/readyz").status == 503)
                // Several attempts to come back are made meanwhile.
                try await Task.sleep(for: .seconds(5))
                try broker.start()
                try await server.ready()
                try await server.publisher.send(Self.warm(server, "mosquitto"))
                await Self.expectAllFiring(server, "mosquitto")
                let said = server.log.dropFirst(before).split(separator: "\n").filter { $0.contains("ERROR") || $0.contains("WARNING") }
                #expect(said.count == 1, "\(said)")
            }
        }

        @Test(
            .enabled(if: Backing.available.contains(.servers), "needs scripts/services up rabbitmq mongodb"),
            arguments: [("rabbitmq", "scheduler", "RabbitMQ"), ("mongodb", "store", "MongoDB")])
        func `while a server is away for 20 s /readyz says so and why, the log says it once, and nothing decided is lost`(
            name: String, part: String, says: String
        ) async throws {
            try await ServerBench.with(.servers, rules: Kills.rules) { server in
                try await server.send("first", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "first") != nil)
                let before = server.log.count
                try await services("stop", name)
                let stopped = ContinuousClock.now
                let outcome: Result<Void, any Error>
                do {
                    let reason = await eventually { await server.unreadyReason(part) }
                    #expect(reason?.contains(says) == true, "\(reason ?? "ready")")
                    #expect(await server.get("/readyz").status == 503)
                    try await server.publisher.send(Self.warm(server, name))
                    let left = Duration.seconds(20) - stopped.duration(to: .now)
                    try await Task.sleep(for: max(left, .zero))
                    outcome = .success(())
                } catch { outcome = .failure(error) }
                try await services("start", name)
                try outcome.get()
                try await server.ready()
                await Self.expectAllFiring(server, name)
                let said = server.log.dropFirst(before).split(separator: "\n").filter { $0.contains("ERROR") || $0.contains("WARNING") }
                #expect(said.count == 1, "\(said)")
            }
        }

        @Test(.enabled(if: Backing.available.contains(.servers), "needs scripts/services up rabbitmq mongodb"))
        func `SIGTERM ends it within five seconds while MongoDB is away, and what was not stored is taken up again`() async throws {
            try await ServerBench.with(.servers, rules: Kills.rules) { server in
                let statuses = Watched<[Int32?]>([])
                try await MongoBench.whileServerIsDown {
                    #expect(await eventually { await server.unreadyReason("store") != nil })
                    try await server.publisher.send(Self.warm(server, "term"))
                    #expect(await eventually { await server.metric("nodesphere_readings_total") > 0 })
                    let status = await server.stop()
                    statuses.change { $0.append(status) }
                    if status == nil { await server.kill() }
                }
                #expect(statuses.value == [0])
                try await server.start()
                await Self.expectAllFiring(server, "term")
            }
        }
    }
}
