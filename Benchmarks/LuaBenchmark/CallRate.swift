import BenchmarkHarness
import CBareLua
import Logging
import LuaScripting
import RuleEngine
import RuleLanguage

/// Calls a second on one core, from the bytes of a message to the end of the handler.
struct CallRate {
    let rounds: Int

    static let calls = 50_000
    private static let topic = Array("sites/oslo/freezers/f1/telemetry".utf8)
    /// About 100 bytes; the temperature changes from message to message.
    private static let payloads = (0..<16).map { step in
        Array(
            #"{"temperature":\#(21.5 + Double(step)),"limit":60,"humidity":55.25,"battery":98,"linkquality":120,"voltage":2995,"on":true}"#
                .utf8)
    }
    /// Each is a function of a reading, for the sandbox and for bare Lua.
    private static let handlers = [
        ("handler/compare", "function(r) if r.temperature > r.limit then hot = true end end"),
        (
            "handler/state",
            """
            function(r)
              local s = state.seen or { count = 0, sum = 0 }
              s.count = s.count + 1
              s.sum = s.sum + r.temperature
              s.last = r.humidity
              if s.count > 100 then s.count, s.sum = 0, 0 end
              state.seen = s
            end
            """
        ),
    ]

    func run(_ report: Report) throws {
        for (name, function) in Self.handlers {
            guard let bare = bare_lua_new("state = {} return " + function) else { throw BenchmarkFailure("bare Lua does not take \(name)") }
            defer { bare_lua_free(bare) }
            let runtime = try Self.runtime(function)
            var now: Int64 = 0
            let (own, reference) = measured(
                { Self.send(to: runtime, &now) }, beside: { _ = bare_lua_call(bare, Int64(Self.calls)) })
            guard runtime.statuses[0].runs >= Self.calls, runtime.statuses[0].lastFault == nil else {
                throw BenchmarkFailure("\(name): the handler was not called, or failed")
            }
            report.write(name, "calls_per_second", own, reference: reference)
        }
        try decoder(report)
    }

    /// Rates of two bodies, each of `calls` calls, in turn.
    private func measured(_ body: () -> Void, beside reference: () -> Void) -> (own: Samples, reference: Samples) {
        var rates: (own: [Double], reference: [Double]) = ([], [])
        func rate(_ body: () -> Void) -> Double {
            let start = threadSeconds()
            body()
            return Double(Self.calls) / (threadSeconds() - start)
        }
        for round in 0...rounds {
            let (own, other) = (rate(body), rate(reference))
            // The first one warms up.
            guard round > 0 else { continue }
            rates.own.append(own)
            rates.reference.append(other)
        }
        // There is at least one round.
        return (Samples(rates.own)!, Samples(rates.reference)!)
    }

    private static func runtime(_ handler: String) throws -> AutomationRuntime {
        let runtime = AutomationRuntime()
        let text = "automation {}:on_reading('sites/{site}/freezers/{device}/telemetry', \(handler))"
        if let fault = runtime.load(file: "bench.lua", text: text, at: Instant(nanoseconds: 0)) {
            throw BenchmarkFailure("\(fault.line): \(fault.message)")
        }
        return runtime
    }

    /// As the server does: bytes of a batch, and what scripts want taken away after it. State is stored once a second.
    private static func send(to runtime: AutomationRuntime, _ now: inout Int64) {
        for number in 0..<calls {
            now += 1_000
            let instant = Instant(nanoseconds: now)
            topic.withUnsafeBytes { topic in
                payloads[number & 15].withUnsafeBytes { payload in
                    runtime.read(topic: topic, payload: payload, isRetained: false, at: instant)
                }
            }
            if number % 200 == 0 {
                _ = runtime.advance(to: instant, most: 64)
                _ = runtime.takeEffects()
            }
        }
    }

    // MARK: A decoder

    /// A decoder that takes JSON apart and puts fields together, beside the same message through the engine's own.
    private func decoder(_ report: Report) throws {
        let decoder = try Self.loadDecoder("zigbee2mqtt")
        let buffer = JSONBuffer()
        let topic = Array("zigbee2mqtt/freezer".utf8)
        let payload = Array(#"{"temperature":-18.25,"humidity":44.72,"battery":98,"linkquality":120,"voltage":2995,"contact":true}"#.utf8)
        var failures = 0
        let body = {
            topic.withUnsafeBytes { topic in
                payload.withUnsafeBytes { payload in
                    for _ in 0..<Self.calls {
                        buffer.removeAll()
                        if (try? decoder.decode(topic: topic, payload: payload, into: buffer)) == nil { failures += 1 }
                    }
                }
            }
        }
        guard let bare = bare_lua_new("return function(r) local f = {} for k, v in pairs(r) do f[k] = v end return f end") else {
            throw BenchmarkFailure("bare Lua does not take the decoder")
        }
        defer { bare_lua_free(bare) }
        let (own, reference) = measured(body, beside: { _ = bare_lua_call(bare, Int64(Self.calls)) })
        guard failures == 0 else { throw BenchmarkFailure("the decoder failed") }
        report.write("decoder/zigbee2mqtt", "calls_per_second", own, reference: reference)
    }

    private struct NoNetwork: HTTPRequesting {
        func send(_ call: HTTPCall) async -> HTTPReply { .refused(reason: "there is no network here") }
    }

    private static func loadDecoder(_ name: String) throws -> any TelemetryDecoder {
        let contents = PluginFolder("plugins/\(name)").read(environment: RuleLanguageEnvironment.standard)
        guard let manifest = contents.manifests.first, contents.diagnostics.isEmpty else {
            throw BenchmarkFailure("plugins/\(name) cannot be read")
        }
        let plugin = try LuaPlugin(
            manifest, settings: .defaults(of: manifest.settings), granted: PluginPermissions(),
            services: LuaPlugin.Services(
                http: NoNetwork(), publisher: nil, rendering: ConstantTextRendering(), secret: { _ in nil },
                logger: Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() }))
        return try plugin.decoder(name)
    }
}
