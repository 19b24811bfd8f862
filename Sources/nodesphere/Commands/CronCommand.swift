import ArgumentParser
import CEL
import Foundation
import RuleEngine

struct CronCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron", abstract: "Show when a cron expression runs next.",
        discussion: """
            Five fields (minute, hour, day of month, month, day of week) with lists, ranges, names and steps, L, 15W, 6#5, or @hourly … @yearly. Where clocks \
            change, a time that is skipped runs right after the gap, and one that comes twice runs at the first (hourly and finer expressions at both).
            """)

    @Argument(help: "The expression, in quotes.") var expression: String
    @Option(help: "Strictly after this instant, in RFC 3339; default: now.") var from: String?
    @Option(help: "How many instants.") var count = 5
    @Option(help: "An IANA time zone; default: the system's.") var timeZone: String?
    @Flag(help: "As JSON.") var json = false

    func run() throws {
        guard (1...10_000).contains(count) else { throw misuse("--count must be from 1 to 10000") }
        let name = timeZone ?? TimeZone.current.identifier
        guard let zone = NamedZone(name) else { throw misuse("there is no time zone '\(name)'") }
        var start = Instant(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        if let from {
            guard let given = Instant(rfc3339: from) else {
                throw misuse("--from must be an instant such as 2026-03-29T00:00:00Z, not '\(from)'")
            }
            start = given
        }
        let cron: CronExpression
        do {
            cron = try CronExpression(expression)
        } catch {
            let source = SourceText(expression)
            let expression = expression
            let renderer = DiagnosticRenderer { _ in expression.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
            Output.talk(renderer.render(Diagnostic(code: "cron", error.message, at: source.location(of: error.range))))
            throw Ending(1)
        }
        var found: [Instant] = []
        while found.count < count, let next = cron.next(after: found.last ?? start, in: zone) { found.append(next) }
        let texts = found.map { Self.text($0, in: zone) }
        if json {
            Output.result(Document.object([.init("next", .array(texts.map(Document.string)))]).json)
        } else {
            for text in texts { Output.result(text) }
        }
        if found.isEmpty {
            Output.talk("error: '\(expression)' does not run within 60 years")
            throw Ending(1)
        }
    }

    private func misuse(_ message: String) -> Ending {
        Output.talk("error: \(message)")
        return Ending(2)
    }

    /// RFC 3339 with the offset that holds in the zone at that instant, to the second.
    static func text(_ instant: Instant, in zone: NamedZone) -> String {
        let offset = zone.secondsFromGMT(at: instant)
        let local = (instant + offset * 1_000_000_000).description.prefix(19)
        guard offset != 0 else { return local + "Z" }
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let minutes = abs(offset) / 60
        return "\(local)\(offset < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
    }
}
