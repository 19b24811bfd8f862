import Foundation
import Glibc
import RuleEngine
import Testing

extension ServerTests {
    @Suite(.serialized) struct Reloads {
        static let rules = """
            groups:
              - name: cold
                on: $ROOT/{device}
                rules:
                  - alert: TooWarm
                    expr: temperature > -10.0
                  - alert: WarmForLong
                    expr: temperature > -10.0
                    for: 1h
            """
        static let more = rules + "\n      - alert: Humid\n        expr: humidity > 90.0\n"
        static let broken = rules.replacingOccurrences(of: "temperature > -10.0\n        for", with: "temperatur >\n        for")

        enum Cause: String, CaseIterable {
            case hangup, file, request
        }

        private func reload(_ server: ServerBench, by cause: Cause) async {
            switch cause {
            case .hangup: server.signal(SIGHUP)
            case .file: break
            case .request: await server.request("POST", "/api/v1/reload")
            }
        }

        @Test(arguments: Cause.allCases)
        func `a reload is all or nothing, and keeps the state of what did not change`(cause: Cause) async throws {
            let watch = ["NODESPHERE_RULES_WATCH": cause == .file ? "true" : "false"]
            try await ServerBench.with(rules: Self.rules, settings: watch) { server in
                try await server.send("f1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "f1") != nil)
                let pending = await server.alerts("state=pending").first?["activeAt"]?.string
                #expect(pending != nil)
                // Two files, one good and one broken: neither is taken.
                server.folder.write(
                    "rules/more.yaml",
                    "groups:\n  - name: more\n    on: \(server.root)/{device}\n    rules: [{alert: More, expr: 'true'}]\n")
                server.write(rules: Self.broken)
                await reload(server, by: cause)
                let reason = await eventually { await server.get("/readyz").json["parts"]?["rules"]?["reason"]?.string }
                #expect(reason?.contains("rules.yaml:8") == true, "\(reason ?? "none")")
                #expect(await eventually { server.log.contains("the running ones go on: 1 error") })
                #expect(await server.metric("nodesphere_config_last_reload_successful") == 0)
                try await server.send("f2", #"{"temperature": 5, "humidity": 95}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "f2") != nil)
                #expect(await server.get("/api/v1/rules/more/More").status == 404)
                server.write(rules: Self.more)
                await reload(server, by: cause)
                #expect(await eventually { await server.get("/api/v1/rules/cold/Humid").status == 200 })
                #expect(await server.get("/api/v1/rules/more/More").status == 200)
                #expect(await eventually { await server.metric("nodesphere_config_last_reload_successful") == 1 })
                try await server.send("f3", #"{"temperature": 5, "humidity": 95}"#)
                #expect(await server.webhook.first("firing", "Humid", device: "f3") != nil)
                #expect(server.webhook.alerts("firing", "TooWarm", device: "f1").count == 1)
                #expect(await server.alerts("state=pending&label=device=f1").first?["activeAt"]?.string == pending)
            }
        }

        @Test func `a rule that is removed resolves its alerts`() async throws {
            try await ServerBench.with(rules: Self.more) { server in
                try await server.send("f1", #"{"temperature": 5, "humidity": 95}"#)
                #expect(await server.webhook.first("firing", "Humid", device: "f1") != nil)
                server.write(rules: Self.rules)
                let answer = await server.request("POST", "/api/v1/reload")
                #expect(answer.status == 200 && answer.json["changed"]?.array == ["cold"], "\(answer.text)")
                #expect(await server.webhook.first("resolved", "Humid", device: "f1") != nil)
                #expect(server.webhook.alerts("resolved", "TooWarm").isEmpty)
            }
        }

        @Test func `with broken rule files at the start the last accepted ones run, and /readyz says so`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.send("f1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "f1") != nil)
                await server.kill()
                server.write(rules: Self.broken)
                try await server.start()
                let reason = await server.get("/readyz").json["parts"]?["rules"]?["reason"]?.string
                #expect(reason?.contains("rules.yaml:8") == true, "\(reason ?? "none")")
                #expect(server.log.contains("the last ones that were accepted run instead"))
                try await server.send("f2", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "f2") != nil)
                #expect(server.webhook.alerts("firing", "TooWarm", device: "f1").count == 1)
                server.write(rules: Self.more)
                #expect(await server.request("POST", "/api/v1/reload").status == 200)
                #expect(await server.get("/readyz").json["parts"]?["rules"]?["ready"]?.bool == true)
            }
        }

        @Test func `a folder of rules that is gone takes no rules away, at a reload and at a start`() async throws {
            try await ServerBench.with(rules: Self.rules) { server in
                try await server.send("d1", #"{"temperature": 5}"#)
                #expect(await server.webhook.first("firing", "TooWarm", device: "d1") != nil)
                try FileManager.default.removeItem(atPath: server.folder.path("rules"))
                #expect(await server.request("POST", "/api/v1/reload").status == 422)
                await server.kill()
                try await server.start()
                #expect(await server.get("/readyz").text.contains("the folder of the rules is not there"))
                try await server.send("d1", #"{"temperature": -20}"#)
                #expect(await server.webhook.first("resolved", "TooWarm", device: "d1") != nil)
            }
        }

        @Test func `broken rule files and none that were accepted before: status 1 and the diagnostics`() async throws {
            try await ServerBench.with(rules: Self.broken, starting: false) { server in
                try server.launch()
                #expect(await server.ended() == 1)
                #expect(server.log.contains("rules.yaml:8:") && server.log.contains("^"), "\(server.log)")
            }
        }

        @Test func `an address beyond the loopback is refused, and the message says why`() async throws {
            for address in ["0.0.0.0:8080", "192.168.1.2:80", "[::]:8080"] {
                try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_HTTP_LISTEN": address], starting: false) { server in
                    try server.launch()
                    #expect(await server.ended() == 2, "\(address)")
                    #expect(server.log.contains("loopback"), "\(server.log)")
                }
            }
        }
    }
}
