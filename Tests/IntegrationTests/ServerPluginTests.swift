import Foundation
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized) struct Plugins {
        static let plugins = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../plugins").standardized.path
        static let rules = """
            groups:
              - name: plugs
                on: {topic: "$ROOT/tele/{device}/SENSOR", decoder: tasmota}
                rules:
                  - alert: Muggy
                    expr: dew_point(AM2301.Temperature, AM2301.Humidity) > 20.0
                    annotations: {summary: "{{ device }}: {{ round(dew_point(AM2301.Temperature, AM2301.Humidity), 1) }} °C"}
            """
        static let notifications = """
            route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}
            receivers:
              - name: team
                webhook_configs: [{url: "$HOOK"}]
                gotify_configs: [{url: "$HOOK", token: s3cret-token, title: "{{ group_labels.alertname }}"}]

            """

        /// `$HOOK` without its path: Gotify's own path is put behind it.
        private func with(grants: String, _ body: (ServerBench) async throws -> Void) async throws {
            try await ServerBench.with(
                rules: Self.rules, notifications: Self.notifications, settings: ["NODESPHERE_PLUGINS_PATH": Self.plugins], starting: false
            ) { server in
                server.folder.write("nodesphere.yaml", "plugins:\n  grants: {\(grants)}\n")
                try await body(server)
            }
        }

        @Test func `decoder, function and channel of plugins work from the message to the notification`() async throws {
            try await with(grants: #"gotify: {http: ["127.0.0.1"]}"#) { server in
                try await server.start()
                try await server.send("tele/p1/SENSOR", #"{"AM2301":{"Temperature":86,"Humidity":70},"TempUnit":"F"}"#)
                let first = try #require(await server.webhook.first("firing", "Muggy", device: "p1"))
                #expect(first.annotations["summary"] == "p1: 23.9 °C")
                let hasMessage = await eventually {
                    server.webhook.deliveries.contains {
                        $0.document["title"]?.string == "Muggy" && $0.document["message"]?.string == "firing: p1: 23.9 °C"
                            && $0.document["priority"]?.int == 5
                    }
                }
                #expect(hasMessage)
                try await server.send("tele/p1/SENSOR", #"{"AM2301":{"Temperature":"#)
                #expect(
                    await eventually {
                        await server.get("/metrics").text.contains(#"nodesphere_readings_undecodable_total{reason="decoder tasmota"} 1"#)
                    })
                #expect(await eventually { !server.logLines("decoder 'tasmota' could not read 1 messages").isEmpty })
            }
        }

        @Test func `without a grant the channel is refused by name, the secret stays out of the log, and the other channel goes on`()
            async throws
        {
            try await with(grants: "") { server in
                try await server.start()
                try await server.send("tele/p2/SENSOR", #"{"AM2301":{"Temperature":30,"Humidity":70},"TempUnit":"C"}"#)
                #expect(await server.webhook.first("firing", "Muggy", device: "p2") != nil)
                #expect(await eventually { !server.logLines("plugin 'gotify' may not send requests to '127.0.0.1:").isEmpty })
                #expect(!server.log.contains("s3cret-token"))
            }
        }

        @Test func `a grant for a plugin that is not there keeps the server from starting, with its place`() async throws {
            try await with(grants: "gotfy: {http: [a]}") { server in
                try server.launch()
                #expect(await server.ended() == 1)
                #expect(server.log.contains("nodesphere.yaml:2:12: error: there is no plugin 'gotfy' [unknown-plugin]"))
                #expect(server.log.contains("did you mean 'gotify'?"))
            }
        }
    }
}
