import Foundation
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized, .usesRabbitMQAndMongoDB) struct Notifications {
        static let rules = """
            groups:
              - name: cold
                on: $ROOT/{device}
                labels: {severity: critical}
                rules:
                  - alert: TooWarm
                    expr: temperature > -10.0
                    annotations: {summary: "{{ device }} is at {{ temperature }} °C"}
            """
        static let hook = "receivers:\n  - name: team\n    webhook_configs: [{url: \"$HOOK\", send_resolved: true}]\n"

        @Test(arguments: Backing.available)
        func `group_wait gathers what comes together into one notification`(_ backing: Backing) async throws {
            let route = "route: {receiver: team, group_by: [alertname], group_wait: 4s, group_interval: 1s, repeat_interval: 24h}\n"
            try await ServerBench.with(backing, rules: Self.rules, notifications: route + Self.hook) { server in
                let start = ContinuousClock.now
                try await server.publisher.send((0..<5).map { server.reading("g\($0)", #"{"temperature": \#($0)}"#) })
                _ = await server.webhook.first("firing", "TooWarm")
                let delivery = try #require(server.webhook.deliveries.first)
                // How late it is depends on the machine; that it is not later than it must be, the tests of the pipeline show by a clock of their own.
                #expect(start.duration(to: delivery.at) >= .milliseconds(3990))
                #expect(delivery.document["alerts"]?.array?.count == 5)
                #expect(delivery.document["version"]?.string == "4" && delivery.document["status"]?.string == "firing")
                #expect(
                    delivery.document["receiver"]?.string == "team" && delivery.document["groupLabels"]?.strings == ["alertname": "TooWarm"]
                )
                #expect(delivery.document["commonLabels"]?.strings == ["alertname": "TooWarm", "severity": "critical"])
                let first = server.webhook.alerts("firing", "TooWarm", device: "g3").first
                #expect(first?.annotations["summary"] == "g3 is at 3 °C" && first?.value.number == 3)
            }
        }

        @Test(arguments: Backing.available)
        func `a receiver that fails is tried again until it takes the notification, under one id`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                server.webhook.answer(503)
                try await server.send("r1", #"{"temperature": 5}"#)
                #expect(await eventually { server.webhook.attempts >= 2 })
                server.webhook.answer(200)
                #expect(await server.webhook.first("firing", "TooWarm", device: "r1") != nil)
                #expect(server.webhook.deliveries.count == 1)
                #expect(await server.metric("nodesphere_notifications_total") >= 1)
            }
        }

        @Test(arguments: Backing.available)
        func `a receiver that rejects a notification makes it a dead letter, and the next one goes out`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                server.webhook.answer(400)
                try await server.send("d1", #"{"temperature": 5}"#)
                #expect(await eventually { !server.logLines("is now a dead letter").isEmpty })
                #expect(server.webhook.attempts == 1)
                server.webhook.answer(200)
                try await server.send("d2", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "d2") != nil)
                // Nobody was told that it fires, so nobody is told that it is over.
                try await server.send("d1", #"{"temperature": -20}"#)
                try await server.send("d2", #"{"temperature": -20}"#)
                #expect(await server.webhook.first("resolved", "TooWarm", device: "d2") != nil)
                #expect(server.webhook.alerts(device: "d1").isEmpty)
                #expect(await eventually { await server.get("/metrics").text.contains(#"disposition="failed"#) })
            }
        }

        @Test func `the mqtt channel publishes what its templates say`() async throws {
            let receivers =
                "receivers:\n  - name: team\n    webhook_configs: [{url: \"$HOOK\"}]\n    mqtt_configs: [{topic: \"$ROOT/out/{{ group_labels.device }}\", qos: 1}]\n"
            // What the server publishes, it hears again itself: another rule fires on it.
            let rules =
                Self.rules + "\n  - name: echo\n    on: $ROOT/out/{device}\n    rules: [{alert: Echo, expr: 'status == \"firing\"'}]\n"
            let route = "route: {receiver: team, group_by: [alertname, device], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}\n"
            try await ServerBench.with(rules: rules, notifications: route + receivers) { server in
                try await server.send("m1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "Echo", device: "m1") != nil)
            }
        }

        @Test func `a text of a notification that has no value in a part says so, and goes out`() async throws {
            let receivers =
                "receivers:\n  - name: team\n    webhook_configs: [{url: \"$HOOK\"}]\n    mqtt_configs: [{topic: \"$ROOT/out/{{ labels.device }}\", payload: \"{{ common_labels.missing }} {{ labels.alertname }} {{ annotations.nothing }}\", qos: 1}]\n"
            let rules =
                Self.rules
                + "\n  - name: echo\n    on: $ROOT/out/{device}\n    rules: [{alert: Echo, expr: 'value == \"<no value> TooWarm <no value>\"'}]\n"
            let route = "route: {receiver: team, group_by: [alertname, device], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}\n"
            try await ServerBench.with(rules: rules, notifications: route + receivers) { server in
                try await server.send("m1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "Echo", device: "m1") != nil)
                #expect(await eventually { !(await server.get("/metrics").text.contains("nodesphere_template_failures_total 0\n")) })
            }
        }

        @Test func `an action publishes with its templates filled in, when the alert fires and when it resolves`() async throws {
            let rules = """
                groups:
                  - name: cold
                    on: $ROOT/{device}
                    rules:
                      - alert: TooWarm
                        expr: temperature > -10.0
                        actions:
                          firing: [{publish: {topic: "$ROOT/set/{{ device }}", payload: '{"cool": {{ temperature }}, "by": "{{ labels.alertname }}"}', qos: 1}}]
                          resolved: [{publish: {topic: "$ROOT/set/{{ device }}", payload: "off", retain: true}}]
                  - name: seen
                    on: $ROOT/set/{device}
                    rules:
                      - {alert: Cooling, expr: cool == 5.5 && by == 'TooWarm'}
                      - {alert: Off, expr: value == 'off'}
                """
            try await ServerBench.with(rules: rules) { server in
                try await server.send("a1", #"{"temperature": 5.5}"#)
                #expect(await server.webhook.first("firing", "Cooling", device: "a1") != nil)
                try await server.send("a1", #"{"temperature": -20}"#)
                #expect(await server.webhook.first("firing", "Off", device: "a1") != nil)
            }
        }
    }
}
