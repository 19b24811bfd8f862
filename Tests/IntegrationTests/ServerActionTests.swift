import Foundation
import RuleEngine
import Testing

extension ServerTests {
    /// Actions of rules that call automations and plugins.
    @Suite(.serialized) struct Actions {
        static let rules = """
            groups:
              - name: watched
                on: $ROOT/{device}
                rules:
                  - alert: TooWarm
                    expr: temperature > 0.0
                    actions:
                      firing:
                        - script: fan.dry
                          arguments: {degrees: "{{ temperature }}"}
                        - plugin: siren.sound
                          arguments: {device: "{{ device }}"}
                      resolved:
                        - script: fan.nothing
              - name: seen
                on: $ROOT/out/{device}
                rules:
                  - alert: Published
                    expr: value > 0.0
            """
        static let notifications = """
            route: {receiver: team, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}
            receivers:
              - name: team
                webhook_configs: [{url: "$HOOK"}]

            """
        static let script = """
            local fan = automation { name = "fan" }
            fan:action("dry", function(alert, arguments)
              mqtt.publish("$ROOT/out/" .. alert.labels.device, arguments.degrees, { qos = 1 })
              state.calls = (state.calls or 0) + 1
              log.info("dry " .. alert.labels.device .. " for the time " .. state.calls)
              if arguments.degrees > 50 then error("the fan is too hot") end
            end)
            """
        static let manifest = """
            name: siren
            version: 1.0.0
            description: a siren
            provides: {actions: {sound: {arguments: {device: {type: string, required: true}}}}}
            permissions: {http: ["127.0.0.1"]}
            configuration: {url: {type: string, required: true}}
            """
        static let code = """
            plugin { actions = { sound = function(alert, arguments)
              local answer, problem = http.post(config.url, { body = json.encode({ siren = arguments.device, state = alert.state }) })
              if not answer then return "retry", problem end
            end } }
            """

        private func with(granted: Bool = true, _ body: (ServerBench) async throws -> Void) async throws {
            try await ServerBench.with(rules: Self.rules, notifications: Self.notifications, starting: false) { server in
                server.folder.write("rules/automations/fan.lua", Self.script.replacingOccurrences(of: "$ROOT", with: server.root))
                server.folder.write("plugins/siren/plugin.yaml", Self.manifest)
                server.folder.write("plugins/siren/init.lua", Self.code)
                let grants = granted ? #"  grants: {siren: {http: ["127.0.0.1"]}}"# + "\n" : ""
                server.folder.write("nodesphere.yaml", "plugins:\n\(grants)  settings: {siren: {url: \"\(server.webhook.url)\"}}\n")
                try await server.start()
                try await body(server)
            }
        }

        private func sirens(_ server: ServerBench) -> [String] { server.webhook.deliveries.compactMap { $0.document["siren"]?.string } }

        @Test func `a rule calls an automation and a plugin, each once, and what cannot be called is told`() async throws {
            try await with { server in
                #expect(!server.logLines("the automation 'fan' offers no action 'nothing'").isEmpty, "a warning at the start")
                try await server.send("d1", #"{"temperature": 21.5}"#)
                #expect(await server.webhook.first("firing", "Published", device: "d1") != nil)
                #expect(await eventually { sirens(server) == ["d1"] })
                try await server.send("d1", #"{"temperature": -1}"#)
                #expect(await eventually { !server.logLines("an action of watched/TooWarm was not run, 'fan.nothing'").isEmpty })
                // A script that fails and one that works are told apart from the rule's own way.
                try await server.send("d2", #"{"temperature": 80}"#)
                #expect(await eventually { !server.logLines("the fan is too hot").isEmpty })
                #expect(await server.webhook.first("firing", "TooWarm", device: "d2") != nil)
                #expect(await eventually { sirens(server) == ["d1", "d2"] })
                #expect(server.logLines("dry d1").count == 1)
                #expect(
                    await eventually {
                        let text = await server.get("/metrics").text
                        return text.contains(#"nodesphere_actions_total{kind="plugin",outcome="done"} 2"#)
                            && text.contains(#"nodesphere_actions_total{kind="script",outcome="done"} 3"#)
                    })
                // Nothing is left to do, so nothing is done again.
                #expect(await server.stop() == 0)
                try await server.start()
                try await server.send("d3", #"{"temperature": 1}"#)
                #expect(await eventually { sirens(server) == ["d1", "d2", "d3"] })
                #expect(server.logLines("dry d1").count == 1 && server.logLines("dry d3 for the time 3").count == 1)
            }
        }

        @Test func `a call that was under way at a kill is not made again, and told; what had not begun is made`() async throws {
            try await with { server in
                server.webhook.answer(nil)
                try await server.send("k1", #"{"temperature": 1}"#)
                try await server.send("k2", #"{"temperature": 2}"#)
                #expect(await eventually { server.logLines("dry k2").count == 1 && server.webhook.attempts >= 2 })
                // The calls of the script are over and stored; those of the plugin wait for an answer.
                #expect(await eventually { await server.metric("nodesphere_actions_total") == 2 })
                #expect(await eventually { await server.get("/metrics").text.contains(#"nodesphere_queue_length{queue="commit"} 0"#) })
                await server.kill()
                server.webhook.answer(200)
                try await server.start()
                #expect(await eventually { server.logLines("was under way when the server ended, and is not run again").count == 2 })
                try await server.send("k3", #"{"temperature": 3}"#)
                #expect(await eventually { sirens(server) == ["k3"] })
                #expect(["k1", "k2", "k3"].map { server.logLines("dry \($0)").count } == [1, 1, 1])
                #expect(await server.metric("nodesphere_actions_total") == 4)
            }
        }

        @Test func `while the broker is away messages wait, and actions of plugins do not`() async throws {
            let broker = try PrivateBroker()
            try broker.start()
            let rules = """
                groups:
                  - name: watched
                    on: $ROOT/{device}
                    rules:
                      - alert: Seen
                        expr: age(temperature) > duration('1s')
                      - alert: Silent
                        expr: age(temperature) > duration('8s')
                        actions:
                          firing:
                            - publish: {topic: $ROOT/silent, payload: "1", qos: 1}
                            - {plugin: siren.sound, arguments: {device: "{{ device }}"}}
                """
            try await ServerBench.with(
                rules: rules, notifications: Self.notifications, mqtt: "mqtt://127.0.0.1:\(broker.port)", starting: false
            ) { server in
                server.folder.write("plugins/siren/plugin.yaml", Self.manifest)
                server.folder.write("plugins/siren/init.lua", Self.code)
                server.folder.write(
                    "nodesphere.yaml",
                    "plugins:\n  grants: {siren: {http: [\"127.0.0.1\"]}}\n  settings: {siren: {url: \"\(server.webhook.url)\"}}\n")
                try await server.start()
                try await server.send("f1", #"{"temperature": 5}"#)
                // By then what the broker held is read: before that no timer is run, whether it is away or not.
                #expect(await server.webhook.first("firing", "Seen", device: "f1") != nil)
                broker.stop()
                #expect(await eventually { !sirens(server).isEmpty })
            }
        }

        @Test func `what is not granted is refused at the call, and the rule's other actions go on`() async throws {
            try await with(granted: false) { server in
                try await server.send("g1", #"{"temperature": 1}"#)
                #expect(await eventually { !server.logLines("plugin 'siren' may not send requests to '127.0.0.1").isEmpty })
                #expect(await server.webhook.first("firing", "Published", device: "g1") != nil)
                #expect(sirens(server).isEmpty)
            }
        }
    }
}
