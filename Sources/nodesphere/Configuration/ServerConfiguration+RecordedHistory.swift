import InfluxWindows
import RuleEngine

/// `windows.own_history`: from where on windows are of what is recorded.
extension ServerConfiguration {
    var recordedHistory: RecordedHistory {
        // A value that is no duration has been told.
        RecordedHistory(
            ownReach: self["windows.own_history"].flatMap { Duration(ruleText: $0) },
            measurements: (recorder?.measurements ?? []).compactMap(RecordedHistory.Measurement.init))
    }
}

extension RecordedHistory.Measurement {
    /// Nil when rules cannot read its payloads as it does.
    fileprivate init?(_ measurement: RecorderSettings.Measurement) {
        guard !measurement.isText, measurement.timeField?.contains("[") != true else { return nil }
        let fields: Set<String>? = if case .paths(let paths) = measurement.fields.kind { Set(paths) } else { nil }
        self.init(
            measurement.name, topic: measurement.topic, retention: measurement.retention,
            timeField: measurement.timeField?.split(separator: ".").map(String.init), fields: fields)
    }
}
