import CEL
import RuleEngine
import Testing

@testable import RuleLanguage

/// Patterns of Swift's own syntax, compiled at each use.
struct PatternMatching: RegexMatching {
    let pattern: String
    func matchesWhole(_ text: String) -> Bool { (try? Regex(pattern).wholeMatch(in: text)) != nil }
}

let notificationReader = NotificationFileReader(environment: Environment(arithmetic: .promoting, extensions: .all)) { pattern in
    (try? Regex(pattern)) == nil ? nil : PatternMatching(pattern: pattern)
}

@Suite struct NotificationFileTests {
    private func read(_ yaml: String) -> (configuration: NotificationConfiguration?, diagnostics: [Diagnostic]) {
        notificationReader.read(RuleLoader.Source(name: "notifications.yaml", bytes: Array(yaml.utf8)))
    }

    @Test func `Alertmanager's file is read`() throws {
        let (configuration, diagnostics) = read(
            """
            route:
              receiver: hook
              group_by: [alertname, device]
              group_wait: 0s
              group_interval: 5m
              repeat_interval: 4h
              routes:
                - matchers: [severity = critical, 'site=~"oslo|bergen"', '{team!="", a !~ x}']
                  receiver: bus
                  continue: true
                  group_by: ['...']
                  routes: [{match: {a: b}, match_re: {c: d.*}}]
            receivers:
              - name: hook
                webhook_configs:
                  - url: "http://127.0.0.1:9000/"
                  - url_file: /run/secrets/url
                    send_resolved: false
                    max_alerts: 10
                    timeout: 3s
                    http_config:
                      basic_auth: {username: u, password_file: /run/secrets/password}
                      tls_config: {ca_file: ca.pem}
                  - url: https://example.org
                    http_config: {authorization: {credentials: token}}
              - name: console
                log_configs: [{}]
              - name: bus
                mqtt_configs: [{topic: "alerts/{{ group_labels.alertname }}", qos: 2, retain: true, payload: 'x {{ status }}'}]
              - name: nobody
            """)
        #expect(diagnostics == [])
        let leaf = Route(matchers: [Matcher("a", .equal, "b"), Matcher("c", .matches, "d.*")])
        let child = Route(
            matchers: [
                Matcher("severity", .equal, "critical"), Matcher("site", .matches, "oslo|bergen"), Matcher("team", .notEqual, ""),
                Matcher("a", .doesNotMatch, "x"),
            ], receiver: "bus", groupBy: .all, continues: true, routes: [leaf])
        let route = Route(
            receiver: "hook", groupBy: .labels(["alertname", "device"]), groupWait: .zero, groupInterval: .seconds(300),
            repeatInterval: .seconds(14_400), routes: [child])
        let webhooks = [
            WebhookConfiguration(url: .text("http://127.0.0.1:9000/")),
            WebhookConfiguration(
                url: .file("/run/secrets/url"), sendResolved: false,
                http: HTTPConfiguration(
                    authorization: .basic(username: "u", password: .file("/run/secrets/password")), caFile: "ca.pem"),
                maxAlerts: 10, timeout: .seconds(3)),
            WebhookConfiguration(
                url: .text("https://example.org"),
                http: HTTPConfiguration(authorization: .credentials(scheme: "Bearer", .text("token")))),
        ]
        let bus = MQTTChannelConfiguration(
            topic: NotificationText([.literal("alerts/"), .expression("group_labels.alertname")]),
            payload: NotificationText([.literal("x "), .expression("status")]), qos: 2, retain: true)
        #expect(
            try #require(configuration)
                == NotificationConfiguration(
                    route: route,
                    receivers: [
                        Receiver(name: "hook", channels: webhooks.map { .webhook($0) }),
                        Receiver(name: "console", channels: [.log(LogConfiguration())]), Receiver(name: "bus", channels: [.mqtt(bus)]),
                        Receiver(name: "nobody", channels: []),
                    ]))
    }

    @Test func `what changes nobody's notifications is a warning`() {
        let (configuration, diagnostics) = read(
            "global: {resolve_timeout: 5m}\ntemplates: [a]\ninhibit_rules: []\nroute: {receiver: a}\nreceivers: [{name: a, email_configs: []}]"
        )
        #expect(configuration != nil)
        #expect(diagnostics.map { "\($0.severity) \($0.code)" } == ["warning without-effect", "warning without-effect"])
    }

    @Test func `an empty file is refused`() { #expect(read("").diagnostics.map(\.code) == ["missing-key"]) }

    @Test(arguments: [
        ("a=b", [Matcher("a", .equal, "b")]), (" a = b c , d!=e", [Matcher("a", .equal, "b c"), Matcher("d", .notEqual, "e")]),
        (#"a="\"\\\d,}""#, [Matcher("a", .equal, #""\\d,}"#)]), ("{}", []), ("a=", [Matcher("a", .equal, "")]),
        ("a=~", [Matcher("a", .matches, "")]), ("a==b", [Matcher("a", .equal, "=b")]),
    ]) func `matchers are written as Alertmanager writes them`(_ text: String, _ matchers: [Matcher]) throws {
        #expect(try MatcherText.parse(text).map(\.0) == matchers)
    }

    @Test func `a webhook's address stands in no message`() {
        let (_, diagnostics) = read(
            "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'ftp://secret'}, {url: 'secret {{ x }}'}]}]")
        #expect(diagnostics.count == 2)
        #expect(!diagnostics.contains { "\($0.message) \($0.notes) \($0.hint ?? "")".contains("secret") })
    }

    @Test(arguments: [
        ("  - url: http://x/ å", "  - url: ********* *"), ("{url: 'a b', max_alerts: 1}", "{url: '* *', max_alerts: 1}"),
        ("basic_auth: {username: u, password: abc}", "basic_auth: {username: u, password: ***}"),
        ("password_file: /x", "password_file: /x"),
        ("\"bearer_token\": \"a", "\"bearer_token\": \"*"),
        ("a:\n  password: |\n    abc\n\n    d\n  b: c\n", "a:\n  password: |\n    ***\n\n    *\n  b: c\n"),
        ("", ""), ("\n\npasswords\n", "\n\npasswords\n"),
    ]) func `secrets are not shown, and columns stay`(_ text: String, _ shown: String) {
        let redacted = NotificationFileReader.redacted(RuleLoader.Source(name: "n", bytes: Array(text.utf8)))
        #expect(String(decoding: redacted.bytes, as: UTF8.self) == shown)
    }
}
