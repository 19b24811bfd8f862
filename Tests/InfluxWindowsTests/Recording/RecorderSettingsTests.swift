import RuleEngine
import Testing

@testable import InfluxWindows

@Suite struct RecorderSettingsTests {
    private static func settings(_ change: (inout RecorderSettings) -> Void) throws -> RecorderSettings {
        var settings = RecorderSettings(
            measurements: [.init(name: "m", topic: try TopicFilter("t/{device}"), retention: "raw")],
            retentions: [.init(name: "raw", duration: .seconds(86_400))],
            downsamplings: [.init(name: "m_1h", source: "m", every: .seconds(3600), functions: ["mean"], retention: "raw")])
        change(&settings)
        return settings
    }

    @Test func `a configuration that fits together has no mistakes`() throws { #expect(try Self.settings { _ in }.mistakes() == []) }

    private static let mistakes: [(@Sendable (inout RecorderSettings) -> Void, String)] = [
        ({ $0.measurements = [] }, "needs at least one measurement"),
        ({ $0.measurements[0].topic = try! TopicFilter("t/+") }, "'recorder.measurements.m.topic': every wildcard needs a name"),
        ({ $0.measurements[0].topic = try! TopicFilter("t/#") }, "every wildcard needs a name"),
        ({ $0.measurements[0].topic = try! TopicFilter("t/{time}") }, "a tag cannot be called 'time'"),
        ({ $0.measurements[0].topic = try! TopicFilter("$share/g/t/{device}") }, "'$share' is not used here"),
        ({ $0.measurements[0].retention = "row" }, "'recorder.measurements.m.retention': there is no 'row'"),
        ({ $0.measurements[0].name = "a b" }, "'recorder.measurements.a b': a name is letters"),
        ({ $0.retentions[0].duration = .seconds(60) }, "'recorder.retention.raw.duration' must be at least 1h"),
        ({ $0.retentions[0].shard = .seconds(86_400 * 2) }, "cannot be longer than 'duration'"),
        (
            {
                $0.retentions[0].isDefault = true
                $0.retentions.append(.init(name: "other", duration: nil, isDefault: true))
            }, "only one of 'recorder.retention'"
        ),
        ({ $0.downsamplings[0].source = "n" }, "'recorder.downsampling.m_1h.from': there is no 'n'"),
        ({ $0.downsamplings[0].functions = ["avg"] }, "'recorder.downsampling.m_1h.functions': 'avg' is none of count, first"),
        ({ $0.downsamplings[0].resample = .seconds(60) }, "'recorder.downsampling.m_1h.resample' must be at least 'every'"),
        ({ $0.downsamplings[0].name = "m" }, "cannot be both a measurement and a downsampling"),
    ]

    @Test(arguments: mistakes.indices) func `what does not fit together is told`(place: Int) throws {
        let (change, message) = Self.mistakes[place]
        let found = try Self.settings(change).mistakes()
        #expect(found.contains { $0.contains(message) }, "\(found)")
    }
}

@Suite struct WriteVerdictTests {
    private static let answers: [(Int, String, WriteVerdict)] = [
        (204, "", .written), (200, "", .written), (413, "", .tooLarge),
        (400, "partial write: points beyond retention policy dropped=7", .refused(points: 7, reason: "")),
        (422, "failure: partial write: field type conflict dropped=99", .refused(points: 10, reason: "")),
        (400, "partial write: unable to parse 'x'", .refused(points: 1, reason: "")),
        (400, "unable to parse", .refused(points: 10, reason: "")),
        (500, "retention policy not found: raw", .refused(points: 10, reason: "")),
        (500, "timeout", .unavailable(reason: "", retryAfter: nil)), (503, "", .unavailable(reason: "", retryAfter: .seconds(5))),
        (401, "", .unavailable(reason: "", retryAfter: nil)), (404, "database not found", .unavailable(reason: "", retryAfter: nil)),
        (307, "", .unavailable(reason: "", retryAfter: nil)),
    ]

    @Test(arguments: answers) func `an answer says whether points are written, refused, or to be written again`(
        status: Int, said: String, verdict: WriteVerdict
    ) {
        let found = WriteVerdict(status: status, said: said, points: 10, retryAfter: status == 503 ? .seconds(5) : nil)
        switch (found, verdict) {
        case (.refused(let points, let reason), .refused(let wanted, _)): #expect(points == wanted && reason.contains("\(status)"))
        case (.unavailable(let reason, let pause), .unavailable(_, let wanted)): #expect(reason.contains("\(status)") && pause == wanted)
        default: #expect(found == verdict)
        }
    }
}
