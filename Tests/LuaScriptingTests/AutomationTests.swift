import LuaScripting
import RuleEngine
import Testing

/// Scripts in virtual time: what they put out, one line each.
final class Stage {
    var lines: [String] = []
    private(set) var rehearsal: Rehearsal!
    var now: Int64 = 0

    init(
        _ text: String, settings: AutomationSettings = AutomationSettings(),
        outside: @escaping (ScriptRequest) -> ScriptAnswer? = { _ in nil }
    ) {
        rehearsal = Rehearsal(settings: settings, outside: outside) { [unowned self] in note($0) }
        rehearsal.load(file: "rules/automations/test.lua", text: text, at: at(0))
    }

    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func note(_ effect: ScriptEffect) {
        let second = effect.at.nanoseconds / 1_000_000_000
        switch effect.kind {
        case .publish(let topic, let payload, _, _): lines.append("\(second) \(topic) \(String(decoding: payload, as: UTF8.self))")
        case .notify(let receiver, let content): lines.append("\(second) notify \(receiver) \(content.json)")
        case .log(let level, let message): lines.append("\(second) \(level) \(message)")
        case .fault(let fault):
            lines.append("\(second) fault \(fault.line) \(fault.message)\(fault.disabledUntil == nil ? "" : " disabled")")
        case .request(_, .setConfig(let device, let patch)): lines.append("\(second) config \(device) \(patch.json)")
        case .request(_, .setVariable(let name, let value)): lines.append("\(second) variable \(name) \(value?.json ?? "-")")
        case .request(_, .http(let call)): lines.append("\(second) request \(call.method) \(call.url)")
        case .request(_, .write(let point)):
            lines.append("\(second) write \(point.measurement) \(Document(point.tags).json) \(Document.object(point.fields).json)")
        case .raise(let alert):
            let parts =
                [alert.alertname, Document(alert.labels).json, Document(alert.annotations).json] + [alert.severity].compactMap { $0 }
            lines.append("\(second) raise \(parts.joined(separator: " "))")
        case .resolve(let selection):
            lines.append("\(second) resolve \(selection.alertname ?? "-") \(Document(selection.labels).json)")
        case .hush(.acknowledge(let alert, let by, let comment, _)): lines.append("\(second) acknowledge \(alert) \(by) \(comment)")
        case .hush(.silence(let silence)):
            let matchers = silence.matchers.map(\.description).joined(separator: ",")
            lines.append("\(second) silence \(matchers) \((silence.endsAt - silence.startsAt) / 1_000_000_000) \(silence.comment)")
        case .hush(.endSilence(let id)): lines.append("\(second) end_silence \(id)")
        case .request(_, .query): break
        case .store(let id, let document): lines.append("\(second) store \(id) \(document?.json ?? "-")")
        case .subscriptionsChanged: break
        }
    }

    func reading(_ topic: String, _ payload: String, at second: Int64, retained: Bool = false) {
        rehearsal.apply(.reading(topic: topic, payload: Array(payload.utf8), isRetained: retained), at: at(second))
    }

    /// An action of a rule whose alert is about a device.
    func act(_ automation: String, _ function: String, _ device: String, _ arguments: Document = .emptyObject, at second: Int64) {
        let alert = AlertRecord(
            id: device, rule: RuleIdentity(group: "g", alert: "Wet"), key: [device], activeAt: at(0), ordinal: 0, transition: 1,
            labels: ["alertname": "Wet", "device": device], state: .firing, changedAt: at(0), reason: .condition)
        rehearsal.apply(.action(automation: automation, function: function, alert: alert, arguments: arguments), at: at(second))
    }

    func fire(_ device: String, at second: Int64) {
        let alert = AlertRecord(
            id: device, rule: RuleIdentity(group: "g", alert: "Wet"), key: [device], activeAt: at(second), ordinal: 0, transition: 1,
            labels: ["alertname": "Wet", "device": device], state: .firing, changedAt: at(second), reason: .condition)
        rehearsal.apply(.transition(AlertTransition(from: .inactive, alert: alert)), at: at(second))
    }

    func pass(to second: Int64) { rehearsal.advance(to: at(second)) }
    func end(at second: Int64) { rehearsal.end(at: at(second)) }
    var published: [String] { lines.filter { !$0.contains(" store ") } }
}

@Suite struct AutomationTests {
    @Test func `the vent of the design opens, waits, closes; another house is another call`() {
        let stage = Stage(
            """
            local vent = automation { name = "night-vent", description = "airs the greenhouse" }
            vent:on_reading("greenhouse/{house}/climate", function(r)
              if r.temperature > (r.config.vent_above or 24) then
                mqtt.publish("greenhouse/" .. r.house .. "/vent/set", "OPEN", { qos = 1 })
                sleep "10m"
                mqtt.publish("greenhouse/" .. r.house .. "/vent/set", "CLOSE", { qos = 1 })
              end
            end, { mode = "restart", key = "house" })
            """)
        stage.reading("greenhouse/a/climate", #"{"temperature": 25}"#, at: 1)
        stage.reading("greenhouse/b/climate", #"{"temperature": 20}"#, at: 2)
        stage.reading("greenhouse/b/climate", #"{"temperature": 30.5}"#, at: 60)
        stage.reading("greenhouse/a/climate", #"{"temperature": 26}"#, at: 300)
        stage.pass(to: 2000)
        #expect(
            stage.published == [
                "1 greenhouse/a/vent/set OPEN", "60 greenhouse/b/vent/set OPEN", "300 greenhouse/a/vent/set OPEN",
                "660 greenhouse/b/vent/set CLOSE", "900 greenhouse/a/vent/set CLOSE",
            ])
        #expect(stage.rehearsal.runtime.statuses.map(\.name) == ["night-vent"])
        // A call a reading, however often it went on.
        #expect(stage.rehearsal.runtime.statuses.map(\.runs) == [4])
    }

    @Test func `an alert that comes while another's handler waits is a call of its own; the same one is not`() {
        let stage = Stage(
            """
            automation { name = "a" }:on_alert("Wet", "firing", function(alert)
              local opened = wait_for("door/{device}", { timeout = "60s" })
              mqtt.publish("out/" .. alert.labels.device, opened and "opened" or "left")
            end)
            """)
        stage.fire("a", at: 1)
        stage.fire("b", at: 2)
        stage.fire("a", at: 3)
        stage.reading("door/b", "1", at: 10)
        stage.pass(to: 200)
        #expect(stage.published == ["10 out/b opened", "61 out/a left"])
    }

    @Test(arguments: [
        ("single", ["0 begin 1", "10 end 1"]), ("restart", ["0 begin 1", "1 begin 2", "2 begin 3", "12 end 3"]),
        ("queued", ["0 begin 1", "10 end 1", "10 begin 2", "20 end 2", "20 begin 3", "30 end 3"]),
        ("parallel", ["0 begin 1", "1 begin 2", "2 begin 3", "10 end 1", "11 end 2", "12 end 3"]),
    ])
    func `modes say what a second call does`(_ mode: String, _ expected: [String]) {
        let stage = Stage(
            """
            automation {}:on_reading("t/{n}", function(r)
              mqtt.publish("begin", r.n) sleep(10) mqtt.publish("end", r.n)
            end, { mode = "\(mode)" })
            """)
        for number in 1...3 { stage.reading("t/\(number)", "1", at: Int64(number - 1)) }
        stage.pass(to: 100)
        #expect(stage.published == expected)
    }

    @Test func `wait_for takes this door's message, tests it, and gives up in time`() {
        let stage = Stage(
            """
            automation {}:on_reading("door/{id}/opened", function(r)
              local m = wait_for("door/{id}/state", { timeout = "5m", where = "value == 'closed'" })
              if not m then notify { receiver = "oncall", summary = "door " .. r.id .. " left open" }
              else mqtt.publish("closed", m.value .. m.topic) end
            end, { mode = "single", key = "id" })
            """)
        stage.reading("door/1/opened", "x", at: 0)
        stage.reading("door/2/opened", "x", at: 1)
        stage.reading("door/1/state", "open", at: 10)
        stage.reading("door/2/state", "closed", at: 20, retained: true)
        stage.reading("door/1/state", "closed", at: 30)
        stage.pass(to: 1000)
        #expect(stage.published == ["30 closed closeddoor/1/state", #"301 notify oncall {"summary":"door 2 left open"}"#])
        #expect(stage.rehearsal.runtime.subscriptions.map(\.filter.subscription) == ["door/+/opened", "door/+/state"])
    }

    @Test func `every, cron, after and schedule come at their instants`() {
        let stage = Stage(
            """
            local a = automation {}
            a:every("15m", function() mqtt.publish("every", clock.now()) end)
            a:cron("0 1 * * *", function() mqtt.publish("cron", os.date("!%H:%M")) end)
            a:on_start(function(reason) after("90s", function() mqtt.publish("after", reason) end) schedule("2h", "later", { x = 1 }) end)
            a:on_schedule("later", function(data) mqtt.publish("schedule", data) end)
            a:on_stop(function() mqtt.publish("stop", "") end)
            """)
        stage.end(at: 7300)
        #expect(
            stage.lines == [
                #"0 store schedule/test/0 {"at":7200000000000,"name":"later","data":{"x":1}}"#, "90 after start", "900 every 900.0",
                "1800 every 1800.0", "2700 every 2700.0", "3600 cron 01:00", "3600 every 3600.0", "4500 every 4500.0", "5400 every 5400.0",
                "6300 every 6300.0", "7200 store schedule/test/0 -", #"7200 schedule {"x":1}"#, "7200 every 7200.0", "7300 stop ",
            ])
    }

    @Test func `state is stored a second after it changed, and kept by a reload`() {
        let text = """
            local a = automation { name = "counter" }
            a:on_reading("t", function(r) state.count = (state.count or 0) + 1 state.last = r.value end)
            """
        let stage = Stage(text)
        stage.reading("t", "5", at: 0)
        stage.reading("t", "6", at: 0)
        stage.pass(to: 10)
        #expect(stage.lines == [#"1 store state/counter {"count":2,"last":6}"#])
        stage.rehearsal.load(file: "rules/automations/test.lua", text: text, at: Instant(milliseconds: 20_000))
        stage.reading("t", #""x""#, at: 30)
        stage.end(at: 30)
        #expect(stage.lines.last == #"30 store state/counter {"count":3,"last":"x"}"#)
        #expect(stage.rehearsal.runtime.state(of: "counter") == ["count": 3, "last": "x"])
    }

    @Test func `a script that fails again and again rests, others go on`() {
        let stage = Stage(
            """
            automation {}:on_reading("t", function(r) if r.value > 0 then error("bad " .. r.value) end mqtt.publish("good", r.value) end)
            """)
        for number in 1...7 { stage.reading("t", "\(number)", at: Int64(number)) }
        stage.reading("t", "0", at: 30)
        #expect(stage.rehearsal.runtime.statuses.first?.state == "disabled")
        stage.reading("t", "0", at: 70)
        #expect(
            stage.published == [
                "1 fault 1 bad 1", "2 fault 1 bad 2", "3 fault 1 bad 3", "4 fault 1 bad 4", "5 fault 1 bad 5 disabled", "70 good 0",
            ])
        #expect(stage.rehearsal.runtime.statuses.first?.state == "running")
    }

    @Test func `limits of output, of waiting and of one instant end a run by name`() {
        var settings = AutomationSettings()
        settings.outputsPerSecond = 2
        settings.waitingHandlers = 3
        let flood = Stage(#"automation {}:on_reading("t", function() while true do mqtt.publish("x", "") end end)"#, settings: settings)
        flood.reading("t", "1", at: 0)
        #expect(flood.lines.count == 21)
        #expect(flood.lines.last?.contains("output rate limit") ?? false)
        let waiting = Stage(
            #"automation {}:on_reading("t", function() sleep "1h" end, { mode = "parallel", max = 100 })"#, settings: settings)
        for _ in 0..<4 { waiting.reading("t", "1", at: 0) }
        #expect(waiting.lines.count == 1)
        #expect(waiting.lines.last?.contains("waiting handlers limit") ?? false)
        let loop = Stage(#"automation {}:on_reading("t", function() while true do end end)"#, settings: settings)
        loop.reading("t", "1", at: 0)
        #expect(loop.lines.first?.hasPrefix("0 fault 1 instruction limit") ?? false)
    }

    @Test func `a script that is nested too deeply is told with its file`() {
        let stage = Stage("local x = " + String(repeating: "(", count: 5000) + "1")
        #expect(stage.rehearsal.runtime.statuses[0].lastFault?.text == "rules/automations/test.lua: the script is nested too deeply")
    }

    @Test func `the sun is that of the server's place`() {
        let text = """
            local function hour(t) return os.date("!%H", t) end
            automation {}:on_reading("t", function(r)
              mqtt.publish("sun", string.format("%.0f %s %s", clock.sun_elevation(), hour(clock.next_sunrise()), hour(clock.next_sunset())))
            end)
            """
        var settings = AutomationSettings()
        settings.surroundings.location = GeoPoint(latitude: 59.9139, longitude: 10.7522)
        let stage = Stage(text, settings: settings)
        stage.reading("t", "1", at: 40_800)
        #expect(stage.published == ["40800 sun 7 08 14"])
        let nowhere = Stage(text)
        nowhere.reading("t", "1", at: 40_800)
        #expect(
            nowhere.published == [
                "40800 fault 3 clock.sun_elevation: the server does not know where it is: set 'location' in its configuration"
            ])
    }

    @Test func `devices, cel, json, base64 and the clock`() {
        let stage = Stage(
            """
            automation {}:on_reading("t/{device}", function(r)
              mqtt.publish("a", tostring(device.set_config(r.device, { max = 5, gone = json.null })))
              mqtt.publish("b", device.config(r.device))
              mqtt.publish("c", cel.eval("a + size(b)", { a = 1, b = "xyz" }))
              mqtt.publish("d", tostring(cel.compile("x > 3"):eval { x = 4 }))
              mqtt.publish("e", select(2, cel.eval("a + 1", {})))
              mqtt.publish("f", json.encode { list = { 1, 2 }, text = "ü" } .. json.decode('{"a": [1, null, 2.5]}').a[3])
              mqtt.publish("g", base64.encode("hällo") .. base64.decode("aGk="))
              mqtt.publish("h", clock.iso() .. os.date(" !%c", 0) .. os.time { year = 2026, month = 2, day = 3 })
              mqtt.publish("i", tostring(mqtt.latest("t/x").value) .. tostring(mqtt.latest("nothing")))
              mqtt.publish("j", tostring(clock.between("23:00", "01:00")) .. #device.find {})
              mqtt.publish("k", select(2, http.get("http://example.org")))
            end)
            """)
        stage.reading("t/x", "7", at: 60)
        #expect(
            stage.published == [
                #"60 config x {"gone":null,"max":5}"#, "60 a true", #"60 b {"max":5}"#, "60 c 4", "60 d true", "60 e there is no 'a'",
                #"60 f {"list":[1,2],"text":"ü"}2.5"#, "60 g aMOkbGxvhi",
                "60 h 1970-01-01T00:01:00.000Z !Thu Jan  1 00:00:00 19701770120000",
                "60 i 7nil", "60 j true1", "60 k 'example.org' may not be reached: the configuration does not name it (scripts.http.hosts)",
            ])
    }

    @Test(arguments: [
        ("automation {}:on_reading('a/#/b', function() end)", 1, "on_reading: 'a/#/b': '#' must be the last level"),
        ("\nautomation { name = 'a b' }", 2, "automation: 'name' must be letters, digits, '-' and '_'"),
        ("automation { descripton = 'a' }", 1, "automation: there is no 'descripton': there are name and description"),
        ("automation {}:on_reading('a', 5)", 1, "on_reading: wants a function"),
        (
            "automation {}:on_reading('a', print, { key = 'x' })", 1,
            "on_reading: 'key' must name a capture of the filter: there is no '{x}'"
        ),
        ("automation {}:on_reading('a', print, { mode = 'x' })", 1, "on_reading: 'mode' must be single, restart, queued or parallel"),
        (
            "automation {}:on_reading('a', print, { qos = 1 })", 1,
            "on_reading: there is no option 'qos': there are mode, key, max and retained"
        ),
        (
            "automation {}:on_alert('A', 'burning', print)", 1,
            "on_alert: the state must be one of inactive, pending, firing, recovering, resolved, nodata"
        ),
        ("every('1ms', print)", 1, "every: wants a duration of at least 100ms, such as \"15m\""),
        ("sleep '1s'", 1, "sleep: only a handler can wait, not the file while it is read"),
        ("local x = = 1", 1, "unexpected symbol near '='"),
    ])
    func `a mistake in a file is told with its line`(_ text: String, _ line: Int, _ message: String) {
        let stage = Stage(text)
        #expect(stage.lines == ["0 fault \(line) \(message)"])
        #expect(stage.rehearsal.runtime.statuses.first?.state == "failed")
    }

    @Test func `the same readings give the same effects, byte for byte`() {
        let text = """
            local a = automation {}
            a:on_reading("t/{n}", function(r)
              state[r.n] = math.random(1000)
              local out = {}
              for k, v in pairs(state) do out[#out + 1] = k .. "=" .. v end
              mqtt.publish("out", table.concat(out, ","))
            end)
            """
        func run() -> [String] {
            let stage = Stage(text)
            for number in 0..<50 { stage.reading("t/\(number * 7 % 50)", "\(number)", at: Int64(number)) }
            stage.end(at: 100)
            return stage.lines
        }
        let first = run()
        #expect(first.count > 50)
        #expect(first == run())
    }
}
