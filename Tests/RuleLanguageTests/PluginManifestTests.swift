import CEL
import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// `GoldenPlugins/<code>.yaml`, a manifest with mistakes, and what is said of it. Recorded with `RECORD=1`.
@Suite struct PluginManifestTests {
    static let golden = GoldenTests.here.appending(path: "GoldenPlugins")

    static func read(_ yaml: String, folder: String = "plugins/sample") -> (manifest: PluginManifest?, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(
            file: SourceFile(name: "plugin.yaml", bytes: Array(yaml.utf8)), findings: findings,
            environment: RuleLanguageEnvironment.standard)
        return (PluginManifestReader(reading: reading, folder: folder).read(), findings.diagnostics.inOrder)
    }

    @Test func `there are golden manifests`() { #expect(GoldenTests.names(in: Self.golden).count >= 11) }

    @Test(arguments: GoldenTests.names(in: golden)) func `a mistake in a manifest is told as recorded`(_ name: String) throws {
        let yaml = try String(contentsOf: Self.golden.appending(path: "\(name).yaml"), encoding: .utf8)
        let diagnostics = Self.read(yaml).diagnostics
        let renderer = DiagnosticRenderer(sources: [RuleLoader.Source(name: "plugin.yaml", bytes: Array(yaml.utf8))])
        let text = diagnostics.map { renderer.render($0) }.joined(separator: "\n")
        let record = Self.golden.appending(path: "\(name).txt")
        if ProcessInfo.processInfo.environment["RECORD"] == "1" { try text.write(to: record, atomically: true, encoding: .utf8) }
        #expect(text == (try String(contentsOf: record, encoding: .utf8)))
        #expect(diagnostics.contains { $0.code == name }, "\(name).yaml shows another code than its name says")
    }

    @Test func `a manifest is read`() throws {
        let (found, diagnostics) = Self.read(
            """
            name: sample
            version: 1.2.3
            description: a plugin
            provides:
              decoders: [sample, sample-raw]
              functions:
                f: {parameters: {x: double, name: string}, result: double, doc: twice, example: {expr: "f(1.0, 'a')", value: 2, within: 0.1}}
              actions: {blink: {arguments: {lamp: {type: string, required: true}}}}
            permissions: {http: [hooks.slack.com], mqtt.publish: ["lamps/#"]}
            configuration:
              token: {type: secret, required: true}
              offset: {type: duration, default: -90m}
              title: {type: template, default: "x {{ status }}"}
            """)
        #expect(diagnostics == [])
        let manifest = try #require(found)
        #expect(manifest.provisions(.decoder).map(\.name) == ["sample", "sample-raw"])
        #expect(manifest.provisions(.function).first?.signature?.text("f") == "f(x: double, name: string) -> double")
        #expect(manifest.provisions(.action).first?.arguments.first?.isRequired == true)
        #expect(manifest.permissions.hosts.map(\.description) == ["hooks.slack.com"])
        #expect(
            PluginValues.defaults(of: manifest.settings).entries == [
                .init("offset", .document(-5400)),
                .init("title", .template(NotificationText([.literal("x "), .expression("status")]))),
            ])
    }

    private static func manifest(_ name: String, _ provides: String) throws -> PluginManifest {
        let yaml = "name: \(name)\nversion: 1.0.0\ndescription: x\nprovides: \(provides)\n"
        return try #require(read(yaml, folder: "plugins/\(name)").manifest)
    }

    @Test func `two plugins that claim one name are told with both places`() throws {
        let (catalog, diagnostics) = PluginCatalog.assembling(
            [try Self.manifest("b", "{decoders: [same]}"), try Self.manifest("a", "{decoders: [same, own]}")],
            environment: RuleLanguageEnvironment.standard)
        #expect(diagnostics.map(\.code) == ["duplicate-plugin"])
        #expect(diagnostics.first?.message == "only one plugin can provide the decoder 'same'")
        #expect(diagnostics.first?.notes == ["the other one stands at plugin.yaml:4:23"])
        #expect(catalog.find(.decoder, "same")?.manifest.name == "a")
        #expect(catalog.names(.decoder) == ["own", "same"])
    }

    @Test(arguments: [
        ("lamps.blink, arguments: {lamp: hall}", [String]()), ("lamps.blink, arguments: {lamp: '{{ device }}', hold: 90s, times: 3}", []),
        ("lamps.blink", ["missing-key"]), ("lamps.blink, arguments: {hold: 90s}", ["missing-key"]),
        ("lamps.blink, arguments: {lamp: hall, colour: red}", ["unknown-key"]),
        ("lamps.blink, arguments: {lamp: hall, times: many}", ["wrong-type"]), ("lamps.blik, arguments: {}", ["unknown-action"]),
        ("lamps.plain", []), ("lamps.plain, arguments: {lamp: hall}", ["unknown-key"]),
    ])
    func `an action in a rule is checked against the plugin's manifest`(_ action: String, _ codes: [String]) throws {
        let (catalog, _) = PluginCatalog.assembling(
            [
                try Self.manifest(
                    "lamps",
                    "{actions: {blink: {arguments: {lamp: {type: string, required: true}, hold: {type: duration, default: 2m}, times: {type: integer}}}, plain: {}}}"
                )
            ], environment: RuleLanguageEnvironment.standard)
        let yaml =
            "groups:\n- name: g\n  on: a/{device}\n  rules: [{alert: A, expr: value > 1, actions: {firing: [{plugin: \(action)}]}}]\n"
        let loaded = RuleLoader(environment: RuleLanguageEnvironment.standard, plugins: catalog)
            .load(files: [RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))])
        #expect(loaded.diagnostics.map(\.code) == codes)
        guard codes.isEmpty, !action.contains("plain") else { return }
        guard case .call(let call) = loaded.catalog?.rules[0].firingActions.first else {
            Issue.record("the rule calls an action")
            return
        }
        #expect(
            call.arguments.contains {
                if case .constant(let hold) = $0.value { $0.name == "hold" && hold.number ?? 0 >= 90 } else { false }
            })
    }

    @Test(arguments: [
        "{decoders: [text]}", "{channels: [webhook]}",
        #"{functions: {round: {parameters: {}, result: double, doc: x, example: {expr: "1", value: 1}}}}"#,
        #"{functions: {avg_over_time: {parameters: {}, result: double, doc: x, example: {expr: "1", value: 1}}}}"#,
        #"{functions: {previous: {parameters: {}, result: double, doc: x, example: {expr: "1", value: 1}}}}"#,
        #"{functions: {size: {parameters: {}, result: double, doc: x, example: {expr: "1", value: 1}}}}"#,
        #"{functions: {has: {parameters: {}, result: double, doc: x, example: {expr: "1", value: 1}}}}"#,
    ]) func `what the server has itself no plugin can provide`(_ provides: String) throws {
        let manifest = try Self.manifest("a", provides)
        #expect(PluginCatalog.assembling([manifest], environment: RuleLanguageEnvironment.standard).1.map(\.code) == ["reserved-name"])
    }

    @Test(arguments: [
        ("hooks.slack.com", "hooks.slack.com", true), ("hooks.slack.com", "HOOKS.slack.com:443", true),
        ("hooks.slack.com", "slack.com", false),
        ("hooks.slack.com", "hooks.slack.com.evil.org", false), ("*.example.org", "a.b.example.org", true),
        ("*.example.org", "example.org", false),
        ("*.example.org", "evilexample.org", false), ("localhost:8080", "localhost:8080", true), ("localhost:8080", "localhost", false),
        ("localhost:8080", "localhost:80", false), ("*", "anything:1", true),
    ]) func `a host is allowed or not`(_ pattern: String, _ host: String, _ isAllowed: Bool) throws {
        #expect(try #require(HostPattern(pattern)).matches(host) == isAllowed)
    }

    @Test(arguments: [
        ("https://hooks.slack.com/x", "hooks.slack.com"), ("http://a:8080?x", "a:8080"), ("https://hooks.slack.com@evil.org/", nil),
        ("ftp://a/", nil), ("https:///x", nil), ("https://a b/", nil), ("https://good.org\\@evil.org/", "good.org"),
    ]) func `a URL's host is what the request goes to`(_ url: String, _ host: String?) { #expect(URLHost.of(url) == host) }

    @Test func `what is not asked for and what is not granted is refused by name`() throws {
        let slack = PluginPermissions(hosts: [try #require(HostPattern("hooks.slack.com"))])
        let asked = PluginRights(plugin: "slack", asked: slack, granted: PluginPermissions())
        #expect(
            asked.refusal(host: "hooks.slack.com")
                == "plugin 'slack' may not send requests to 'hooks.slack.com': the configuration does not grant it (plugins.grants.slack: http)"
        )
        let granted = PluginRights(plugin: "slack", asked: PluginPermissions(), granted: slack)
        #expect(
            granted.refusal(host: "hooks.slack.com")
                == "plugin 'slack' may not send requests to 'hooks.slack.com': its manifest does not ask for it (permissions: http)")
        #expect(PluginRights(plugin: "slack", asked: slack, granted: slack).refusal(host: "hooks.slack.com") == nil)
        #expect(PluginRights(plugin: "slack", asked: slack, granted: slack).refusal(topic: "a")?.contains("mqtt.publish") == true)
    }

    @Test func `grants and settings are checked against the plugins`() throws {
        let (catalog, _) = PluginCatalog.assembling(
            [
                try #require(
                    Self.read(
                        "name: sample\nversion: 1.0.0\ndescription: x\nprovides: {decoders: [sample]}\nconfiguration: {port: {type: integer}}\n"
                    ).manifest)
            ],
            environment: RuleLanguageEnvironment.standard)
        let reader = PluginConfigurationReader(catalog: catalog, environment: RuleLanguageEnvironment.standard)
        let yaml = "mqtt: {url: x}\nplugins:\n  grants: {sampel: {http: [a]}}\n  settings: {sample: {port: many, prot: 1}}\n"
        let (_, diagnostics) = reader.read(name: "nodesphere.yaml", bytes: Array(yaml.utf8))
        #expect(
            diagnostics.map { "\($0.location.line):\($0.location.column) \($0.code) \($0.hint ?? "-")" } == [
                "3:12 unknown-plugin did you mean 'sample'?", "4:29 wrong-type -", "4:35 unknown-key did you mean 'port'?",
            ])
    }

    @Test func `a receiver may have a plugin's channel, with the plugin's settings under its own`() throws {
        let yaml =
            "name: sample\nversion: 1.0.0\ndescription: x\nprovides: {channels: [sample]}\nconfiguration: {token: {type: secret, required: true}, title: {type: template}}\n"
        let (catalog, _) = PluginCatalog.assembling(
            [try #require(Self.read(yaml).manifest)], environment: RuleLanguageEnvironment.standard)
        let reader = NotificationFileReader(
            environment: RuleLanguageEnvironment.standard, compile: { _ in nil }, plugins: catalog,
            settings: ["sample": PluginValues([.init("token", .secret(.file("/run/token")))])])
        func read(_ entry: String) -> (NotificationConfiguration?, [Diagnostic]) {
            let text = "route: {receiver: a}\nreceivers: [{name: a, sample_configs: [\(entry)]}]\n"
            return reader.read(RuleLoader.Source(name: "notifications.yaml", bytes: Array(text.utf8)))
        }
        let (found, diagnostics) = read("{title: 'on {{ status }}', send_resolved: false, timeout: 3s}")
        #expect(diagnostics == [])
        let values = PluginValues([
            .init("title", .template(NotificationText([.literal("on "), .expression("status"), .literal("")]))),
            .init("token", .secret(.file("/run/token"))),
        ])
        guard case .plugin(let channel)? = found?.receivers.first?.channels.first else {
            Issue.record("no channel")
            return
        }
        #expect(channel.values["token"] == values["token"] && channel.values["title"] != nil)
        #expect(!channel.sendResolved && channel.timeout == .seconds(3))
        #expect(read("{token: a, token_file: b}").1.map(\.code) == ["conflicting-keys"])
        #expect(read("{titel: a}").1.map(\.hint) == ["did you mean 'title'?"])
        let bare = NotificationFileReader(environment: RuleLanguageEnvironment.standard, compile: { _ in nil }, plugins: catalog)
        let text = "route: {receiver: a}\nreceivers: [{name: a, sample_configs: [{}], slack_configs: [{}]}]\n"
        #expect(
            bare.read(RuleLoader.Source(name: "n", bytes: Array(text.utf8))).diagnostics.map(\.message) == [
                "an entry of 'sample_configs' needs 'token' or 'token_file'",
                "'slack_configs' needs the plugin 'slack', which is not installed",
            ])
    }
}
