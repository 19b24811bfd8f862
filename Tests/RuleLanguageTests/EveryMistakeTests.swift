import RuleEngine
import Testing

@testable import RuleLanguage

/// Mistakes of names and types are told in the same run as those of keys and values, also in a rule that has both, and one cause is told once.
@Suite struct EveryMistakeTests {
    private func mistakes(_ yaml: String) -> [String] {
        let source = RuleLoader.Source(name: "rules.yaml", bytes: Array(yaml.utf8))
        let (catalog, found) = loader.loadReadable(files: [source])
        return (found + EvaluationPlan.compile(catalog).diagnostics).inOrder.map(\.short)
    }

    private func mistakes(ofRule body: String, group: String = "on: a/{device}") -> [String] {
        mistakes("groups:\n- name: g\n  \(group)\n  rules:\n  - \(body)\n")
    }

    static let cases: [(rule: String, mistakes: [String])] = [
        ("{alert: A, expr: f(x) > 3, for: 5, fro: 1m}", ["5:22 unknown-function", "5:37 duration", "5:40 unknown-key"]),
        ("{alert: A, expr: x >, annotations: {a: '{{ f(x) }}'}}", ["5:25 syntax", "5:48 unknown-function"]),
        ("{alert: A, annotations: {a: '{{ f(x) }}'}}", ["5:5 missing-key", "5:37 unknown-function"]),
        ("{alert: A, expr: x, labels: {a: '{{ x }}', 9a: '{{ f( }}'}}", ["5:38 label-measured", "5:48 label-name", "5:58 syntax"]),
        (
            "{alert: A, expr: x, annotations: {a: '{{ f(x) }} {{ 1 + }} {{ g(x) }}'}}",
            ["5:46 unknown-function", "5:60 syntax", "5:67 unknown-function"]
        ),
        ("{alert: A, expr: x, let: {y: x >, z: f(x)}, labels: {a: '{{ y }}'}, value: y + 1}", ["5:37 syntax", "5:42 unknown-function"]),
        (
            "{alert: A, expr: x, let: {y: f(x)}, labels: {a: '{{ y }}'}, value: y + 1, keep_firing_for: y}",
            ["5:34 unknown-function", "5:96 duration"]
        ),
        (
            "{alert: A, expr: x, let: {y: f(x)}, labels: {a: '{{ y }}'}, value: 'y > 1 && y + g(1) > 3'}",
            ["5:34 unknown-function", "5:86 unknown-function"]
        ),
        ("{alert: A, expr: x && now > f(x), every: 5}", ["5:33 unknown-function", "5:46 duration"]),
        ("{alert: A, levels: {w: {expr: x >}, c: {expr: f(x), for: 1}}}", ["5:38 syntax", "5:51 unknown-function", "5:62 duration"]),
        (
            "{alert: A, expr: x, actions: {firing: [{publish: {topic: 'a/#', payload: '{{ f(x) }}', qos: 3}}]}}",
            ["5:62 topic-filter", "5:82 unknown-function", "5:97 out-of-range"]
        ),
        ("{alert: A, on: 'a/{site}/#/b', expr: f(site), labels: {a: '{{ site }}'}}", ["5:30 topic-filter", "5:42 unknown-function"]),
        (
            "{alert: A, on: ['{site}/+', '{site}/b+'], expr: f(site), labels: {a: '{{ site }}'}}",
            ["5:41 topic-filter", "5:53 unknown-function"]
        ),
        (
            "{alert: A, on: {topic: 'a/{site}', qos: 9}, by: [site], expr: f(site), labels: {a: '{{ site }}'}}",
            ["5:45 out-of-range", "5:67 unknown-function"]
        ),
        ("{expr: f(x)}", ["5:5 missing-key", "5:12 unknown-function"]),
    ]

    @Test(arguments: cases) func `a rule with several mistakes`(_ rule: String, _ expected: [String]) {
        #expect(mistakes(ofRule: rule) == expected)
    }

    static let sources: [(rule: String, mistakes: [String])] = [
        (
            "{alert: A, sequence: [{expr: f(x), within: 5m}, {expr: g(y)}], labels: {a: '{{ h(device) }}'}}",
            ["5:34 unknown-function", "5:40 sequence", "5:60 unknown-function", "5:84 unknown-function"]
        ),
        (
            "{alert: A, sequence: [{expr: f(x)}], labels: {a: '{{ h(device) }}'}}",
            ["5:27 sequence", "5:34 unknown-function", "5:58 unknown-function"]
        ),
        (
            "{alert: A, sequence: [{expr: f(x) >}, {expr: g(y), on: 'c/{site}/#/x'}], annotations: {a: '{{ h(device, site) }}'}}",
            ["5:40 syntax", "5:50 unknown-function", "5:70 topic-filter", "5:99 unknown-function"]
        ),
        (
            "{alert: A, sequence: [x > 1, {expr: g(y)}], labels: {a: '{{ device }}'}}", ["5:27 wrong-type", "5:41 unknown-function"]
        ),
        (
            "{alert: A, sequence: [{expr: f(x), on: {topic: 'b/{device}', qos: 2}}, {expr: g(y), on: 'b/{device}'}], labels: {a: '{{ device }}'}}",
            ["5:34 unknown-function", "5:76 sequence", "5:83 unknown-function"]
        ),
        (
            "{alert: A, sequence: [{expr: x}, {expr: g(y), not: f(z), within: 5m}], by: [site]}",
            ["5:45 unknown-function", "5:51 conflicting-keys", "5:56 unknown-function", "5:81 unknown-capture"]
        ),
        (
            "{alert: A, sequence: [{not: f(x), within: 5}, {expr: y, not: z >}]}",
            [
                "5:28 sequence", "5:33 unknown-function", "5:39 sequence", "5:47 duration", "5:61 conflicting-keys", "5:61 missing-key",
                "5:69 syntax",
            ]
        ),
        (
            "{alert: A, sequence: [{expr: x}, {expr: g(y)}], expr: f(x), resolve_expr: z >, for: 5}",
            [
                "5:45 unknown-function", "5:53 conflicting-keys", "5:59 unknown-function", "5:65 sequence", "5:82 syntax", "5:84 sequence",
                "5:89 duration",
            ]
        ),
        (
            "{alert: A, sequence: [{expr: x}, {expr: y}], levels: {w: {expr: f(x), for: 5}}}",
            ["5:50 conflicting-keys", "5:69 unknown-function", "5:80 duration"]
        ),
    ]

    static let queries: [(rule: String, mistakes: [String])] = [
        (
            "{alert: A, influx: SHOW x, offset: 5, expr: f(kw), labels: {a: '{{ h(site) }}'}}",
            ["5:16 missing-key", "5:24 influx", "5:40 duration", "5:49 unknown-function", "5:72 unknown-function"]
        ),
        (
            "{alert: A, every: 5m, influx: SELECT x INTO y FROM z WHERE time > now() - 1m; DROP z, expr: f(kw)}",
            ["5:44 influx", "5:81 influx", "5:97 unknown-function"]
        ),
        (
            "{alert: A, every: 5m, influx: \"SELECT x FROM z WHERE time > now() - 1m GROUP BY alertname, time(soon), site\", device: '{sit}', expr: f(kw), labels: {a: '{{ h(site) }}'}}",
            ["5:85 reserved-name", "5:101 influx", "5:138 unknown-function", "5:161 unknown-function"]
        ),
        (
            "{alert: A, every: 5, influx: \"SELECT x FROM z WHERE s = 'a AND time > now() - 1m GROUP BY site\", expr: f(kw), labels: {a: '{{ h(site) }}'}}",
            ["5:23 duration", "5:61 influx", "5:108 unknown-function", "5:131 unknown-function"]
        ),
        (
            "{alert: A, every: 5m, influx: [x], expr: f(kw), labels: {a: '{{ h(site) }}'}, by: [site, site]}",
            ["5:35 wrong-type", "5:46 unknown-function", "5:69 unknown-function", "5:94 duplicate-name"]
        ),
        (
            "{alert: A, every: 5m, on: 'a/#/b', influx: \"SELECT x FROM z WHERE time > now()\", expr: f(kw), labels: {a: '{{ h(site) }}'}}",
            ["5:27 conflicting-keys", "5:34 topic-filter", "5:92 unknown-function", "5:115 unknown-function"]
        ),
        (
            "{alert: A, on: 'a/{device}', with: {b: {influx: 'SHOW x', every: 5}, c: {influx: \"SELECT x FROM z WHERE time > now() GROUP BY devise, sit\"}}, expr: f(b.x) > c.x}",
            ["5:54 influx", "5:70 duration", "5:77 missing-key", "5:86 influx", "5:86 influx", "5:153 unknown-function"]
        ),
        (
            "{alert: A, every: 5m, with: {b: {influx: 'SHOW x'}, c: 5}, expr: f(b.x) > c.x}",
            ["5:37 missing-key", "5:47 influx", "5:60 wrong-type", "5:70 unknown-function"]
        ),
    ]

    @Test(arguments: sources + queries)
    func `what is wrong with the readings of a rule hides no mistake of the rest of it`(_ rule: String, _ expected: [String]) {
        let group = rule.contains("influx: ") && !rule.contains("on: ") ? "labels: {}" : "on: a/{device}"
        #expect(mistakes(ofRule: rule, group: group) == expected)
    }

    @Test func `what is wrong with a group hides no mistake of its rules`() {
        let rules = "[{alert: A, expr: f(x), labels: {a: '{{ site }}'}}, {alert: B, expr: now > f(x)}, {alert: A, expr: f(x)}]"
        #expect(
            mistakes("groups:\n- on: a/{site}/#/b\n  every: 5\n  let: {y: g(x)}\n  missing: {after: 1}\n  rules: \(rules)\n")
                == [
                    "2:3 missing-key", "2:16 topic-filter", "3:10 duration", "4:12 unknown-function", "5:20 duration",
                    "6:28 unknown-function",
                    "6:85 unknown-function", "6:100 duplicate-alert", "6:109 unknown-function",
                ])
    }

    @Test func `a named expression that nothing uses is looked at, too`() {
        let group = "on: a/{device}\n  let: {x: f(device), y: now > z, z: g(1)}"
        #expect(
            mistakes(ofRule: "{alert: A, expr: b, let: {y: h(1), w: y}}", group: group) == [
                "4:12 unknown-function", "4:38 unknown-function", "6:34 unknown-function",
            ])
    }

    @Test func `a rule without topics is told so, and nothing that follows from it`() {
        #expect(
            mistakes(ofRule: "{alert: A, expr: x > 1 && f(x), labels: {a: '{{ site }}'}}", group: "labels: {}") == [
                "5:5 missing-key", "5:31 unknown-function",
            ])
    }

    @Test func `rules of the second group of a name are looked at, too`() {
        let group = "{name: g, on: a, rules: [{alert: A, expr: f(x)}]}"
        #expect(
            mistakes("groups:\n- \(group)\n- \(group)\n") == ["2:45 unknown-function", "3:4 duplicate-group", "3:45 unknown-function"])
    }
}
