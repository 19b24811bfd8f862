import Foundation
import Glibc
import RuleEngine
import TestSupport
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

        @Test func `a script that fails again and again rests, goes on and rests again, and the API says until when`() async throws {
            let settings = ["NODESPHERE_SCRIPTS_REST": "1s", "NODESPHERE_SCRIPTS_FAULTS": "2"]
            try await ServerBench.with(rules: Self.rules, settings: settings, starting: false) { server in
                server.folder.write(
                    "rules/automations/bad.lua", "automation {}:on_reading(\"\(server.root)/bad\", function() error(\"no good\") end)")
                server.folder.write(
                    "rules/automations/good.lua",
                    "automation {}:on_reading(\"\(server.root)/bad\", function(r) log.info(\"good \" .. r.value) end)")
                try await server.start()
                func status() async -> Document { await server.get("/api/v1/automations/bad").json }
                var ends: Set<String> = []
                for round in 0..<2 {
                    let isDisabled = try await eventually {
                        try await server.send("bad", "\(round)")
                        return await status()["state"]?.string == "disabled"
                    }
                    #expect(isDisabled)
                    let disabled = await status()
                    #expect(disabled["lastError"]?.string == "rules/automations/bad.lua:1: no good")
                    #expect(disabled["faults"]?.int == Int64(2 * (round + 1)))
                    ends.insert(try #require(disabled["disabledUntil"]?.string))
                    #expect(await eventually { await status()["state"]?.string == "running" })
                    #expect(await status()["disabledUntil"] == .null)
                    #expect(!server.logLines("good \(round)").isEmpty)
                }
                #expect(ends.count == 2)
                #expect(await server.get("/api/v1/automations/good").json["faults"] == 0)
            }
        }

        @Test func `what a script did is seen by nobody before its state is stored: a kill takes nothing back`() async throws {
            try await ServerBench.with(rules: Self.rules, starting: false) { server in
                server.folder.write(
                    "rules/automations/count.lua",
                    """
                    automation { name = "count" }:on_reading("\(server.root)/in/x", function(r)
                      state.count = (state.count or 0) + 1
                      mqtt.publish("\(server.root)/out/n" .. state.count, 1, { qos = 1 })
                    end)
                    """)
                for number in 1...4 {
                    try await server.start()
                    try await server.send("in/x", "1")
                    #expect(await server.webhook.first("firing", "Published", device: "n\(number)") != nil)
                    await server.kill()
                }
            }
        }

        @Test func `a kill takes nothing back of a large state either`() async throws {
            try await ServerBench.with(rules: Self.rules, starting: false) { server in
                server.folder.write(
                    "rules/automations/count.lua",
                    """
                    automation { name = "count" }:on_reading("\(server.root)/in/x", function(r)
                      state.long = string.rep("x", 500000)
                      state.count = (state.count or 0) + 1
                      mqtt.publish("\(server.root)/out/n" .. state.count, 1, { qos = 1 })
                    end)
                    """)
                for round in 0..<4 {
                    try await server.start()
                    for number in 1...3 {
                        try await server.send("in/x", "1")
                        #expect(await server.webhook.first("firing", "Published", device: "n\(round * 3 + number)") != nil)
                    }
                    await server.kill()
                }
            }
        }

        @Test func `a script sets a variable that rules read, and that is there after a restart`() async throws {
            let rules = """
                groups:
                  - name: house
                    on: $ROOT/motion/{device}
                    rules:
                      - alert: Intruder
                        expr: vars.armed && value > 0.0
                """
            try await ServerBench.with(rules: rules, starting: false) { server in
                server.folder.write(
                    "rules/automations/keypad.lua",
                    """
                    automation {}:on_reading("\(server.root)/keypad", function(r)
                      log.info("was " .. tostring(vars.get("armed")))
                      log.info("set " .. tostring(vars.set("armed", r.value == "arm")) .. " to " .. tostring(vars.get("armed")))
                    end)
                    """)
                try await server.start()
                try await server.send("keypad", "arm")
                #expect(await eventually { !server.logLines("set true to true").isEmpty })
                #expect(await server.get("/api/v1/vars/armed").json["value"] == true)
                try await server.send("motion/hall", "1")
                #expect(await server.webhook.first("firing", "Intruder", device: "hall") != nil)
                await server.kill()
                try await server.start()
                try await server.send("keypad", "disarm")
                #expect(await eventually { !server.logLines("set true to false").isEmpty })
                #expect(server.logLines("was true").count == 1)
                #expect(await server.webhook.first("resolved", "Intruder", device: "hall") != nil)
            }
        }

        @Test func `a change of an alert that waits for a busy script when the server is told to end is told to it`() async throws {
            let settings = ["NODESPHERE_SCRIPTS_INSTRUCTIONS": "10000000000"]
            try await ServerBench.with(rules: Self.rules, settings: settings, starting: false) { server in
                server.folder.write(
                    "rules/automations/busy.lua",
                    """
                    local a = automation { name = "busy" }
                    a:on_reading("\(server.root)/busy", function() log.info("is busy") while true do end end)
                    a:on_alert("TooWarm", "firing", function(alert) log.info("told of " .. alert.labels.device) end)
                    """)
                try await server.start()
                try await server.send("busy", "1")
                try await server.send("f1", #"{"temperature": 5}"#)
                #expect(await eventually { await !server.alerts("state=firing&label=alertname=TooWarm").isEmpty })
                #expect(await server.stop() == 0)
                #expect(server.logLines("told of f1").count == 1)
            }
        }

        @Test func `kill -9 in the middle: no reading comes to a script twice, and none is lost but those that were in its hands`()
            async throws
        {
            let settings = ["NODESPHERE_SCRIPTS_OUTPUT_RATE": "100000"]
            try await ServerBench.with(rules: Self.rules, settings: settings, starting: false) { server in
                // Slow, so that readings wait when the kill comes.
                server.folder.write(
                    "rules/automations/slow.lua",
                    """
                    local a = automation { name = "slow" }
                    a:on_start(function(reason) log.info("began by " .. reason) end)
                    a:on_reading("\(server.root)/in/{device}", function(r)
                      for i = 1, 20000 do end
                      log.info("saw " .. r.value .. ".")
                    end)
                    """)
                try await server.start()
                var chance = SplitMix(seed: 20_261_125)
                let (rounds, each) = (6, 400)
                for round in 0..<rounds {
                    let mine = (0..<each).map { DevicePublisher.Message("\(server.root)/in/d", "\(round * each + $0)") }
                    async let sending: Void = server.publisher.send(mine)
                    try await Task.sleep(for: .microseconds(Int.random(in: 20_000...400_000, using: &chance)))
                    await server.kill()
                    try await sending
                    try await server.start()
                }
                try await server.publisher.send([.init("\(server.root)/in/d", "\(rounds * each)")])
                #expect(await eventually { !server.logLines("saw \(rounds * each).").isEmpty })
                let seen = server.logLines(" saw ").compactMap {
                    $0.split(separator: " saw ").last.flatMap { Int($0.prefix { $0 != "." }) }
                }
                #expect(Set(seen).count == seen.count, "\(seen.count - Set(seen).count) came twice")
                let inHand = server.logLines("were in the hands").compactMap { line in
                    line.split(separator: ": ").last { $0.contains("were in the hands") }?.split(separator: " ").first.flatMap { Int($0) }
                }.reduce(0, +)
                #expect(rounds * each + 1 - seen.count <= inHand, "\(seen.count) of \(rounds * each + 1), \(inHand) in hand")
                #expect(seen.count > rounds * each / 2)
                #expect(server.logLines("began by recovery").count == rounds)
                #expect(await server.stop() == 0)
                try await server.start()
                #expect(await eventually { server.logLines("began by start").count == 2 })
                #expect(server.logLines(" saw ").count == seen.count)
            }
        }

        @Test func `a script raises an alert that routes carry, that outlives a kill, and that ends with the script`() async throws {
            try await ServerBench.with(rules: Self.rules, settings: ["NODESPHERE_RULES_WATCH": "true"], starting: false) { server in
                let file = "rules/automations/doors.lua"
                server.folder.write(
                    file,
                    """
                    local a = automation { name = "doors" }
                    a:on_reading("\(server.root)/door/{device}", function(r)
                      if r.value == "open" then
                        log.info("raised " .. alerts.raise { alertname = "DoorOpen", labels = { device = r.device }, severity = "high", annotations = { summary = "door " .. r.device } })
                      else alerts.resolve { labels = { device = r.device } } end
                    end)
                    a:on_alert("DoorOpen", "firing", function(alert) log.info("heard of " .. alert.labels.device) end)
                    """)
                try await server.start()
                for device in ["d1", "d2"] { try await server.send("door/\(device)", "open") }
                let first = try #require(await server.webhook.first("firing", "DoorOpen", device: "d1"))
                #expect(first.labels["severity"] == "high" && first.annotations["summary"] == "door d1")
                #expect(await server.webhook.first("firing", "DoorOpen", device: "d2") != nil)
                #expect(await eventually { server.logLines("heard of d1").count == 1 })
                await server.kill()
                try await server.start()
                let firing = await server.alerts("state=firing&label=alertname=DoorOpen")
                #expect(firing.compactMap { $0["labels"]?["device"]?.string }.sorted() == ["d1", "d2"])
                #expect(firing.first?["rule"]?["group"] == "automation/doors")
                try await server.send("door/d1", "open")
                try await server.send("door/d1", "closed")
                #expect(await server.webhook.first("resolved", "DoorOpen", device: "d1") != nil)
                try FileManager.default.removeItem(atPath: server.folder.path(file))
                #expect(await server.webhook.first("resolved", "DoorOpen", device: "d2") != nil)
                #expect(server.webhook.alerts("firing", "DoorOpen").count == 2)
            }
        }

        @Test func `a script asks hosts that are allowed, follows redirects to such alone, and waits without holding anybody up`()
            async throws
        {
            let other = LoopbackServer { request in
                switch request.path {
                case "/json": .init(body: #"{"n": 5}"#, headers: "X-Kind: it\r\n")
                case "/moved": .init(status: 302, headers: "Location: /json\r\n")
                case "/away": .init(status: 302, headers: "Location: http://localhost:1/json\r\n")
                case "/round": .init(status: 307, headers: "Location: /round\r\n")
                case "/large": .init(body: String(repeating: "x", count: 1 << 20))
                case "/silent": .silence
                default: .init(status: 404, body: "no")
                }
            }
            defer { other.stop() }
            let settings = ["NODESPHERE_SCRIPTS_HTTP_HOSTS": "127.0.0.1:\(other.port), *.example.org"]
            try await ServerBench.with(rules: Self.rules, settings: settings, starting: false) { server in
                server.folder.write(
                    "rules/automations/ask.lua",
                    """
                    automation {}:on_reading("\(server.root)/ask/{path}", function(r)
                      local a, problem = http.post("http://127.0.0.1:\(other.port)/" .. r.path, { body = { n = 1 }, headers = { authorization = "k" }, timeout = "1s" })
                      log.info(r.path .. " gave " .. (a and (a.status .. " " .. #a.body .. " " .. tostring(a.headers["x-kind"])) or problem))
                    end, { mode = "parallel" })
                    """)
                try await server.start()
                try await server.send("ask/silent", "1")
                for path in ["json", "moved", "away", "round", "large", "nothing"] { try await server.send("ask/\(path)", "1") }
                for (path, expected) in [
                    ("json", "gave 200 8 it"), ("moved", "gave 200 8 it"), ("nothing", "gave 404 2 nil"),
                    ("round", "gave more than 5 redirects"),
                    ("away", "gave a redirect leads to 'localhost:1', which the configuration does not name (scripts.http.hosts)"),
                    ("large", "gave the answer has 1048576 bytes or more"),
                    ("silent", "gave http://127.0.0.1:\(other.port): Timeout was reached"),
                ] {
                    #expect(await eventually { !server.logLines("\(path) \(expected)").isEmpty }, "\(path)")
                }
                // The one that waited longest came last.
                #expect(server.logLines(" gave ").last?.contains("silent") ?? false)
                let json = try #require(other.requests.first { $0.head.hasPrefix("POST /json") })
                #expect(json.text == #"{"n":1}"# && json.header("Content-Type") == "application/json")
                #expect(other.requests.contains { $0.head.hasPrefix("GET /json") })
            }
        }

        @Test func `while the broker is away scripts go on asking hosts, and what they publish comes when it is back`() async throws {
            let broker = try PrivateBroker()
            try broker.start()
            let other = LoopbackServer { _ in .init(body: "5") }
            defer { other.stop() }
            let settings = ["NODESPHERE_SCRIPTS_HTTP_HOSTS": "127.0.0.1:\(other.port)"]
            try await ServerBench.with(rules: Self.rules, mqtt: "mqtt://127.0.0.1:\(broker.port)", settings: settings, starting: false) {
                server in
                server.folder.write(
                    "rules/automations/away.lua",
                    """
                    local count = 0
                    automation { name = "away" }:every("500ms", function()
                      count = count + 1
                      mqtt.publish("\(server.root)/out/p" .. count, 1, { qos = 1 })
                      local answer, problem = http.get("http://127.0.0.1:\(other.port)/")
                      log.info("answer " .. (answer and answer.body or problem))
                    end)
                    """)
                try await server.start()
                func answers() -> Int { server.logLines("answer 5").count }
                #expect(await eventually { answers() > 0 })
                broker.stop()
                #expect(await eventually { await server.unreadyReason("mqtt") } != nil)
                let before = answers()
                #expect(await eventually { answers() >= before + 4 })
                try broker.start()
                #expect(await server.webhook.first("firing", "Published", device: "p\(before + 3)") != nil)
            }
        }

        @Test(.enabled(if: InfluxBench.url != nil, "needs scripts/services up influxdb"))
        func `a script writes to InfluxDB and reads it back`() async throws {
            try await InfluxBench.with { influx in
                try await ServerBench.with(rules: Self.rules, settings: influx.settings, starting: false) { server in
                    server.folder.write(
                        "rules/automations/store.lua",
                        """
                        automation {}:on_reading("\(server.root)/store/{site}", function(r)
                          local ok, problem = influx.write("m e", { site = r.site, odd = "a,b= c" }, { x = r.value, n = 3, on = true, text = 'a "b" \\\\' })
                          log.info("wrote " .. tostring(ok) .. " " .. tostring(problem))
                          local series = influx.query([[SELECT x, n, text FROM "m e" WHERE odd = 'a,b= c' GROUP BY site]])
                          local row = series[1].rows[1]
                          log.info("read " .. series[1].name .. " " .. series[1].tags.site .. " " .. row.x .. " " .. row.n .. " " .. row.text)
                          log.info("none " .. #influx.query("SELECT x FROM nothing"))
                          log.info("bad " .. select(2, influx.query("SELECT FROM")))
                        end)
                        """)
                    try await server.start()
                    try await server.send("store/oslo", "21.5")
                    #expect(await eventually { !server.logLines("wrote true nil").isEmpty }, "\(server.log)")
                    #expect(await eventually { !server.logLines(#"read m e oslo 21.5 3 a "b" \"#).isEmpty }, "\(server.log)")
                    #expect(await eventually { !server.logLines("none 0").isEmpty })
                    #expect(await eventually { !server.logLines("bad InfluxDB").isEmpty })
                }
            }
        }
    }
}
