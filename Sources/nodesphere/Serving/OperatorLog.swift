import Foundation
import Logging
import RuleEngine

/// Log lines for people at night: time, level, what happened, then details; or one JSON object a line.
struct OperatorLog: LogHandler {
    let label: String
    let isJSON: Bool
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()

    init(label: String, isJSON: Bool) {
        self.label = label
        self.isJSON = isJSON
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let now = Instant.wallClock
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        if isJSON {
            let members = [
                Document.Member("time", .instant(now)), .init("level", .string(event.level.rawValue)),
                .init("message", .string("\(event.message)")),
            ]
            Output.talk(Document.object(members + all.map { .init($0.key, .string("\($0.value)")) }).json)
        } else {
            let details = all.map { " \($0.key)=\($0.value)" }.joined()
            let level = event.level.rawValue.uppercased().padding(toLength: 8, withPad: " ", startingAt: 0)
            Output.talk("\(now) \(level) \(event.message)\(details)")
        }
    }
}
