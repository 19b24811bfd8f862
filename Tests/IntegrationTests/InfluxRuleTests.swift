import Foundation
import RuleEngine
import Testing

extension ServerTests {
    /// Rules over stored series, end to end.
    @Suite(.serialized, .usesInfluxDB, .enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
    struct InfluxRules {
        private static let rules = """
            groups:
              - name: energy
                rules:
                  - alert: Over
                    every: 1s
                    influx: SELECT mean(kw) AS kw FROM meters WHERE time > now() - 15m GROUP BY site
                    expr: kw > 100
                    annotations: {summary: "{{ site }} draws {{ kw }}"}
                  - alert: Unusual
                    on: $ROOT/{device}
                    with: {usual: {influx: SELECT mean(kw) AS kw FROM usual WHERE time > now() - 7d GROUP BY device, every: 1s}}
                    expr: kw > 2.0 * usual.kw
            """

        private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }

        @Test func `a mean over stored series fires, resolves and is notified, beside readings compared with stored ones`() async throws {
            try await InfluxBench.with { influx in
                try await influx.write(
                    "meters,site=oslo kw=120 \(Self.now())\nmeters,site=bergen kw=90 \(Self.now())\nusual,device=d1 kw=10 \(Self.now())")
                try await ServerBench.with(rules: Self.rules, settings: influx.settings) { server in
                    let alert = await server.webhook.first("firing", "Over")
                    #expect(alert?.labels["site"] == "oslo" && alert?.annotations["summary"] == "oslo draws 120")
                    #expect(await server.get("/readyz").json["parts"]?["influxdb"]?["ready"] == true)
                    #expect(await eventually { await server.metric("nodesphere_influxdb_queries_total") >= 2 })
                    for device in ["d1", "d2"] { try await server.send(device, #"{"kw": 30}"#) }
                    #expect(await server.webhook.first("firing", "Unusual", device: "d1") != nil)
                    try await influx.write("meters,site=oslo kw=20 \(Self.now())")
                    #expect(await server.webhook.first("resolved", "Over")?.labels["site"] == "oslo")
                    #expect(server.webhook.alerts("firing").allSatisfy { $0.labels["site"] != "bergen" && $0.labels["device"] != "d2" })
                }
            }
        }

        @Test func `while InfluxDB is away alerts keep their state, health and /readyz say why, and what was missed is counted`()
            async throws
        {
            try await InfluxBench.with { influx in
                try await influx.write("meters,site=oslo kw=120 \(Self.now())")
                try await ServerBench.with(rules: Self.rules, settings: influx.settings) { server in
                    #expect(await server.webhook.first("firing", "Over") != nil)
                    let before = server.log.count
                    try await services("stop", "influxdb")
                    do {
                        let health = await eventually { () -> Document? in
                            let rule = await server.get("/api/v1/rules/energy/Over").json
                            return rule["health"] == "error" ? rule : nil
                        }
                        #expect(health?["lastError"]?.string?.contains("InfluxDB at") == true, "\(health?.json ?? "ok")")
                        #expect(await server.unreadyReason("influxdb")?.contains("InfluxDB at") == true)
                        #expect(await server.get("/readyz").status == 200)
                        #expect(await eventually { await server.metric("nodesphere_evaluations_missed_total") >= 2 })
                        #expect(await server.alerts("state=firing").count == 1)
                    }
                    try await services("start", "influxdb")
                    try await influx.write("meters,site=oslo kw=1 \(Self.now())")
                    #expect(await server.webhook.first("resolved", "Over") != nil)
                    #expect(await eventually { await server.get("/api/v1/rules/energy/Over").json["health"] == "ok" })
                    #expect(await server.unreadyReason("influxdb") == nil)
                    let said = server.log.dropFirst(before).split(separator: "\n").filter { $0.contains("ERROR") || $0.contains("WARNING") }
                    #expect(said.count == 1, "\(said)")
                    #expect(!server.log.contains(influx.password) || influx.password == influx.username)
                }
            }
        }

        @Test func `a window beyond the server's own history is of recorded readings, also after a restart`() async throws {
            let rules = """
                groups:
                  - name: energy
                    on: $ROOT/{device}
                    rules:
                      - {alert: MoreThanBefore, expr: "kw > 2.0 * avg_over_time(kw, '10m', '20m')"}
                """
            try await InfluxBench.with { influx in
                let settings = influx.settings.merging([
                    "NODESPHERE_WINDOWS_OWN_HISTORY": "25m", "NODESPHERE_RECORDER_ENABLED": "true",
                    "NODESPHERE_RECORDER_MEASUREMENTS_POWER_TOPIC": "{tenant}/{device}",
                ]) { $1 }
                try await ServerBench.with(rules: rules, settings: settings, starting: false) { server in
                    let now = Self.now()
                    try await influx.write(
                        stride(from: Int64(300), through: 2400, by: 10).flatMap { ago in
                            ["d1", "d2"].map {
                                "power,tenant=\(server.root),device=\($0) kw=\($0 == "d1" ? 10 : 20) \(now - ago * 1_000_000_000)"
                            }
                        }.joined(separator: "\n"))
                    try await server.start()
                    #expect(await eventually { await server.metric("nodesphere_influxdb_queries_total") >= 3 })
                    for device in ["d1", "d2", "d3"] { try await server.send(device, #"{"kw": 30}"#) }
                    #expect(await server.webhook.first("firing", "MoreThanBefore", device: "d1") != nil)
                    await server.kill()
                    try await server.start()
                    try await server.send("d2", #"{"kw": 50}"#)
                    #expect(await server.webhook.first("firing", "MoreThanBefore", device: "d2") != nil)
                    // What was fetched before the restart is not fetched again.
                    #expect(await server.metric("nodesphere_influxdb_queries_total") <= 2)
                    #expect(server.webhook.alerts("firing").allSatisfy { $0.labels["device"] != "d3" })
                }
            }
        }

        @Test func `without an InfluxDB the rules say what they need`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                #expect(await server.unreadyReason("influxdb") == "there are rules with 'influx', and 'influxdb.url' is not set")
                let error = await eventually { await server.get("/api/v1/rules/energy/Over").json["lastError"]?.string }
                #expect(error == "no InfluxDB is configured: the rule needs 'influxdb.url'")
            }
        }
    }
}
