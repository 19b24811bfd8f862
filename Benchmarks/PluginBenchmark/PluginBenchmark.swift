import Glibc
import Logging
import LuaScripting
import RuleEngine
import RuleLanguage

/// What decoders of plugins cost: nanoseconds a message of about 100 bytes, decoder alone and on the way through the engine, beside the
/// engine's own decoder on the same messages.
///
/// `PluginBenchmark [--json] [--quick]`: one line a case; with `--json` one object a line. Run it in a checkout: it loads `plugins/`.
@main
struct PluginBenchmark {
    static let cases: [(plugin: String, topic: String, payload: String)] = [
        (
            "zigbee2mqtt", "zigbee2mqtt/freezer",
            #"{"temperature":-18.25,"humidity":44.72,"battery":98,"linkquality":120,"voltage":2995,"contact":true}"#
        ),
        (
            "tasmota", "tele/plug/SENSOR",
            #"{"Time":"2017-10-03T14:02:25","AM2301-14":{"Temperature":21.6,"Humidity":54.7},"TempUnit":"C","POWER":"ON"}"#
        ),
    ]

    static func main() throws {
        let arguments = CommandLine.arguments
        let rounds = arguments.contains("--quick") ? 5 : 15
        for one in cases {
            let decoder = try load(one.plugin)
            let reference = try median(rounds, engine(one, decoder: nil))
            let buffer = JSONBuffer()
            let (topic, payload) = (Array(one.topic.utf8), Array(one.payload.utf8))
            let alone = try measured(rounds) {
                try topic.withUnsafeBytes { topic in
                    try payload.withUnsafeBytes { payload in
                        for _ in 0..<messages {
                            buffer.removeAll()
                            _ = try decoder.decode(topic: topic, payload: payload, into: buffer)
                        }
                    }
                }
            }
            write("\(one.plugin)/decode", alone, reference: reference, arguments.contains("--json"))
            write(
                "\(one.plugin)/engine", try measured(rounds, engine(one, decoder: decoder)), reference: reference,
                arguments.contains("--json"))
        }
    }

    static let messages = 20_000

    private struct Unusable: Error { var text: String }

    static func load(_ name: String) throws -> any TelemetryDecoder {
        let contents = PluginFolder("plugins/\(name)").read(environment: RuleLanguageEnvironment.standard)
        guard let manifest = contents.manifests.first, contents.diagnostics.isEmpty else {
            throw Unusable(text: "plugins/\(name) cannot be read")
        }
        let plugin = try LuaPlugin(
            manifest, settings: .defaults(of: manifest.settings), granted: PluginPermissions(),
            services: LuaPlugin.Services(
                http: NoNetwork(), publisher: nil, rendering: ConstantTextRendering(), secret: { _ in nil },
                logger: Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() }))
        return try plugin.decoder(name)
    }

    private struct NoNetwork: HTTPRequesting {
        func send(_ call: HTTPCall) async -> HTTPReply { .refused(reason: "there is no network here") }
    }

    /// A rule that reads two fields of the message; `decoder` nil: with the engine's own decoder.
    static func engine(_ one: (plugin: String, topic: String, payload: String), decoder: (any TelemetryDecoder)?) throws -> () -> Void {
        let contents = PluginFolder("plugins/\(one.plugin)").catalog(environment: RuleLanguageEnvironment.standard)
        let filter = decoder == nil ? "\"\(one.topic)\"" : "{topic: \"\(one.topic)\", decoder: \(one.plugin)}"
        let yaml = "groups: [{name: g, on: \(filter), rules: [{alert: A, expr: temperature > 30.0 && battery < 5.0}]}]\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: contents.catalog)
            .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        guard let catalog = loaded.catalog,
            let plan = EvaluationPlan.compile(catalog, decoders: decoder.map { [one.plugin: $0] } ?? [:]).plan
        else { throw Unusable(text: "the rules are wrong") }
        let engine = Engine(plan: plan)
        let (topic, payload) = (Array(one.topic.utf8), Array(one.payload.utf8))
        var nanoseconds: Int64 = 0
        return {
            topic.withUnsafeBytes { topic in
                payload.withUnsafeBytes { payload in
                    for _ in 0..<messages {
                        nanoseconds += 1_000_000
                        engine.ingest(topic: topic, payload: payload, at: Instant(nanoseconds: nanoseconds))
                    }
                }
            }
            precondition(engine.counters.undecodable.isEmpty)
        }
    }

    static func measured(_ rounds: Int, _ body: () throws -> Void) rethrows -> [Double] {
        try body()
        let clock = ContinuousClock()
        return try (0..<rounds).map { _ in
            let took = try clock.measure(body)
            return Double(took.components.seconds) * 1e9 / Double(messages) + Double(took.components.attoseconds) / 1e9 / Double(messages)
        }.sorted()
    }

    static func median(_ rounds: Int, _ body: () -> Void) -> Double { measured(rounds, body)[rounds / 2] }

    static func write(_ name: String, _ samples: [Double], reference: Double, _ isJSON: Bool) {
        let median = samples[samples.count / 2], least = samples[0], most = samples[samples.count - 1]
        if isJSON {
            print(
                #"{"benchmark":"plugins","case":"\#(name)","metric":"ns_per_reading","median":\#(median),"min":\#(least),"max":\#(most),"#
                    + #""reference":\#(reference),"ratio":\#(median / reference)}"#)
        } else {
            print(
                "\(name): \(Int(median)) ns a message (\(Int(least))–\(Int(most))), \(Int(1e9 / median)) a second; own decoder \(Int(reference)) ns"
            )
        }
    }
}
