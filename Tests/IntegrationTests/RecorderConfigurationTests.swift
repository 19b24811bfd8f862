import Foundation
import RuleEngine
import Testing

/// `recorder` in the configuration, as an operator writes it.
@Suite struct RecorderConfigurationTests {
    private static let file = """
        influxdb: {url: "http://influx:8086", database: telemetry}
        recorder:
          enabled: true
          measurements:
            power: {topic: "sites/{site}/{device}", retention: raw}
          retention:
            raw: {duration: 30d, default: true}
          downsampling:
            power-15m: {from: power, every: 15m, functions: "mean, max"}
        """

    private func printed(_ file: String, _ environment: [String: String] = [:]) async throws -> Binary.Result {
        let folder = try TestFolder()
        folder.write("nodesphere.yaml", file)
        return try await Binary.run(["config", "print"], in: folder, environment: environment)
    }

    /// Lines of `config print` by key, the spaces between the columns made one.
    private static func shown(_ result: Binary.Result, _ key: String) -> String? {
        result.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }.first { $0.hasPrefix(key + " ") }
    }

    @Test func `config print shows what is recorded and where each value comes from`() async throws {
        let result = try await printed(
            Self.file,
            [
                "NODESPHERE_RECORDER_MEASUREMENTS_POWER_TIME_FIELD": "ts", "NODESPHERE_RECORDER_DOWNSAMPLING_POWER_15M_RESAMPLE": "1h",
                "NODESPHERE_RECORDER_RETENTION_LONG_TIME_DURATION": "forever",
            ])
        #expect(result.status == 0, "\(result.errors)")
        let name = "recorder.measurements.power"
        #expect(Self.shown(result, "\(name).topic") == "\(name).topic sites/{site}/{device} # nodesphere.yaml:5")
        #expect(
            Self.shown(result, "\(name).time_field")
                == "\(name).time_field ts # environment NODESPHERE_RECORDER_MEASUREMENTS_POWER_TIME_FIELD"
        )
        #expect(Self.shown(result, "recorder.downsampling.power-15m.resample")?.contains("1h") == true)
        #expect(Self.shown(result, "recorder.retention.long_time.duration")?.contains("forever") == true)
        #expect(Self.shown(result, "recorder.batch_size") == "recorder.batch_size 5000 # default")
    }

    private static let mistakes: [(String, String, String)] = [
        ("http://influx:8086", "", "'recorder.enabled' needs 'influxdb.url'"),
        ("{site}/{device}", "+/{device}", "'recorder.measurements.power.topic': every wildcard needs a name"),
        ("sites/{site}", "si+tes/{site}", "'recorder.measurements.power.topic': '+' must stand alone in its level"),
        ("retention: raw}", "retention: row}", "'recorder.measurements.power.retention': there is no 'row' under 'recorder.retention'"),
        ("retention: raw}", "decoder: zigbee2mqtt}", "'recorder.measurements.power.decoder' must be auto or text in this version"),
        ("30d", "soon", "'recorder.retention.raw.duration' must be a duration, such as 30d, or forever, not 'soon'"),
        ("30d", "5m", "'recorder.retention.raw.duration' must be at least 1h"),
        ("default: true", "default: maybe", "'recorder.retention.raw.default' must be true or false, not 'maybe' (nodesphere.yaml:7)"),
        ("from: power", "from: pover", "there is no 'pover' under 'recorder.measurements'"),
        ("mean, max", "mean, average", "'average' is none of count, first, last"),
        ("every: 15m", "evry: 15m", "unknown setting 'recorder.downsampling.power-15m.evry'"),
        ("topic:", "topik:", "unknown setting 'recorder.measurements.power.topik'"),
    ]

    @Test(arguments: mistakes) func `a mistake is told by its key`(text: String, wrong: String, message: String) async throws {
        let result = try await printed(Self.file.replacingOccurrences(of: text, with: wrong))
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(result.status == 2)
    }
}
