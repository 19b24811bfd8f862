import Foundation
import RuleEngine
import TestSupport
import Testing

@testable import RuleLanguage

@Suite struct LoaderTests {
    private func source(_ name: String, _ text: String) -> RuleLoader.Source { RuleLoader.Source(name: name, bytes: Array(text.utf8)) }
    private func group(_ name: String, _ more: String = "") -> String {
        "{name: \(name), rules: [{alert: A, every: 1m, expr: 'true'\(more)}]}"
    }

    @Test func `groups of all files and of the store make one catalogue`() throws {
        let (catalog, diagnostics) = loader.load(
            files: [source("a.yaml", "groups: [\(group("a"))]"), source("b.yaml", "groups: [\(group("b")), \(group("c"))]")],
            storeGroups: [source("d", group("d"))])
        #expect(diagnostics == [])
        #expect(try #require(catalog).groups.map(\.origin) == [.file("a.yaml"), .file("b.yaml"), .file("b.yaml"), .store])
        #expect(try #require(catalog).rules.map(\.identity.group) == ["a", "b", "c", "d"])
    }

    @Test func `mistakes of all files are told in the order of the files, and one is enough to take none`() {
        let (catalog, diagnostics) = loader.load(
            files: [source("b.yaml", "groups: [\(group("a", ", fro: 1"))]"), source("a.yaml", "groups: [\(group("a"))]")],
            storeGroups: [source("a", group("a")), source("x", "{name: y}")])
        #expect(catalog == nil)
        #expect(
            diagnostics.map { "\($0.location.file) \($0.code)" } == [
                "a.yaml duplicate-group", "b.yaml unknown-key", "group:a duplicate-group", "group:x missing-key", "group:x group-name",
            ])
    }

    @Test func `rules can be looked at further while they or others are wrong`() {
        let yaml = """
            groups:
              - name: g
                rules: [{alert: A, every: 1m, expr: 'true'}, {alert: B, every: 1m, expr: 'true', fro: 1}, {alert: A, every: 1m, expr: '1'}]
              - {name: h, let: {x: '1 +'}, rules: [{alert: C, every: 1m, expr: x}]}
              - {name: g, rules: [{alert: D, every: 1m, expr: 'true'}]}
              - {name: i, rules: [{alert: E, every: 1m, expr: 'true'}]}
            """
        let (catalog, diagnostics) = loader.loadReadable(files: [source("a.yaml", yaml)])
        #expect(catalog.rules.map(\.location.line) == [3, 3, 3, 4, 5, 6])
        #expect(Set(catalog.rules.map(\.identity)).count == 6)
        #expect(diagnostics.map(\.code) == ["unknown-key", "duplicate-alert", "syntax", "duplicate-group"])
        #expect(loader.load(files: [source("a.yaml", yaml)]).catalog == nil)
    }

    @Test(arguments: [
        ("", "empty-group"), ("name: h\nrules: [{alert: A, every: 1m, expr: 'true'}]", "group-name"), ("groups: []", "unknown-key"),
        ("- a", "wrong-type"), ("a: b: c", "yaml"),
    ]) func `a group of the API is checked like one of a file`(_ yaml: String, _ code: String) {
        let (group, diagnostics) = loader.loadGroup(yaml: Array(yaml.utf8), name: "g")
        #expect(group == nil)
        #expect(diagnostics.contains { $0.code == code }, "\(diagnostics.map(\.code))")
    }

    @Test func `a group of the API may leave out its name`() {
        let (group, diagnostics) = loader.loadGroup(yaml: Array("rules: [{alert: A, every: 1m, expr: 'true'}]".utf8), name: "g")
        #expect(diagnostics == [])
        #expect(group?.name == "g" && group?.rules.first?.identity == RuleIdentity(group: "g", alert: "A"))
    }

    @Test func `files are found below a folder, tests and hidden ones left out, and links that loop end`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "rule-folder-\(UInt64.random(in: .min ... .max))")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder.appending(path: "b/deep"), withIntermediateDirectories: true)
        for name in ["z.yaml", "a.yml", "b/x.yaml", "b/x.test.yaml", "b/.hidden.yaml", "b/notes.txt", "b/deep/y.yaml"] {
            try Data("groups: []".utf8).write(to: folder.appending(path: name))
        }
        try FileManager.default.createSymbolicLink(at: folder.appending(path: "b/loop"), withDestinationURL: folder)
        try FileManager.default.createSymbolicLink(atPath: folder.appending(path: "gone.yaml").path, withDestinationPath: "/nowhere")
        let (sources, diagnostics) = RuleFolder(folder.path).read()
        #expect(sources.map { $0.name.dropFirst(folder.path.count + 1) } == ["a.yml", "b/deep/y.yaml", "b/x.yaml", "z.yaml"])
        #expect(sources.allSatisfy { $0.bytes == Array("groups: []".utf8) })
        #expect(diagnostics.map(\.code) == ["unreadable-file"])
        #expect(RuleFolder(folder.path + "/nowhere").read().sources.isEmpty)
    }

    @Test func `loading ten times as many rules is no quadratic work`() throws {
        func load(_ count: Int) throws -> Duration {
            var yaml = "groups:\n  - name: g\n    on: sites/{site}/{device}\n    rules:\n"
            for index in 0..<count {
                yaml +=
                    "      - alert: A\(index)\n        on: sites/\(index)/{device}\n        expr: temperature > \(index).5 && humidity < 40\n"
                yaml +=
                    "        for: 5m\n        labels: {severity: critical}\n        annotations: {summary: '{{ device }} is at {{ temperature }} °C'}\n"
            }
            let bytes = Array(yaml.utf8)
            var catalog: RuleCatalog?
            let elapsed = processorTime { catalog = loader.load(files: [RuleLoader.Source(name: "f", bytes: bytes)]).catalog }
            #expect(try #require(catalog).rules.count == count)
            return elapsed
        }
        let (once, tenfold) = (try load(300), try load(3000))
        // Quadratic work would make it a hundred times.
        #expect(tenfold < once * 40)
    }
}
