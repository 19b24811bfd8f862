import CEL
import Foundation
import LuaScripting
import RuleEngine
import RuleLanguage
import Synchronization
import Testing

@Suite struct LuaPluginTests {
    // MARK: Loading

    @Test(arguments: [
        ("local x = = 1", "1: unexpected symbol near '='"),
        ("\nerror('not today', 0)", "not today"),
        ("\nnosuch.call()", "2: attempt to index a nil value (global 'nosuch')"),
        ("x = 1", "1: a plugin must call plugin { … } with what it provides"),
        ("plugin { decoders = {} }", "4: the manifest promises the decoder 'sample', and init.lua does not provide it"),
        ("plugin { decoders = { sample = 1 } }", "1: 'sample' in 'decoders' must be a function, not a number"),
        ("plugin { decoders = { sample = print, more = print } }", "the manifest says nothing of the decoder 'more'"),
        ("plugin { decodes = { sample = tostring } }", "1: plugin {…} has no 'decodes': it has decoders, functions, channels and actions"),
        ("while true do end", "instruction limit"),
        ("http.get('https://example.org')", "1: only channels and actions"),
        ("io.open('/etc/passwd')", "'io'"),
    ]) func `a plugin that cannot be loaded says why`(_ code: String, _ expected: String) async throws {
        let said = try await PluginLoading.failure(code: code.replacing("print", with: "tostring"))
        #expect(said.contains(expected), "\(said)")
    }

    // MARK: Decoders

    private func fields(_ plugin: LuaPlugin, _ payload: String, topic: String = "a/b") throws -> (String, Instant?)? {
        let decoder = try plugin.decoder("sample")
        return try PayloadInspection.fields(topic: topic, payload: Array(payload.utf8), decoder: decoder).map { ($0.fields.json, $0.time) }
    }

    @Test func `fields of every kind come out as JSON`() async throws {
        let code = """
            plugin { decoders = { sample = function(topic, bytes)
              return { topic = topic, n = 1, x = 0.5, big = 1e300, text = bytes, yes = true, list = {1, "a"}, none = json.null,
                       inside = { deep = { er = "\\u{1F321}\\n\\0" } }, nan = 0/0, empty = json.decode("[]") }, 1.5
            end } }
            """
        try await PluginLoading.with(code: code) { plugin in
            let found = try #require(try fields(plugin, #"say "hi""#))
            #expect(
                found.0
                    == #"{"big":1e+300,"empty":[],"inside":{"deep":{"er":"🌡\n\u0000"}},"list":[1,"a"],"n":1,"nan":null,"none":null,"text":"say \"hi\"","topic":"a/b","x":0.5,"yes":true}"#
            )
            #expect(found.1 == Instant(nanoseconds: 1_500_000_000))
        }
    }

    @Test(arguments: [
        ("error('too short', 0)", "too short"), ("local x = nil + 1", "init.lua:1: attempt to perform arithmetic on a nil value"),
        ("return 5", "must give a table of fields, not a number"),
        ("return { x = '\\255' }", "no UTF-8"), ("return { x = tostring }", "a function cannot be handed over"),
        ("return { x = 1 }, 'noon'", "time must be a number of seconds, not a string"), ("while true do end", "instruction limit"),
        ("local t = {} while true do t[#t + 1] = string.rep('x', 1000) end", "limit"),
        ("local t = {} t.t = t return t", "nested deeper"), ("return http.get('https://example.org')", "only channels and actions"),
    ]) func `a decoder that fails says why, and works for the next message`(_ code: String, _ expected: String) async throws {
        let text = "plugin { decoders = { sample = function(topic, bytes) if bytes == 'bad' then \(code) end return { ok = true } end } }"
        try await PluginLoading.with(code: text) { plugin in
            let decoder = try plugin.decoder("sample")
            func decode(_ payload: String) throws(TelemetryDecoderFailure) -> String? {
                try PayloadInspection.fields(topic: "t", payload: Array(payload.utf8), decoder: decoder)?.fields.json
            }
            let failure = #expect(throws: TelemetryDecoderFailure.self) { _ = try decode("bad") }
            #expect(failure?.reason.contains(expected) == true, "\(failure?.reason ?? "")")
            #expect(try decode("good") == #"{"ok":true}"#)
        }
    }

    private static let counting = """
        local seen = 0
        plugin { decoders = { sample = function(topic, bytes)
          if bytes == "skip" then return nil end
          if bytes == "bad" then error("no good", 0) end
          seen = seen + 1
          return { temperature = tonumber(bytes), seen = seen }
        end } }
        """

    @Test func `rules read what a decoder finds; what it refuses is counted with its reason, what it passes over is not`() async throws {
        try await PluginLoading.with(code: Self.counting) { plugin in
            let (catalog, _) = PluginCatalog.assembling([plugin.manifest], environment: RuleLanguageEnvironment.standard)
            let (set, diagnostics) = PluginSet.assembling(catalog, [plugin])
            #expect(diagnostics == [])
            let yaml = """
                groups:
                  - name: g
                    on: {topic: "s/{device}", decoder: sample}
                    rules:
                      - {alert: Hot, expr: temperature > 30.0}
                      - {alert: Often, expr: seen > 2.0}
                  - name: h
                    on: {topic: "s/#", decoder: sample}
                    rules: [{alert: Any, expr: temperature > 40.0}]
                """
            let loader = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: catalog)
            let loaded = loader.load(files: [RuleLoader.Source(name: "r", bytes: Array(yaml.utf8))])
            #expect(loaded.diagnostics == [])
            let rules = try #require(loaded.catalog)
            let plan = try #require(EvaluationPlan.compile(rules, decoders: set.decoders).plan)
            for _ in 0..<2 {
                // A second engine begins with a decoder that knows nothing.
                let engine = Engine(plan: plan)
                engine.connected(at: Instant(nanoseconds: 0))
                engine.backlogEnded(at: Instant(nanoseconds: 0))
                func send(_ payload: String, _ second: Int64) -> [String] {
                    Array("s/d1".utf8).withUnsafeBytes { topic in
                        Array(payload.utf8).withUnsafeBytes { payload in
                            engine.ingest(topic: topic, payload: payload, at: Instant(nanoseconds: second * 1_000_000_000))
                        }
                    }
                    return engine.takeEffects().transitions.map { "\($0.alert.rule.alert) \($0.alert.state.rawValue)" }.sorted()
                }
                #expect(send("20", 1) == [])
                #expect(send("bad", 2) == [] && send("skip", 3) == [])
                #expect(send("35", 4) == ["Hot firing"])
                // Two groups read the message, and the decoder ran once for both.
                #expect(send("45", 5) == ["Any firing", "Often firing"])
                #expect(engine.counters.undecodable == ["decoder sample": 1])
                let refusal = try #require(engine.counters.refusals["sample"])
                #expect(refusal.topic == "s/d1" && refusal.reason == "no good")
            }
        }
    }

    /// The engine with one rule on what a shipped decoder gives.
    private func plan(_ plugin: LuaPlugin, _ decoder: String, on topic: String, _ expression: String) throws -> EvaluationPlan {
        let (catalog, _) = PluginCatalog.assembling([plugin.manifest], environment: RuleLanguageEnvironment.standard)
        let (set, _) = PluginSet.assembling(catalog, [plugin])
        let yaml =
            "groups:\n  - {name: g, on: {topic: \"\(topic)\", decoder: \(decoder)}, rules: [{alert: A, expr: '\(expression)'}]}\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: catalog)
            .load(files: [RuleLoader.Source(name: "r", bytes: Array(yaml.utf8))])
        let rules = try #require(loaded.catalog)
        return try #require(EvaluationPlan.compile(rules, decoders: set.decoders).plan)
    }

    private func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    private func send(_ topic: String, _ payload: [UInt8], to engine: Engine, at second: Int64) -> [String] {
        Array(topic.utf8).withUnsafeBytes { topic in
            payload.withUnsafeBytes { engine.ingest(topic: topic, payload: $0, at: Instant(nanoseconds: second * 1_000_000_000)) }
        }
        return engine.takeEffects().transitions.map(\.alert.state.rawValue)
    }

    @Test func `what a decoder puts into its memory is restored with the engine`() throws {
        let topic = "spBv1.0/{g}/{message}/{node}/{device}"
        let birth = bytes(
            "08fac9ab99f331121a0a12496e707574732f54656d706572617475726510072003501512100a044e616d651008200c7a0470756d701801")
        // -5 under the number 7, which the birth says is 'Inputs/Temperature'.
        let data = bytes("08fac9ab99f331120a1007200350fbffffff0f1204100838011802")
        let plan = try plan(PluginLoading.load("sparkplug-b"), "sparkplug-b", on: topic, "Inputs_Temperature < 0.0")
        let stopped = Engine(plan: plan)
        stopped.connected(at: Instant(nanoseconds: 0))
        stopped.backlogEnded(at: Instant(nanoseconds: 0))
        #expect(send("spBv1.0/g/DBIRTH/n/d", birth, to: stopped, at: 1) == [])
        let snapshot = stopped.snapshot()
        let fresh = Engine(plan: plan)
        #expect(send("spBv1.0/g/DDATA/n/d", data, to: fresh, at: 2) == [])
        let restored = try #require(Engine(plan: plan, restoring: snapshot))
        #expect(restored.snapshot() == snapshot)
        #expect(send("spBv1.0/g/DDATA/n/d", data, to: restored, at: 2) == ["firing"])
    }

    @Test func `a decoder's memory takes small values, in groups, and says when it is full`() async throws {
        let code = """
            plugin { decoders = { sample = function(topic, bytes)
              local kept, why = memory.set("g", "k", bytes)
              memory.set("g", 7, { name = "x", n = 1.5 })
              local answer = { kept = kept, why = why, k = memory.get("g", "k"), seven = memory.get("g", "7").n, other = memory.get("h", "k") }
              if bytes == "gone" then memory.set("g", "k", nil) answer.k = memory.get("g", "k") end
              if bytes == "clear" then memory.clear("g") answer.seven = memory.get("g", 7) end
              return answer
            end } }
            """
        try await PluginLoading.with(code: code) { plugin in
            let decoder = try plugin.decoder("sample")
            func decode(_ payload: String) throws -> String? {
                try PayloadInspection.fields(topic: "t", payload: Array(payload.utf8), decoder: decoder)?.fields.json
            }
            #expect(try decode("a") == #"{"k":"a","kept":true,"seven":1.5}"#)
            let large = String(repeating: "x", count: 5000)
            #expect(try decode(large)?.hasPrefix(#"{"k":"a","seven":1.5,"why":"the value is larger than 4 KiB"#) == true)
            #expect(try decode("gone") == #"{"kept":true,"seven":1.5}"#)
            #expect(try decode("clear") == #"{"k":"clear","kept":true}"#)
            #expect(decoder.memory.isEmpty && decoder.memory.size == 0)
        }
    }

    // MARK: Functions

    private static let functions = """
        {functions: {
          twice: {parameters: {x: double}, result: double, doc: d, example: {expr: "1", value: 1}},
          shout: {parameters: {text: string, times: int}, result: string, doc: d, example: {expr: "1", value: 1}},
          liar: {parameters: {}, result: double, doc: d, example: {expr: "1", value: 1}}}}
        """.split(separator: "\n").joined(separator: " ")

    @Test(arguments: [
        ("twice(2.5)", "5"), ("twice(3)", "6"), ("twice(x)", "42"), ("shout('a', 2)", "\"AA\""), ("twice(twice(1.0)) + 1.0", "5"),
        ("[1.0, 2.0].map(n, twice(n))", "[2,4]"), ("twice(-1.0)", "error: twice: must not be negative"),
        ("liar()", "error: liar: the plugin must give a number, not string"), ("twice('a')", "no-such-overload"),
        ("twice()", "no-such-overload"),
        ("twcie(1.0)", "unknown-function"),
    ]) func `expressions call functions of plugins`(_ expression: String, _ expected: String) async throws {
        let code = """
            plugin { functions = {
              twice = function(x) if x < 0 then error("must not be negative", 0) end return 2 * x end,
              shout = function(text, times) return string.rep(string.upper(text), times) end,
              liar = function() return "pi" end,
            } }
            """
        try await PluginLoading.with(provides: Self.functions, code: code) { plugin in
            let (catalog, _) = PluginCatalog.assembling([plugin.manifest], environment: RuleLanguageEnvironment.standard)
            let environment = PluginSet.assembling(catalog, [plugin]).0.environment(RuleLanguageEnvironment.standard)
            struct X: NameResolver {
                mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
                    path.first == .name("x") ? .constant(.double(21)) : .unknown(nearest: nil, known: [])
                }
            }
            var names = X()
            let compiled = environment.compile(
                try #require(environment.parse(expression).expression), names: &names, strings: InternedStrings())
            guard let program = compiled.program, compiled.diagnostics.isEmpty else {
                #expect(compiled.diagnostics.map(\.code) == [expected])
                return
            }
            let found =
                switch [Slot.missing].withUnsafeBufferPointer({ program.evaluate($0.baseAddress!) }) {
                case .value(let value): Document(value).json
                case .error(let error): "error: \(error.message)"
                case .missing(let name): "missing \(name)"
                }
            #expect(found == expected)
        }
    }

    // MARK: Channels and actions

    private final class Web: HTTPRequesting {
        let calls = Mutex([HTTPCall]())
        func send(_ call: HTTPCall) async -> HTTPReply {
            calls.withLock { $0.append(call) }
            return .response(status: 200, headers: [("retry-after", "3")], body: Array("token s3cret-token refused".utf8))
        }
    }

    @Test(arguments: [
        ("return 'ok'", "ok"), ("return 'retry', 'busy', 3", "retry busy 3.0 seconds"), ("return 'retry', 'busy', -1", "retry busy -"),
        ("return 'reject', 'no'", "reject no"), ("return 1", "reject the plugin must give \"ok\", \"retry\" or \"reject\""),
        ("return", "reject the plugin must give \"ok\", \"retry\" or \"reject\""),
        (
            "local r = http.post('https://a.example.org/', { body = 'x' }) return 'retry', r.body, tonumber(r.headers['retry-after'])",
            "retry token <secret> refused 3.0 seconds"
        ),
        (
            "http.get('https://b.example.org/')",
            "plugin 'sample' may not send requests to 'b.example.org': its manifest does not ask for it"
        ),
        ("http.get('https://a.example.org@evil.org/')", "the URL must begin with http:// or https://"),
        ("http.get('file:///etc/passwd')", "the URL must begin with http:// or https://"),
        ("mqtt.publish('a', 'b')", "may not publish to 'a'"), ("while true do end", "instruction limit"),
        ("error { code = 1 }", "reject the plugin failed"),
    ]) func `what a channel says is what becomes of the attempt`(_ code: String, _ expected: String) async throws {
        let web = Web()
        let text = "plugin { channels = { sample = function(notification, config) \(code) end } }"
        let more = "permissions: {http: [a.example.org]}\nconfiguration: {token: {type: secret}}\n"
        try await PluginLoading.with(provides: "{channels: [sample]}", more: more, code: text, http: web) { plugin in
            let values = PluginValues([.init("token", .secret(.text("s3cret-token")))])
            let channel = try plugin.channel(PluginChannelConfiguration(channel: "sample", plugin: "sample", values: values))
            let result = await channel.attempt(RuleEngine.Notification(id: "i", receiver: "r", document: ["status": "firing"])).result
            let said =
                switch result {
                case .delivered: "ok"
                case .failed(let reason, let after): "retry \(reason) \(after.map { "\($0)" } ?? "-")"
                case .rejected(let reason): "reject \(reason)"
                }
            #expect(said == expected || said.contains(expected) && expected != "ok", "\(said)")
        }
    }

    @Test func `deliveries that wait do not hold up one another`() async throws {
        /// Answers only when three requests are there at once.
        final class Together: HTTPRequesting {
            let waiting = Mutex([CheckedContinuation<HTTPReply, Never>]())
            func send(_ call: HTTPCall) async -> HTTPReply {
                await withCheckedContinuation { continuation in
                    let all = waiting.withLock { waiting in
                        waiting.append(continuation)
                        return waiting.count == 3 ? waiting : []
                    }
                    for (place, one) in all.enumerated() { one.resume(returning: .response(status: 200 + place, headers: [], body: [])) }
                }
            }
        }
        let text = """
            plugin { channels = { sample = function(n) local r = http.get("https://a.example.org/" .. n.id) return "retry", n.id end } }
            """
        try await PluginLoading.with(
            provides: "{channels: [sample]}", more: "permissions: {http: [a.example.org]}\n", code: text, http: Together()
        ) { plugin in
            let channel = try plugin.channel(PluginChannelConfiguration(channel: "sample", plugin: "sample", values: PluginValues()))
            let reasons = await withTaskGroup(of: ChannelResult.self) { group in
                for id in ["a", "b", "c"] {
                    group.addTask {
                        await channel.attempt(RuleEngine.Notification(id: id, receiver: "r", document: ["id": .string(id)])).result
                    }
                }
                return await group.reduce(into: [String]()) { found, result in
                    if case .failed(let reason, _) = result { found.append(reason) }
                }
            }
            #expect(reasons.sorted() == ["a", "b", "c"])
        }
    }

    private final class Broker: MessagePublisher {
        let messages = Mutex([String]())
        func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool, properties: [(String, String)]) async throws(PublishFailure)
        {
            messages.withLock { $0.append("\(topic) \(String(decoding: payload, as: UTF8.self)) \(qos) \(retain)") }
        }
    }

    @Test func `an action publishes what it may`() async throws {
        let code = """
            plugin { actions = { blink = function(alert, arguments)
              mqtt.publish("lamps/" .. arguments.lamp .. "/set", alert.state, { qos = 1, retain = true })
              if arguments.lamp == "x" then mqtt.publish("doors/x", "open") end
            end } }
            """
        let broker = Broker()
        let more = "permissions: {mqtt.publish: [\"lamps/+/set\"]}\n"
        try await PluginLoading.with(provides: "{actions: [blink]}", more: more, code: code, publisher: broker) { plugin in
            let action = try plugin.action("blink")
            #expect(await action.run(alert: ["state": "firing"], arguments: ["lamp": "hall"]) == .done)
            #expect(broker.messages.withLock { $0 } == ["lamps/hall/set firing 1 true"])
            guard case .failed(let reason) = await action.run(alert: ["state": "firing"], arguments: ["lamp": "x"]) else {
                Issue.record("a door was opened")
                return
            }
            #expect(reason.contains("may not publish to 'doors/x'"))
        }
    }
}
