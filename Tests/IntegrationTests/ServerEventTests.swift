import Foundation
import Glibc
import RuleEngine
import Testing

@testable import AMQPNotifications

extension ServerTests {
    /// The exchange for integrations.
    @Suite(.serialized, .usesRabbitMQAndMongoDB) struct Events {
        private static let rules = """
            groups:
              - name: cold
                on: $ROOT/{device}
                labels: {severity: critical}
                rules:
                  - alert: TooWarm
                    expr: temperature > -10.0
                    annotations: {summary: "{{ device }} is at {{ temperature }} °C"}
            """

        /// A server with a broker and an embedded store.
        private static func with(_ body: (ServerBench, AMQPBench) async throws -> Void) async throws {
            try await AMQPBench.with { amqp in
                let settings = ["NODESPHERE_AMQP_URL": AMQPBench.url ?? "", "NODESPHERE_AMQP_PREFIX": amqp.configuration.prefix]
                try await ServerBench.with(rules: rules, settings: settings) { try await body($0, amqp) }
            }
        }

        private static func take(_ queue: String, _ amqp: AMQPBench) async throws -> ReceivedMessage? {
            try await amqp.onConnection { connection in
                guard let (tag, message) = try connection.get(queue) else { return nil }
                try connection.acknowledge(tag)
                return message
            }
        }

        @Test(.enabled(if: AMQPBench.url != nil, "needs scripts/services up rabbitmq"))
        func `every transition comes to whoever binds a queue, under its key, once it is stored`() async throws {
            try await Self.with { server, amqp in
                let exchange = amqp.topology.events
                let queues = ["firing", "resolved"].map { (state: $0, name: "\(exchange).test.\($0)") }
                try await amqp.onConnection { connection in
                    for queue in queues {
                        try connection.declareQueue(queue.name, [])
                        try connection.bind(queue: queue.name, to: exchange, key: "alert.TooWarm.\(queue.state)")
                    }
                }
                try await server.send("e1", #"{"temperature": 5}"#)
                let fired = try #require(await eventually { try await Self.take(queues[0].name, amqp) })
                #expect(await server.alerts("state=firing&label=alertname=TooWarm").count == 1)
                try await server.send("e1", #"{"temperature": -20}"#)
                let resolved = try #require(await eventually { try await Self.take(queues[1].name, amqp) })
                try await amqp.onConnection { connection in for queue in queues { try connection.delete(queue: queue.name) } }

                let event = try Document(json: fired.body)
                #expect(event["specversion"]?.string == "1.0" && event["type"]?.string == AlertTransition.eventType)
                #expect(event["id"]?.string == fired.messageID && event["time"]?.instant != nil && event["source"]?.string != nil)
                let data = try #require(event["data"])
                #expect(data["alertname"]?.string == "TooWarm" && data["group"]?.string == "cold")
                #expect(data["from"]?.string == "inactive" && data["state"]?.string == "firing" && data["reason"]?.string == "condition")
                #expect(data["labels"]?.strings == ["alertname": "TooWarm", "severity": "critical", "device": "e1"])
                #expect(data["annotations"]?.strings == ["summary": "e1 is at 5 °C"] && data["device"]?.string == "e1")
                #expect(data["value"]?.number == 5 && data["fields"]?["temperature"]?.number == 5)

                let end = try Document(json: resolved.body)
                #expect(end["data"]?["from"]?.string == "firing" && end["data"]?["state"]?.string == "resolved")
                #expect(end["data"]?["id"] == data["id"] && end["data"]?["resolvedAt"]?.instant != nil && end["id"] != event["id"])
                #expect(await server.metric("nodesphere_events_published_total") == 2)
                #expect(await server.metric("nodesphere_events_dropped_total") == 0)
            }
        }

        @Test(.enabled(if: AMQPBench.url != nil, "needs scripts/services up rabbitmq"))
        func `events of which the broker hears nothing are counted, and the notifications go on`() async throws {
            try await Self.with { server, _ in
                try await services("stop", "rabbitmq")
                let outcome: Result<Void, any Error>
                do {
                    #expect(await eventually { await server.unreadyReason("scheduler") } != nil)
                    try await server.send("e2", #"{"temperature": 5}"#)
                    let isDropped = await eventually { await server.metric("nodesphere_events_dropped_total") == 1 }
                    #expect(isDropped)
                    outcome = .success(())
                } catch { outcome = .failure(error) }
                try await services("start", "rabbitmq")
                try outcome.get()
                try await server.ready()
                #expect(await server.webhook.first("firing", "TooWarm", device: "e2") != nil)
            }
        }

        @Test func `without a broker there are no events, and nothing is said of them`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.send("e3", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "e3") != nil)
                #expect(await !server.get("/metrics").text.contains("nodesphere_events"))
            }
        }
    }
}
