import Foundation
import Glibc
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized) struct Automations {
        /// What scripts publish is seen by a rule, and told by its webhook.
        static let rules = """
            groups:
              - name: seen
                on: $ROOT/out/{device}
                rules:
                  - alert: Published
                    expr: value > 0.0
              - name: plain
                on: $ROOT/{device}
                rules:
                  - alert: TooWarm
                    expr: temperature > 0.0
            """

        static func script(_ root: String, _ word: String) -> String {
            """
            local a = automation { name = "counter" }
            a:on_reading("\(root)/in/{device}", function(r)
              state.count = (state.count or 0) + 1
              mqtt.publish("\(root)/out/\(word)" .. r.device .. state.count, 1, { qos = 1 })
              local m = wait_for("\(root)/answer/{device}", { timeout = "30s" })
              if m then mqtt.publish("\(root)/out/\(word)answered" .. m.value, 1, { qos = 1 }) end
            end, { mode = "parallel", key = "device" })
            a:on_alert("Published", "firing", function(alert) log.info("saw " .. alert.labels.device) end)
            """
        }

        @Test func `a script reacts, waits, sees alerts, keeps its state through reload and restart`() async throws {
            try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_RULES_WATCH": "true"]) { server in
                let file = "rules/automations/counter.lua"
                server.folder.write(file, Self.script(server.root, "a"))
                #expect(await eventually { await server.get("/api/v1/automations/counter").status == 200 })
                // The subscription of the script takes a moment: what comes before it, comes to nobody.
                let isThere = try await eventually {
                    try await server.send("in/x", "1")
                    return server.webhook.alerts("firing", "Published", device: "ax1").count > 0
                }
                #expect(isThere)
                #expect(await eventually { !server.logLines("saw ax1").isEmpty })
                let answered = try await eventually {
                    try await server.send("answer/x", "7")
                    return server.webhook.alerts("firing", "Published", device: "aanswered7").count > 0
                }
                #expect(answered)
                server.folder.write(file, Self.script(server.root, "b"))
                #expect(
                    try await eventually {
                        try await server.send("in/y", "1")
                        return server.webhook.alerts("firing", "Published").contains { $0.labels["device"]?.hasPrefix("by") ?? false }
                    })
                #expect(await server.stop() == 0)
                server.folder.write(file, Self.script(server.root, "c"))
                try await server.start()
                try await server.send("in/z", "1")
                let last = await eventually {
                    server.webhook.alerts("firing", "Published").compactMap { $0.labels["device"] }.first { $0.hasPrefix("cz") }
                }
                #expect(last.flatMap { Int($0.dropFirst(2)) } ?? 0 >= 3, "\(last ?? "none")")
                let status = await server.get("/api/v1/automations").json["items"]?.array?.first
                #expect(status?["state"]?.string == "running")
                #expect(status?["runs"]?.int ?? 0 > 0)
            }
        }

        @Test func `what comes for a script while the server starts is not lost`() async throws {
            try await ServerBench.with(rules: Self.rules, starting: false) { server in
                server.folder.write(
                    "rules/automations/echo.lua",
                    """
                    automation {}:on_reading("\(server.root)/in/{device}", function(r)
                      mqtt.publish("\(server.root)/out/" .. r.device, 1, { qos = 1 })
                    end)
                    """)
                try await server.start()
                try await server.send("in/first", "1")
                #expect(await server.webhook.first("firing", "Published", device: "first") != nil)
                #expect(await server.stop() == 0)
                let names = (0..<150).map { "n\($0)" }
                async let sending: Void = {
                    for name in names {
                        try await server.send("in/\(name)", "1")
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }()
                try await server.start()
                try await sending
                let isAll = await eventually {
                    Set(server.webhook.alerts("firing", "Published").compactMap { $0.labels["device"] }).isSuperset(of: names)
                }
                #expect(isAll, "\(server.webhook.alerts("firing", "Published").count - 1) of \(names.count)")
            }
        }

        @Test func `a script that loops or cannot be read is reported, and rules go on at their pace`() async throws {
            try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_RULES_WATCH": "true"]) { server in
                server.folder.write(
                    "rules/automations/loop.lua",
                    "automation {}:on_reading(\"\(server.root)/loop\", function() while true do end end)")
                server.folder.write("rules/automations/broken.lua", "local = 5")
                #expect(await eventually { await server.get("/api/v1/automations/broken").json["state"]?.string == "failed" })
                #expect(!server.logLines("rules/automations/broken.lua:1: <name> expected near '='").isEmpty)
                let isDisabled = try await eventually {
                    for _ in 0..<5 { try await server.send("loop", "1") }
                    return await server.get("/api/v1/automations/loop").json["state"]?.string == "disabled"
                }
                #expect(isDisabled)
                #expect(server.logLines("instruction limit").count >= 5)
                try await server.send("f1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "f1") != nil)
                #expect(await server.metric("nodesphere_script_faults_total") >= 6)
            }
        }
    }
}
