import RuleEngine
import Testing

@testable import RuleLanguage

@Suite struct RuleFileTests {
    @Test func `every key of a rule is read`() throws {
        let (catalog, diagnostics) = load(
            """
            groups:
              - name: cold-chain
                on: sites/{site}/freezers/{device}/telemetry
                labels: {team: logistics, severity: warning}
                let: {limit_c: config.max_temperature}
                every: 10s
                missing: {after: auto, policy: ok}
                mode: shadow
                rules:
                  - alert: FreezerTooWarm
                    expr: temperature > limit_c
                    resolve_expr: temperature < limit_c - 2.0
                    for: 5m
                    keep_firing_for: 2m
                    missing: {after: 10m, policy: nodata}
                    labels: {severity: critical}
                    annotations:
                      summary: "Freezer {{ device }} at {{ site }} is at {{ temperature }} °C"
                    value: temperature
                    limit: 7
                    every: 1m30s
                    by: [site]
                    mode: live
                    enabled: false
                    actions:
                      firing:
                        - publish: {topic: "alerts/{{ device }}", payload: '{"a": {{ temperature }}}', qos: 1, retain: true}
                  - alert: Door
                    on: [{topic: "doors/{site}/{device}", qos: 0, retained: skip, device: "{site}-{device}", decoder: text}, "x/{device}"]
                    let: {limit_c: '3'}
                    levels:
                      warning: {expr: value > 1, for: 1m}
                      critical: {expr: value > 2, resolve_expr: value < 1}
            """)
        #expect(diagnostics == [])
        let rules = try #require(catalog).rules
        #expect(rules.map(\.identity.description) == ["cold-chain/FreezerTooWarm", "cold-chain/Door"])
        let (first, second) = (rules[0], rules[1])
        #expect(first.location == SourceLocation(file: "rules.yaml", line: 10, column: 9, length: 5))
        #expect(first.levels.map(\.condition.source.text) == ["temperature > limit_c"])
        #expect(first.levels[0].resolveCondition?.source.text == "temperature < limit_c - 2.0")
        #expect(first.levels[0].pendingDuration == .seconds(300) && first.keepFiringFor == .seconds(120))
        #expect(first.missing == MissingPolicy(deadline: .after(.seconds(600)), outcome: .nodata))
        #expect(first.labels.map { "\($0.name)=\($0.template.constant ?? "")" } == ["team=logistics", "severity=critical"])
        #expect(first.annotations.map(\.template.parts.count) == [7])
        #expect(first.value?.source.text == "temperature" && first.limit == 7 && first.every == .seconds(90) && first.by == ["site"])
        #expect(first.mode == .live && !first.isEnabled && first.lets.map(\.name) == ["limit_c"])
        guard first.firingActions.count == 1, case .publish(let publish) = first.firingActions[0] else {
            Issue.record("one message is published when it fires")
            return
        }
        #expect(publish.qos == 1 && publish.retain && publish.payload.parts.count == 3)
        #expect(second.levels.map(\.name) == ["warning", "critical"] && second.by == ["device"])
        #expect(second.labels.map(\.name) == ["team"] && second.mode == .shadow && second.every == .seconds(10))
        #expect(second.missing == MissingPolicy(deadline: .beats(3), outcome: .ok))
        #expect(second.lets.map(\.expression.source.text) == ["3"])
        #expect(second.subscriptions[0].device == [.capture("site"), .literal("-"), .capture("device")])
        #expect(second.subscriptions[0].qos == 0 && second.subscriptions[0].retained == .skip && second.subscriptions[0].decoder == .text)
    }

    @Test func `all mistakes of a file are found in one run`() {
        let diagnostics = load(
            """
            groups:
              - name: g
                on: a/#/b
                rules:
                  - alert: A
                    expr: temperature >> 3
                    fro: 5m
                  - alert: A
                    expr: 'true'
                    for: 5

            """
        ).diagnostics
        #expect(
            diagnostics.map(\.short) == ["3:11 topic-filter", "6:28 syntax", "7:9 unknown-key", "8:16 duplicate-alert", "10:14 duration"])
        #expect(diagnostics[2].hint == "did you mean 'for'?")
    }

    @Test func `a rule's text is kept as it would stand alone`() throws {
        let catalog = try #require(
            load(
                """
                groups:
                - name: g
                  rules:
                    - alert: A   # the first
                      every: 1m
                      expr: |
                        1 > 2 &&
                          3 > 4

                    # between
                    - {alert: B, every: 1m, expr: 'true'}
                """
            ).catalog)
        #expect(
            catalog.rules.map(\.yaml) == [
                "alert: A   # the first\nevery: 1m\nexpr: |\n  1 > 2 &&\n    3 > 4\n", "{alert: B, every: 1m, expr: 'true'}\n",
            ])
        let (group, diagnostics) = loader.loadGroup(yaml: Array(catalog.groups[0].yaml.utf8), name: "g")
        #expect(diagnostics == [])
        #expect(group?.rules.map(\.yaml) == catalog.rules.map(\.yaml))
    }
}
