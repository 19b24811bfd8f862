import Foundation
import InfluxWindows
import RuleEngine

/// `recorder`: what is recorded in InfluxDB.
extension ServerConfiguration {
    mutating func readRecorder(_ failure: inout Failure) {
        guard bool("recorder.enabled") else { return }
        // What is wrong with single values has been told.
        guard failure.messages.isEmpty, failure.diagnostics.isEmpty else { return }
        var settings = RecorderSettings(measurements: [])
        for name in names(in: "recorder.measurements") {
            if let measurement = measurement(name, &failure) { settings.measurements.append(measurement) }
        }
        for name in names(in: "recorder.retention") {
            if let retention = retention(name, &failure) { settings.retentions.append(retention) }
        }
        for name in names(in: "recorder.downsampling") {
            if let downsampling = downsampling(name, &failure) { settings.downsamplings.append(downsampling) }
        }
        settings.batchSize = integer("recorder.batch_size")
        settings.batchInterval = duration("recorder.batch_interval")
        settings.queueSize = Int(clamping: size("recorder.queue_size"))
        settings.spoolSize = size("recorder.spool_max_size")
        if self["influxdb.url"] == nil { failure.messages.append("'recorder.enabled' needs 'influxdb.url' and 'influxdb.database'") }
        // One that could not be read would be missed by those that refer to it.
        if failure.messages.isEmpty { failure.messages = settings.mistakes() }
        recorder = settings
    }

    private func measurement(_ name: String, _ failure: inout Failure) -> RecorderSettings.Measurement? {
        let key = "recorder.measurements.\(name)"
        guard let text = self["\(key).topic"] else {
            failure.messages.append("'\(key)' needs a 'topic'")
            return nil
        }
        let decoder = self["\(key).decoder"] ?? "auto"
        guard ["auto", "json", "text"].contains(decoder) else {
            failure.messages.append("'\(key).decoder' must be auto or text in this version, not '\(decoder)'")
            return nil
        }
        do {
            return RecorderSettings.Measurement(
                name: name, topic: try TopicFilter(text), fields: selection("\(key).fields", absent: .all),
                texts: selection("\(key).strings", absent: .none), timeField: self["\(key).time_field"], isText: decoder == "text",
                retention: self["\(key).retention"])
        } catch {
            failure.messages.append("'\(key).topic': \(error.message)")
            return nil
        }
    }

    /// `*`, or paths with commas between them.
    private func selection(_ key: String, absent: FieldSelection.Kind) -> FieldSelection {
        guard let text = self[key] else { return FieldSelection(absent) }
        return FieldSelection(text == "*" ? .all : .paths(Self.list(text)))
    }

    private func retention(_ name: String, _ failure: inout Failure) -> RecorderSettings.Retention? {
        let key = "recorder.retention.\(name)"
        let text = self["\(key).duration"] ?? ""
        let duration = Duration(ruleText: text)
        guard text == "forever" || duration ?? .zero > .zero else {
            failure.messages.append("'\(key).duration' must be a duration, such as 30d, or forever, not '\(text)'")
            return nil
        }
        return RecorderSettings.Retention(
            name: name, duration: duration, shard: self["\(key).shard"].flatMap { Duration(ruleText: $0) },
            isDefault: bool("\(key).default"))
    }

    private func downsampling(_ name: String, _ failure: inout Failure) -> RecorderSettings.Downsampling? {
        let key = "recorder.downsampling.\(name)"
        guard let source = self["\(key).from"], let every = self["\(key).every"].flatMap({ Duration(ruleText: $0) }) else {
            failure.messages.append("'\(key)' needs 'from', a measurement, and 'every', a duration")
            return nil
        }
        return RecorderSettings.Downsampling(
            name: name, source: source, every: every, functions: Self.list(self["\(key).functions"] ?? "mean"),
            retention: self["\(key).retention"], resample: self["\(key).resample"].flatMap { Duration(ruleText: $0) })
    }
}
