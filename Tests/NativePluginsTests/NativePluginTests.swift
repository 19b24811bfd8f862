import CEL
import Foundation
import RuleEngine
import RuleLanguage
import Testing

@testable import NativePlugins

/// Libraries that are compiled for the test, with the header that plugins are built with.
@Suite struct NativePluginTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    private static func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(arguments)")
    }

    /// Builds a plugin of this C text in a folder of its own and loads it.
    private func load(
        _ code: String, provides: String = "{decoders: [sample]}", isGranted: Bool = true, isBuilt: Bool = true,
        _ body: (NativePlugin) async throws -> Void = { _ in }
    ) async throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "native-\(UUID().uuidString)")
        let folder = parent.appending(path: "sample")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        let yaml = """
            name: sample
            version: 1.0.0
            description: x
            library: sample.so
            permissions: {native: true}
            configuration: {greeting: {type: string, default: hello}}
            provides: \(provides)

            """
        try yaml.write(to: folder.appending(path: "plugin.yaml"), atomically: true, encoding: .utf8)
        let source = folder.appending(path: "sample.c")
        try ("#include \"nodesphere_plugin.h\"\n#include <string.h>\n#include <math.h>\n" + code).write(
            to: source, atomically: true, encoding: .utf8)
        let library = folder.appending(path: "sample.so")
        if isBuilt {
            try Self.run([
                "cc", "-shared", "-fPIC", "-I", Self.root.appending(path: "Sources/CNodeSpherePlugin").path, "-o", library.path,
                source.path,
            ])
        } else {
            try "no library".write(to: library, atomically: true, encoding: .utf8)
        }
        let contents = PluginFolder(folder.path).read(environment: RuleLanguageEnvironment.standard)
        #expect(contents.diagnostics == [])
        let manifest = try #require(contents.manifests.first)
        let granted = PluginPermissions(isNative: isGranted)
        let plugin = try NativePlugin(
            manifest, settings: .defaults(of: manifest.settings), granted: granted, rendering: ConstantTextRendering(), secret: { _ in nil }
        )
        try await body(plugin)
    }

    private func failure(_ code: String, provides: String = "{decoders: [sample]}", isGranted: Bool = true, isBuilt: Bool = true)
        async throws
        -> String
    {
        do {
            try await load(code, provides: provides, isGranted: isGranted, isBuilt: isBuilt)
            return "loaded"
        } catch let failure as PluginFailure { return failure.message }
    }

    private static let whole = """
        static char greeting[64];
        static int seen;
        static void *start(nodesphere_bytes settings) { memcpy(greeting, settings.bytes, settings.length); return greeting; }
        static int32_t say(const nodesphere_output *o, int32_t result, const char *text) { o->write(o->context, text, strlen(text)); return result; }
        static int32_t decode(void *state, const char *name, nodesphere_bytes topic, nodesphere_bytes payload, double *time, const nodesphere_output *o) {
            if (payload.length == 0) return NODESPHERE_IGNORED;
            if (payload.bytes[0] == '!') return say(o, NODESPHERE_FAILED, "no good");
            if (payload.bytes[0] == '<') { for (int i = 0; i < 3000; i++) say(o, 0, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"); return 0; }
            if (payload.bytes[0] == '?') return say(o, NODESPHERE_OK, "{not json");
            if (payload.bytes[0] == 'n') *time = NAN; else if (payload.bytes[0] == 'i') *time = INFINITY; else *time = 1.5;
            char count[2] = {(char)('0' + ++seen), 0};
            say(o, 0, "{\\"seen\\":"); say(o, 0, count); say(o, 0, ",\\"settings\\":"); say(o, 0, state);
            return say(o, NODESPHERE_OK, "}");
        }
        static void forget(void *state) { seen = 0; }
        static int32_t call(void *state, const char *name, nodesphere_bytes arguments, const nodesphere_output *o) {
            if (arguments.length < 3) return say(o, NODESPHERE_FAILED, "needs an argument");
            if (strcmp(name, "liar") == 0) return say(o, NODESPHERE_OK, "\\"text\\"");
            o->write(o->context, arguments.bytes + 1, arguments.length - 2);
            return NODESPHERE_OK;
        }
        static int32_t deliver(void *state, const char *name, nodesphere_bytes n, nodesphere_bytes c, const nodesphere_output *o) {
            o->write(o->context, n.bytes, n.length);
            return n.bytes[2] == 'a' ? NODESPHERE_OK : n.bytes[2] == 'b' ? NODESPHERE_RETRY : NODESPHERE_FAILED;
        }
        static const nodesphere_plugin plugin = {NODESPHERE_PLUGIN_VERSION, start, decode, forget, call, deliver};
        const nodesphere_plugin *nodesphere_plugin_entry(void) { return &plugin; }
        """

    @Test func `without a grant it is not loaded`() async throws {
        #expect(
            try await failure(Self.whole, isGranted: false)
                == "plugin 'sample' may not be loaded into the server: the configuration does not grant it (plugins.grants.sample: native)")
    }

    @Test func `a wrong version is told with both versions`() async throws {
        let code = Self.whole.replacingOccurrences(of: "{NODESPHERE_PLUGIN_VERSION,", with: "{7,")
        #expect(try await failure(code).hasSuffix("is built for version 7 of nodesphere_plugin.h, and this server has 1"))
    }

    @Test func `a missing symbol is told by name`() async throws {
        #expect(try await failure("int other(void) { return 0; }").hasSuffix("has no function 'nodesphere_plugin_entry'"))
    }

    @Test func `an entry that gives nothing, and a file that is no library, are told`() async throws {
        #expect(
            try await failure("const nodesphere_plugin *nodesphere_plugin_entry(void) { return 0; }").hasSuffix(
                "'nodesphere_plugin_entry' gives nothing"))
        #expect(try await failure("", isBuilt: false).contains("cannot be loaded"))
    }

    @Test(arguments: [
        ("{decoders: [sample]}", "decode"), ("{channels: [sample]}", "deliver"),
        (#"{functions: {f: {parameters: {}, result: double, doc: d, example: {expr: "1", value: 1}}}}"#, "call"),
    ]) func `what the manifest promises the library must have`(_ provides: String, _ missing: String) async throws {
        let code =
            "static const nodesphere_plugin p = {NODESPHERE_PLUGIN_VERSION, 0, 0, 0, 0, 0}; const nodesphere_plugin *nodesphere_plugin_entry(void) { return &p; }"
        #expect(try await failure(code, provides: provides).hasSuffix("and the library has no '\(missing)'"))
    }

    @Test func `a decoder in C gives fields, passes over, refuses and forgets`() async throws {
        try await load(Self.whole) { plugin in
            let decoder = try plugin.decoder("sample")
            func decode(_ payload: String) throws(TelemetryDecoderFailure) -> (String, Instant?)? {
                try PayloadInspection.fields(topic: "a", payload: Array(payload.utf8), decoder: decoder).map { ($0.fields.json, $0.time) }
            }
            let first = try #require(try decode("x"))
            #expect(first.0 == #"{"seen":1,"settings":{"greeting":"hello"}}"# && first.1 == Instant(nanoseconds: 1_500_000_000))
            #expect(try decode("") == nil)
            #expect(try decode("n")?.1 == nil && decode("i")?.1 == nil)
            #expect(throws: TelemetryDecoderFailure("no good")) { _ = try decode("!") }
            #expect(throws: TelemetryDecoderFailure("the plugin wrote more than 1048576 bytes")) { _ = try decode("<") }
            #expect(throws: TelemetryDecoderFailure("the decoder's fields are not usable")) { _ = try decode("?") }
            decoder.forget()
            #expect(try decode("x")?.0.hasPrefix(#"{"seen":1,"#) == true)
        }
    }

    @Test func `functions and channels in C`() async throws {
        let provides = """
            {channels: [sample], functions: {f: {parameters: {x: double}, result: double, doc: d, example: {expr: "1", value: 1}},
            liar: {parameters: {x: double}, result: double, doc: d, example: {expr: "1", value: 1}}}}
            """.replacingOccurrences(of: "\n", with: " ")
        try await load(Self.whole, provides: provides) { plugin in
            let twice = try plugin.function("f"), liar = try plugin.function("liar")
            #expect(Document(try twice([.double(2.5)])) == .double(2.5))
            #expect(throws: FunctionFailure.self) { _ = try twice([]) }
            #expect(throws: FunctionFailure.self) { _ = try liar([.double(2.5)]) }
            let channel: any NotificationAttempting = try plugin.channel(
                PluginChannelConfiguration(channel: "sample", plugin: "sample", values: PluginValues()))
            func attempt(_ name: String) async -> ChannelResult {
                await channel.attempt(RuleEngine.Notification(id: "i", receiver: "r", document: .object([.init(name, 1)]))).result
            }
            #expect(await attempt("a") == .delivered)
            #expect(await attempt("b") == .failed(reason: #"{"b":1}"#, retryAfter: nil))
            #expect(await attempt("c") == .rejected(reason: #"{"c":1}"#))
        }
    }

    @Test func `the shipped example is built and its tests pass`() async throws {
        let folder = Self.root.appending(path: "plugins/ruuvi").path
        try Self.run([Self.root.appending(path: "scripts/build-plugin").path, folder])
        let (catalog, contents) = PluginFolder(folder).catalog(environment: RuleLanguageEnvironment.standard)
        #expect(contents.diagnostics == [])
        let manifest = try #require(catalog.manifests.first)
        let runner = PluginTestRunner(catalog: catalog, environment: RuleLanguageEnvironment.standard) {
            settings, _, _ throws(PluginFailure) in
            try NativePlugin(
                manifest, settings: settings, granted: manifest.permissions, rendering: ConstantTextRendering(), secret: { _ in nil })
        }
        let source = try #require(RuleFolder.readFile("\(folder)/ruuvi.test.yaml").source)
        let (tests, diagnostics) = PluginTestFileReader(manifest: manifest, environment: RuleLanguageEnvironment.standard).read(source)
        #expect(diagnostics == [] && tests.count >= 8)
        for test in tests + manifest.provisions(.function).compactMap({ PluginTest(exampleOf: $0, settings: PluginValues()) }) {
            let result = await runner.run(test)
            #expect(result.passed, "\(test.name): \(result.failures.map(\.message))")
        }
    }
}
