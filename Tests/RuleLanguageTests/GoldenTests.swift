import Foundation
import RuleEngine
import Testing

@testable import RuleLanguage

/// `Golden/<code>[-variant].yaml` and the diagnostics it gives, as people see them; `GoldenNotifications` for `notifications.yaml`.
/// Recorded with `RECORD=1`.
@Suite struct GoldenTests {
    static let here = URL(filePath: #filePath).deletingLastPathComponent()
    static let folder = here.appending(path: "Golden")
    static let plans = here.appending(path: "GoldenPlans")
    static let notifications = here.appending(path: "GoldenNotifications")

    static func names(in folder: URL) -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }
    static let names = names(in: folder)

    @Test func `there are golden files`() {
        #expect(Self.names.count > 30)
        #expect(Self.names(in: Self.notifications).count > 10)
    }

    @Test(arguments: names) func `a mistake in rules is told as recorded`(_ name: String) throws {
        try check(name, in: Self.folder, file: "rules.yaml") { loader.load(files: [$0]).diagnostics }
    }

    @Test(arguments: names(in: plans)) func `what only the whole of the rules shows is told as recorded`(_ name: String) throws {
        try check(name, in: Self.plans, file: "rules.yaml") { source in
            let loaded = loader.load(files: [source])
            return loaded.diagnostics
                + (loaded.catalog.map { EvaluationPlan.compile($0, surroundings: Self.surroundings).diagnostics } ?? [])
        }
    }

    private static let surroundings = Surroundings(
        zones: ["home": .init(centre: GeoPoint(latitude: 59.9, longitude: 10.7)!, radius: 200)],
        recorded: RecordedHistory(
            ownReach: .seconds(48 * 3600),
            measurements: [try! TopicFilter("sites/{site}/meters/{device}/power")].map { .init("power", topic: $0) }))

    @Test(arguments: names(in: notifications)) func `a mistake in notifications is told as recorded`(_ name: String) throws {
        try check(name, in: Self.notifications, file: "notifications.yaml") { notificationReader.read($0).diagnostics }
    }

    private func check(_ name: String, in folder: URL, file: String, _ read: (RuleLoader.Source) -> [Diagnostic]) throws {
        let bytes = [UInt8](try Data(contentsOf: folder.appending(path: "\(name).yaml")))
        let source = RuleLoader.Source(name: file, bytes: bytes)
        let diagnostics = read(source)
        let renderer = DiagnosticRenderer(sources: [file == "rules.yaml" ? source : NotificationFileReader.redacted(source)])
        let text = diagnostics.map { renderer.render($0) }.joined(separator: "\n")
        let record = folder.appending(path: "\(name).txt")
        if ProcessInfo.processInfo.environment["RECORD"] == "1" { try text.write(to: record, atomically: true, encoding: .utf8) }
        #expect(text == (try String(contentsOf: record, encoding: .utf8)))
        let code = diagnostics.map(\.code).first { name == $0 || name.hasPrefix($0 + "-") }
        #expect(code != nil, "\(name).yaml shows another code than its name says")
    }
}
