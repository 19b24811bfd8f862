import Foundation
import RuleEngine

/// `windows.own_history`, and from there on what the recorder writes: where windows find their samples.
extension ServerConfiguration {
    var recordedHistory: RecordedHistory {
        // A value that is no duration has been told.
        RecordedHistory(
            ownReach: self["windows.own_history"].flatMap { Duration(ruleText: $0) },
            measurements: bool("recorder.enabled") ? recordedMeasurements : [])
    }

    private var recordedMeasurements: [RecordedHistory.Measurement] {
        let section = "recorder.measurements."
        let names = entries.keys.compactMap { key -> String? in
            guard key.hasPrefix(section), let dot = key.lastIndex(of: "."), key.distance(from: key.startIndex, to: dot) >= section.count
            else { return nil }
            return String(key[..<dot].dropFirst(section.count))
        }
        return Set(names).sorted().compactMap(recordedMeasurement)
    }

    /// Nil for one without numbers, and for one that is wrong, which the recorder tells.
    private func recordedMeasurement(_ name: String) -> RecordedHistory.Measurement? {
        func value(_ member: String) -> String? { self["recorder.measurements.\(name).\(member)"] }
        guard value("decoder") != "text", let topic = value("topic").flatMap({ try? TopicFilter($0) }) else { return nil }
        let paths = value("fields").map { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
        return RecordedHistory.Measurement(
            name, topic: topic, retention: value("retention"),
            timeField: value("time_field").map { $0.split(separator: ".").map(String.init) },
            fields: paths.flatMap { $0 == ["*"] ? nil : Set($0) })
    }
}
