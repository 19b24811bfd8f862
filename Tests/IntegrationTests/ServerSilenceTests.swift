import Foundation
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized, .usesRabbitMQAndMongoDB) struct Silences {
        private static let rules = """
            groups:
              - name: cold
                on: $ROOT/{device}
                rules:
                  - {alert: TooWarm, expr: temperature > -10.0}
            """
        private static let notifications = """
            route: {receiver: team, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: REPEAT}
            receivers:
              - name: team
                webhook_configs: [{url: "$HOOK", send_resolved: true}]
            """

        @Test(arguments: Backing.available)
        func `a silence hides an alert across a kill, and when it is ended what still fires is told`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                let body = #"{"matchers": ["device=\"q1\""], "duration": "1h", "createdBy": "ann", "comment": "door"}"#
                let made = await server.request("POST", "/api/v1/silences", body)
                #expect(made.status == 201)
                let id = try #require(made.json["id"]?.string)
                try await server.send("q1", #"{"temperature": 5}"#)
                try await server.send("q2", #"{"temperature": 5}"#)
                _ = try #require(await server.webhook.first("firing", "TooWarm", device: "q2"))
                #expect(await eventually { await server.metric("nodesphere_notifications_total") >= 2 })
                #expect(await server.alerts("label=device=q1").first?["silencedBy"]?.array == [.string(id)])
                await server.kill()
                try await server.start()
                #expect(await server.get("/api/v1/silences?state=active").json["items"]?.array?.map { $0["hides"]?.int } == [1])
                #expect(server.webhook.alerts("firing", "TooWarm", device: "q1").isEmpty)
                #expect(await server.request("DELETE", "/api/v1/silences/\(id)").status == 204)
                _ = try #require(await server.webhook.first("firing", "TooWarm", device: "q1"))
                #expect(server.webhook.alerts("firing", "TooWarm", device: "q2").count == 1)
            }
        }

        @Test(arguments: Backing.available)
        func `an acknowledged alert is not reminded of, across a kill, until that is taken back`(_ backing: Backing) async throws {
            let notifications = Self.notifications.replacingOccurrences(of: "REPEAT", with: "1s")
            try await ServerBench.with(backing, rules: Self.rules, notifications: notifications) { server in
                func count(_ device: String) -> Int { server.webhook.alerts("firing", "TooWarm", device: device).count }
                func reminded(_ device: String, times: Int) async -> Bool {
                    let before = count(device)
                    return await eventually { count(device) >= before + times }
                }
                try await server.send("k1", #"{"temperature": 5}"#)
                try await server.send("k2", #"{"temperature": 5}"#)
                #expect(await reminded("k1", times: 2))
                let id = try #require(await server.alerts("label=device=k1").first?["id"]?.string)
                let path = "/api/v1/alerts/\(id)/acknowledgement"
                #expect(await server.request("PUT", path, #"{"by": "ann"}"#).status == 200)
                // One that was decided before may be on its way still.
                #expect(await reminded("k2", times: 2))
                let known = count("k1")
                #expect(await reminded("k2", times: 2))
                await server.kill()
                try await server.start()
                #expect(await server.alerts("label=device=k1").first?["acknowledged"]?["by"] == "ann")
                #expect(await reminded("k2", times: 2))
                #expect(count("k1") <= known + 1)
                let quiet = count("k1")
                #expect(await reminded("k2", times: 2))
                #expect(count("k1") == quiet)
                #expect(await server.request("DELETE", path).status == 204)
                #expect(await reminded("k1", times: 1))
                #expect(await server.request("PUT", path, "{}").status == 200)
                try await server.send("k1", #"{"temperature": -20}"#)
                _ = try #require(await server.webhook.first("resolved", "TooWarm", device: "k1"))
                #expect(await eventually { await server.get(path).status == 404 })
            }
        }

        @Test func `automations acknowledge and silence`() async throws {
            try await ServerBench.with(rules: Self.rules, starting: false) { server in
                server.folder.write(
                    "rules/automations/keeper.lua",
                    """
                    local a = automation { name = "keeper" }
                    a:on_alert("TooWarm", "firing", function(alert)
                      alerts.acknowledge(alert, { comment = "seen", duration = "1h" })
                      alerts.silence { matchers = { device = alert.labels.device .. "b" }, duration = "1h", comment = "twin" }
                    end)
                    a:on_alert("TooWarm", "resolved", function() alerts.end_silence("none") end)
                    """)
                try await server.start()
                try await server.send("s1", #"{"temperature": 5}"#)
                let acknowledged = await eventually { () -> Document? in
                    let found = await server.alerts("label=device=s1").first?["acknowledged"]
                    return found == .null ? nil : found
                }
                #expect(acknowledged?["by"] == "keeper" && acknowledged?["comment"] == "seen" && acknowledged?["until"]?.string != nil)
                let silence = await eventually { await server.get("/api/v1/silences").json["items"]?.array?.first }
                #expect(silence?["comment"] == "twin" && silence?["createdBy"] == "keeper" && silence?["state"] == "active")
                try await server.send("s1b", #"{"temperature": 5}"#)
                #expect(await eventually { await server.alerts("label=device=s1b").first?["silencedBy"]?.array?.count == 1 })
                try await server.send("s1", #"{"temperature": -20}"#)
                #expect(await eventually { !server.logLines("there is no silence 'none'").isEmpty })
                #expect(server.webhook.alerts("firing", "TooWarm", device: "s1b").isEmpty)
            }
        }
    }
}
