import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

@Suite struct HostileYAMLTests {
    @Test func `anchors, aliases and merge keys work`() throws {
        let (catalog, diagnostics) = load(
            """
            x-common: &common
              for: 5m
              labels: &labels {team: ops}
              annotations: {a: b}
            groups:
              - name: g
                on: &topic a/{device}
                rules:
                  - <<: *common
                    alert: A
                    expr: &warm temperature > 30
                    for: 1m
                  - <<: [{limit: 3}, *common]
                    alert: B
                    on: *topic
                    expr: *warm
                    labels: {<<: *labels, severity: low}
            """)
        #expect(diagnostics == [])
        let rules = try #require(catalog).rules
        #expect(rules.map { $0.levels[0].pendingDuration } == [.seconds(60), .seconds(300)])
        #expect(rules.map(\.limit) == [nil, 3])
        #expect(rules.map { $0.labels.map(\.name) } == [["team"], ["severity", "team"]])
        #expect(rules[1].levels[0].condition.source.text == "temperature > 30")
    }

    @Test func `a mistake behind an alias is told once, where it was written`() {
        let diagnostics = load(
            """
            groups:
              - name: g
                on: a
                rules:
                  - &a {alert: A, expr: 'true', fro: 1}
              - name: h
                on: a
                rules: [*a]
            """
        ).diagnostics
        #expect(diagnostics.map(\.short) == ["5:37 unknown-key"])
    }

    @Test func `a billion laughs are one error`() {
        var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\(uses)]\n"
        }
        #expect(load(yaml).diagnostics.map(\.code) == ["too-many-values"])
        var merges = "m0: &m0 {k: 1}\n"
        for level in 1...30 { merges += "m\(level): &m\(level) {<<: [*m\(level - 1), *m\(level - 1)], k\(level): 1}\n" }
        #expect(load(merges).diagnostics.map(\.code) == ["too-many-values"])
    }

    @Test(arguments: [
        ("a: &a [*a]", "alias"), ("a: &a {b: &b [*a]}", "alias"), ("groups: [", "yaml"), ("groups: \"\\q\"", "yaml"),
        ("groups:\n\t- a", "tab"), ("groups: \u{1}", "encoding"), ("--- a\n--- b", "several-documents"), ("%FOO\n", "yaml"),
        ("!!binary x", "wrong-type"), ("groups: !<x> []", "tag"), ("a: \"x\u{2028}y\u{85}\"", "missing-key"), ("? [a]\n: b", "key"),
        ("- - - - a", "wrong-type"), ("a: b: c", "yaml"), ("\"", "yaml"), ("&", "yaml"), ("*", "yaml"), ("{", "yaml"), ("[}", "yaml"),
    ]) func `broken YAML is one clear error`(_ yaml: String, _ code: String) {
        let diagnostics = load(yaml).diagnostics
        #expect(diagnostics.first?.code == code)
        #expect(diagnostics.allSatisfy { $0.location.line >= 1 && $0.location.column >= 1 })
    }

    @Test(
        arguments: [
            [0xFF, 0xFE, 0x61, 0], [0xC0, 0x80], [0x61, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xF0],
            [0, 0x61],
        ] as [[UInt8]]) func `what is no UTF-8 is refused`(_ bytes: [UInt8])
    {
        #expect(load(bytes).diagnostics.map(\.code) == ["encoding"])
    }

    @Test func `the bytes of a file are bounded`() {
        #expect(load([UInt8](repeating: 32, count: YAMLReader.maximumBytes + 1)).diagnostics.map(\.code) == ["file-too-large"])
        #expect(load([UInt8](repeating: 10, count: 100_000)).diagnostics.map(\.code) == ["empty-file"])
    }

    @Test func `the length of expressions and texts is bounded`() {
        let long = "'" + String(repeating: "x", count: 20_000) + "'"
        let body = "alert: A, every: 1m, expr: \"\(long) == ''\", annotations: {a: \(long)}"
        #expect(load("groups: [{name: g, rules: [{\(body)}]}]").diagnostics.map(\.code) == ["too-long", "too-long"])
    }

    @Test(arguments: ["[", "{", "- ", "? ", "{a: ", "[{"]) func `depth is bounded`(_ opening: String) {
        #expect(load(String(repeating: opening, count: 100_000)).diagnostics.count == 1)
    }

    @Test func `whatever bytes a file holds, loading ends with a catalogue or with errors`() throws {
        try mutate(GoldenTests.folder, rounds: 2000) { source in
            let (catalog, diagnostics) = loader.load(files: [source])
            #expect((catalog == nil) == diagnostics.hasErrors)
            return diagnostics
        }
        try mutate(GoldenTests.notifications, rounds: 1000) { source in
            let (configuration, diagnostics) = notificationReader.read(source)
            #expect((configuration == nil) == diagnostics.hasErrors)
            #expect(NotificationFileReader.redacted(source).bytes.count <= source.bytes.count)
            return diagnostics
        }
    }

    private func mutate(_ folder: URL, rounds: Int, _ read: (RuleLoader.Source) -> [Diagnostic]) throws {
        var random = SplitMix(state: 42)
        let files = try GoldenTests.names(in: folder).map { [UInt8](try Data(contentsOf: folder.appending(path: "\($0).yaml"))) }
        let alphabet = Array("{}[]:-?&*!|>'\"%@`#,\n\t\r \\x0u{{}}$+/é\u{2028}\u{85}".utf8) + [0, 0xFF, 0xC3, 0xE2]
        for round in 0..<rounds {
            var bytes = files[round % files.count]
            for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = alphabet.randomElement(using: &random) ?? 0
                case 1: bytes.insert(alphabet.randomElement(using: &random) ?? 0, at: at)
                case 2: bytes.remove(at: at)
                default: bytes += bytes[at..<min(bytes.count, at + 40)]
                }
            }
            let source = RuleLoader.Source(name: "f", bytes: bytes)
            let renderer = DiagnosticRenderer(sources: [source])
            for diagnostic in read(source) { #expect(!renderer.render(diagnostic).isEmpty) }
        }
    }
}
