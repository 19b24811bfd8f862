import RuleEngine
import Testing

@Suite struct `Route tree` {
    static func tree() throws -> RouteTree {
        let receivers = ["ops", "pager", "team", "night"].map { Receiver(name: $0, channels: []) }
        let root = Route(
            receiver: "ops", groupBy: .labels(["alertname"]), groupInterval: .seconds(60),
            routes: [
                Route(matchers: [Matcher("severity", .equal, "critical")], receiver: "pager", continues: true),
                Route(
                    matchers: [Matcher("team", .matches, "cold|warm")], receiver: "team", groupWait: .seconds(5),
                    routes: [Route(matchers: [Matcher("shift", .notEqual, "")], receiver: "night", groupBy: .all)]),
                Route(matchers: [Matcher("team", .doesNotMatch, "cold|")]),
            ])
        return try RouteTree(NotificationConfiguration(route: root, receivers: receivers), compile: Alternatives.compile)
    }

    @Test(
        arguments: [
            ([:], ["ops"]),
            (["severity": "critical"], ["pager"]),
            (["severity": "critical", "team": "cold"], ["pager", "team"]),
            (["team": "warm"], ["team"]),
            (["team": "warmer"], ["ops"]),
            (["team": "cold", "shift": "2"], ["night"]),
            (["severity": "warning", "team": "cold", "shift": ""], ["team"]),
        ] as [([String: String], [String])])
    func `an alert goes to the deepest routes that match, and to the siblings behind one that continues`(
        labels: [String: String], receivers: [String]
    ) throws {
        #expect(try Self.tree().routes(for: labels).map(\.receiver) == receivers)
    }

    @Test func `a route inherits what it does not say`() throws {
        let night = try #require(try Self.tree().routes(for: ["team": "cold", "shift": "2"]).first)
        #expect(night.groupBy == .all)
        #expect(night.groupWait == .seconds(5))
        #expect(night.groupInterval == .seconds(60))
        #expect(night.repeatInterval == .seconds(14_400))
        #expect(night.key == #"{}/{team=~"cold|warm"}/{shift!=""}"#)
    }

    @Test func `two siblings with the same matchers keep their groups apart`() throws {
        let twin = Route(matchers: [Matcher("a", .equal, "b")], continues: true)
        let tree = try RouteTree(
            NotificationConfiguration(route: Route(receiver: "r", routes: [twin, twin]), receivers: [Receiver(name: "r", channels: [])]),
            compile: Alternatives.compile)
        #expect(tree.routes(for: ["a": "b"]).map(\.key) == [#"{}/{a="b"}"#, #"{}/{a="b"}#2"#])
    }

    @Test func `every mistake is found, with its place in the tree`() {
        let bad = NotificationConfiguration(
            route: Route(
                matchers: [Matcher("a", .equal, "b")],
                routes: [
                    Route(receiver: "r", groupInterval: .zero),
                    Route(receiver: "x", routes: [Route(matchers: [Matcher("a", .matches, "(")], repeatInterval: .zero)]),
                ]),
            receivers: [Receiver(name: "r", channels: []), Receiver(name: "r", channels: [])])
        #expect(
            RouteTree.mistakes(in: bad, compile: Alternatives.compile) == [
                RouteMistake(path: [], problem: .duplicateReceiver("r")), RouteMistake(path: [], problem: .rootWithMatchers),
                RouteMistake(path: [], problem: .rootWithoutReceiver),
                RouteMistake(path: [0], problem: .intervalNotPositive("group_interval")),
                RouteMistake(path: [1], problem: .unknownReceiver("x")),
                RouteMistake(path: [1, 0], problem: .intervalNotPositive("repeat_interval")),
                RouteMistake(path: [1, 0], problem: .pattern(Matcher("a", .matches, "("))),
            ])
    }

    @Test func `without a file everything goes to the log at once`() throws {
        let tree = try RouteTree(.logOnly, compile: Alternatives.compile)
        let route = try #require(tree.routes(for: ["a": "b"]).first)
        #expect(route.receiver == "log" && route.groupWait == .zero)
        #expect(tree.receivers["log"]?.channels.map(\.kind) == ["log"])
    }

    @Test func `a secret does not print`() {
        let webhook = WebhookConfiguration(
            url: .text("http://h/?token=abc"),
            http: HTTPConfiguration(authorization: .basic(username: "u", password: .text("abc"))))
        var text = "\(webhook) \(String(reflecting: webhook))"
        dump(webhook, to: &text)
        #expect(!text.contains("abc"))
    }
}
