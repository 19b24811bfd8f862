import LuaScripting
import RuleEngine
import Testing

/// A reading becomes Lua's member by member, and nobody notices.
@Suite struct ReadingTableTests {
    private static let payload =
        #"{"t": 21.5, "n": {"deep": [1, null, 3]}, "s": "text", "b": true, "z": null, "topic": "mine", "device": "mine", "t": 22.5}"#

    /// What a handler with this body publishes.
    private func published(_ body: String, _ payload: String = payload) -> [String] {
        let stage = Stage(
            "automation {}:on_reading('a/{device}/{site}', function(r) local out = function(...) log.info(...) end \(body) end)")
        stage.reading("a/d1/s1", payload, at: 5)
        return stage.published
    }

    @Test(arguments: [
        ("out(r.t, r.s, r.b, r.z, r.missing, r[1])", "22.5 text true nil nil nil"),
        ("out(r.device, r.site, r.topic, r.time, r.received_at, r.retained)", "d1 s1 a/d1/s1 5.0 5.0 false"),
        ("out(#r.payload, type(r.config), type(r), tostring(r), getmetatable(r))", "121 table table table nil"),
        ("r.n.deep[2] = 7 out(r.n.deep[2], r.n == r.n, #r.n.deep)", "7 true 3"),
        ("r.t = nil out(r.t, r.s)", "nil text"), ("r.t = 5 r.new = 6 out(r.t, r.new, r.s)", "5 6 text"),
        ("r.n.deep[1] = 9 r.x = 1 out(r.n.deep[1], r.n.deep[3])", "9 3"),
        (
            "local names = {} for k in pairs(r) do names[#names + 1] = k end out(table.concat(names, ' '))",
            "b config device n payload received_at retained s site t time topic"
        ),
        ("local k = next(r) out(k, rawget(r, 't'), rawlen(r), #r)", "b 22.5 0 0"),
        ("rawset(r, 't', 1) out(r.t, rawget(r, 's'))", "1 text"),
        (
            "for i, v in ipairs(r) do out('never') end setmetatable(r, {__index = function() return 'else' end}) out(r.t, r.missing)",
            "22.5 else"
        ),
        ("state.r = r.n state.whole = { r.s } out(json.encode(r.n))", #"{"deep":[1,null,3]}"#),
        ("local c = r out(rawequal(c, r), select('#', table.unpack(r)))", "true 0"), ("table.insert(r, 'x') out(r[1], r.s)", "x text"),
        ("out(cel.eval('r.t > 20.0 && r.device == \"d1\"', { r = r }))", "true"),
        ("local keep = r; (function() out(keep.t) end)()", "22.5"),
    ])
    func `a reading is a table as any other`(_ body: String, _ expected: String) {
        #expect(published(body) == ["5 info \(expected)"])
    }

    @Test func `a reading that is kept, or looked at after a wait, is what it was`() {
        let stage = Stage(
            """
            local last
            local a = automation {}
            a:on_reading("a/{device}", function(r)
              if last then log.info(last.t, last.device) end
              last = r
              sleep(10)
              log.info(r.t, r.device)
            end, { mode = "parallel" })
            """)
        stage.reading("a/1", #"{"t": 1}"#, at: 1)
        stage.reading("a/2", #"{"t": 2, "u": [1]}"#, at: 2)
        stage.reading("a/3", "3", at: 3)
        stage.pass(to: 100)
        #expect(stage.published == ["2 info 1 1", "3 info 2 2", "11 info 1 1", "12 info 2 2", "13 info nil 3"])
    }

    @Test func `payloads with many members, with none, and of no object`() {
        let many = "{" + (0..<200).map { "\"m\($0)\": \($0)" }.joined(separator: ", ") + "}"
        #expect(published("out(r.m0, r.m199, r.m200, r.device)", many) == ["5 info 0 199 nil d1"])
        #expect(published("out(r.value, r.device)", "{}") == ["5 info nil d1"])
        #expect(published("out(r.value, r.device)", "[1, 2]").first?.hasSuffix(" d1") ?? false)
        #expect(published("out(r.value, r.device)", "plain") == ["5 info plain d1"])
    }

    @Test func `numbers are the doubles that their text stands for`() {
        let texts = [
            "0.1", "-0.1", "1.7976931348623157e308", "123456789012345.6", "9007199254740993.0", "0.000001", "3.141592653589793", "-0",
            "-0.0",
            "100000000000000000000", "1e22", "0.30000000000000004", "12345.6789", "99999999999999.9", "0.00000000000000000000001",
        ]
        for text in texts {
            let found = published("out(string.format('%.17g', r.t))", #"{"t": \#(text)}"#)
            #expect(found.first.flatMap { Double($0.split(separator: " ").last ?? "") } == Double(text), "\(text): \(found)")
        }
    }

    @Test func `configuration is asked for when it is looked at`() {
        let asked = Asked()
        let world = ScriptWorld(device: { id in
            asked.count += 1
            return ScriptWorld.Device(id: id, config: ["limit": 7])
        })
        let runtime = AutomationRuntime(world: world)
        runtime.load(
            file: "a.lua",
            text:
                "automation {}:on_reading('a/{device}', function(r) if r.x then log.info(r.config.limit, r.config.limit) end if r.handed then mqtt.publish('out', { 'before', r, 'behind' }) end end)",
            at: Instant(nanoseconds: 0))
        func send(_ payload: String) {
            runtime.apply(.reading(topic: "a/d", payload: Array(payload.utf8), isRetained: false), at: Instant(nanoseconds: 1))
        }
        send("{}")
        #expect(asked.count == 0)
        send(#"{"x": 1}"#)
        #expect(asked.count == 1)
        send(#"{"handed": 1}"#)
        #expect(
            runtime.takeEffects().contains {
                if case .publish(_, let payload, _, _) = $0.kind {
                    String(decoding: payload, as: UTF8.self).contains(#""config":{"limit":7}"#)
                } else {
                    false
                }
            })
        send(#"{"x": 1}"#)
        #expect(runtime.takeEffects().contains { if case .log(_, "7 7") = $0.kind { true } else { false } })
    }

    private final class Asked: @unchecked Sendable {
        // One thread.
        var count = 0
    }

    // MARK: What is counted

    @Test func `a byte of a long string costs no more than one of a short one`() throws {
        func instructions(_ length: Int, _ call: String) throws -> Int64 {
            let lua = LuaState()
            try lua.load("s = string.rep('x', \(length)) function f() for i = 1, 1000 do \(call) end end", name: "a.lua")
            try lua.call(global: "f")
            return lua.instructionsUsed
        }
        for call in ["s:byte(i)", "s:sub(i, i)", "s:byte(-1)"] {
            #expect(try instructions(100_000, call) == instructions(2_000, call), "\(call)")
        }
        #expect(try instructions(100_000, "s:byte(1, 5000)") > instructions(100_000, "s:byte(1, 50)"))
    }

    @Test(arguments: [
        ("base64.decode('aGk')", "hi"), ("base64.decode('a G\\nk=\\n')", "hi"), ("base64.decode('_-8=')", "\\255\\239"),
        ("base64.decode('a')", "nil"), ("base64.decode('a*==')", "nil"), ("base64.decode('')", ""),
        ("json.decode('[1, null, {\"a\": null}]')[1]", "1"), ("json.decode('{')", "nil"), ("json.decode('')", "nil"),
        ("json.decode('3')", "3"),
        ("json.decode('[null]')[1] == json.null", "true"), ("json.decode('{\"a\": null}').a", "nil"),
    ])
    func `json and base64 are the same for scripts and plugins`(_ call: String, _ expected: String) throws {
        let stage = Stage(
            "automation {}:on_start(function() log.info(tostring((\(call)) == nil and 'nil' or \(call)) == \"\(expected)\") end)")
        #expect(stage.published == ["0 info true"])
    }
}
