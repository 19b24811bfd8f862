import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// `Golden/<code>[-variant].yaml` and the diagnostics it gives, as people see them. Recorded with `RECORD=1`.
@Suite struct GoldenTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }()

    @Test func `there are golden files`() { #expect(Self.names.count > 30) }

    @Test(arguments: names) func `a mistake is told as recorded`(_ name: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "\(name).yaml")))
        let source = RuleLoader.Source(name: "rules.yaml", bytes: bytes)
        let diagnostics = loader.load(files: [source]).diagnostics
        let renderer = DiagnosticRenderer(sources: [source])
        let text = diagnostics.map { renderer.render($0) }.joined(separator: "\n")
        try compareWithRecord(text, Self.folder.appending(path: "\(name).txt"))
        let code = diagnostics.map(\.code).first { name == $0 || name.hasPrefix($0 + "-") }
        #expect(code != nil, "\(name).yaml shows another code than its name says")
    }
}

/// Compares with a recorded file, or records it when the environment says `RECORD=1`.
func compareWithRecord(_ text: String, _ file: URL, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
    if ProcessInfo.processInfo.environment["RECORD"] == "1" { try text.write(to: file, atomically: true, encoding: .utf8) }
    let recorded = try String(contentsOf: file, encoding: .utf8)
    #expect(text == recorded, sourceLocation: sourceLocation)
}
