import RuleEngine
import TestSupport
import Testing

@testable import InfluxWindows

@Suite struct PointLinesTests {
    private static let received = Instant(nanoseconds: 1_700_000_000_000_000_000)

    private static func measurement(
        _ topic: String = "sites/{site}/{device}", fields: FieldSelection.Kind = .all, strings: FieldSelection.Kind = .none,
        timeField: String? = nil, isText: Bool = false
    ) throws -> RecorderSettings.Measurement {
        RecorderSettings.Measurement(
            name: "power", topic: try TopicFilter(topic), fields: .init(fields), texts: .init(strings), timeField: timeField, isText: isText
        )
    }

    private static func lines(
        _ measurement: RecorderSettings.Measurement, on topic: String = "sites/oslo/m1", _ payload: String, isRetained: Bool = false,
        receivedAt: Instant = received
    ) -> (text: String, leftOut: PointLines.LeftOut) {
        let lines = PointLines([measurement])
        Array(topic.utf8).withUnsafeBytes { topic in
            Array(payload.utf8).withUnsafeBytes {
                lines.add(topic: topic, payload: $0, isRetained: isRetained, receivedAt: receivedAt)
            }
        }
        return (lines.takeLines().map { String(decoding: $0.lines.bytes, as: UTF8.self) }.joined(), lines.leftOut)
    }

    private static let head = "power,device=m1,site=oslo "
    private static let payloads: [(String, String?)] = [
        (#"{"kw": 1}"#, "kw=1"), (#"{"kw": 1.5, "on": true}"#, "kw=1.5,on=true"), (#"{"kw": -0.0, "x": 1e300}"#, "kw=-0.0,x=1e+300"),
        (#"{"state": {"load": 2, "deep": {"er": false}}}"#, "state.load=2,state.deep.er=false"),
        (#"{"kw": 1, "mode": "eco", "none": null, "list": [1, 2]}"#, "kw=1"), (#"{"a b": 1, "c=d,e": 2}"#, #"a\ b=1,c\=d\,e=2"#),
        (#"{"kw": 1, "kw": 2}"#, "kw=2"), ("21.5", "value=21.5"), ("true", "value=true"), ("on", nil), (#"{"mode": "eco"}"#, nil),
        ("{}", nil),
        (#"{"time": 5, "device": 3, "kw": 1}"#, "kw=1"), (#"{"kw": 1e999, "x": 1}"#, "x=1"), ("1e999", nil), ("", nil), ("{", nil),
        (#"{"back\\": 1, "line\n": 2, "x\\y": 3}"#, #"x\y=3"#), (#"{"": 1}"#, nil), ("12345678901234567", "value=1.2345678901234568e+16"),
    ]

    @Test(arguments: payloads) func `every scalar is a field, numbers are floats`(payload: String, fields: String?) throws {
        let written = Self.lines(try Self.measurement(), payload).text
        #expect(written == fields.map { "\(Self.head)\($0) \(Self.received.nanoseconds)\n" } ?? "")
    }

    @Test func `texts are written where they are named, and fields only where some are`() throws {
        let payload = #"{"mode": "e\"c\\o\nx", "kw": 1, "other": "no", "currents": [7, 8]}"#
        #expect(
            Self.lines(try Self.measurement(strings: .paths(["mode"])), payload).text.hasPrefix(
                Self.head + "mode=\"e\\\"c\\\\o\nx\",kw=1 "))
        #expect(Self.lines(try Self.measurement(fields: .paths(["currents[1]"])), payload).text.hasPrefix(Self.head + "currents[1]=8 "))
        #expect(Self.lines(try Self.measurement(strings: .all, isText: true), "{").text.hasPrefix(Self.head + #"value="{" "#))
    }

    private static let stamps: [(String, Int64)] = [
        (#"{"ts": 1600000000, "kw": 1}"#, 1_600_000_000_000_000_000),
        (#"{"kw": 1, "ts": "2020-09-13T12:26:40.5Z"}"#, 1_600_000_000_500_000_000),
        // Further ahead of the receipt than clocks differ; what is no stamp; none.
        (#"{"ts": 1800000000, "kw": 1}"#, received.nanoseconds), (#"{"ts": "soon", "kw": 1}"#, received.nanoseconds),
        (#"{"kw": 1}"#, received.nanoseconds), (#"{"ts": -1e30, "kw": 1}"#, received.nanoseconds),
    ]

    @Test(arguments: stamps) func `a reading has its own stamp, else the time of its receipt`(payload: String, time: Int64) throws {
        #expect(Self.lines(try Self.measurement(timeField: "ts"), payload).text == "\(Self.head)kw=1 \(time)\n")
    }

    @Test func `a retained reading without a stamp of its own is left out`() throws {
        let measurement = try Self.measurement(timeField: "ts")
        #expect(Self.lines(measurement, #"{"kw": 1}"#, isRetained: true).leftOut.retained == 1)
        #expect(Self.lines(measurement, #"{"kw": 1, "ts": 1600000000}"#, isRetained: true).text == "\(Self.head)kw=1 1600000000000000000\n")
    }

    private static let topics: [(String, String?)] = [
        ("sites/oslo/m1", "power,device=m1,site=oslo"), ("sites//m1", "power,device=m1"), ("sites//", "power"),
        ("sites/a b/c,d=e", #"power,device=c\,d\=e,site=a\ b"#), (#"sites/a\b/m1"#, #"power,device=m1,site=a\b"#),
        (#"sites/a\/m1"#, nil), ("sites/a\nb/m1", nil), ("sites/Øst/m1", "power,device=m1,site=Øst"),
    ]

    @Test(arguments: topics) func `captures are tags, and an empty one is none`(topic: String, head: String?) throws {
        let (text, leftOut) = Self.lines(try Self.measurement(), on: topic, #"{"kw": 1}"#)
        #expect(text == head.map { "\($0) kw=1 \(Self.received.nanoseconds)\n" } ?? "")
        #expect(leftOut.tag == (head == nil ? 1 : 0))
    }

    @Test func `what is written reads back, whatever is in names, texts and topics`() throws {
        var random = SplitMix(seed: 7)
        let alphabet = Array("ab,= \\\"{}$'é\t\u{1F600}/\n")
        func word() -> String { String((0..<Int.random(in: 1...6, using: &random)).map { _ in alphabet.randomElement(using: &random)! }) }
        var written = 0
        for _ in 0..<1_000 {
            let (site, name, text) = (word().filter { $0 != "/" }, word(), word())
            let number = Double(bitPattern: .random(in: .min ... .max, using: &random))
            var fields: [Document.Member] = [.init("t", .string(text)), .init(name, .double(number.isFinite ? number : 1))]
            if name == "t" { fields.removeFirst() }
            let payload = Document.object(fields).json
            let topic = "sites/\(site)/m1"
            let (lines, leftOut) = Self.lines(try Self.measurement(strings: .paths(["t"])), on: topic, payload)
            let points = try ParsedPoint.points(Array(lines.utf8))
            func isWritable(_ text: String) -> Bool {
                !text.hasSuffix("\\") && !["\\,", "\\=", "\\ ", "\\\""].contains(where: text.contains) && !text.utf8.contains { $0 < 32 }
            }
            guard site.isEmpty || isWritable(site) else {
                #expect(points.isEmpty && leftOut.tag == 1)
                continue
            }
            let point = try #require(points.first)
            #expect(points.count == 1 && point.measurement == "power" && point.time == Self.received.nanoseconds)
            #expect(point.tags == ["device": "m1", "site": site].filter { !$0.value.isEmpty })
            #expect(point.fields["t"] == (name == "t" ? point.fields["t"] : .text(text)))
            if isWritable(name), name != "t" {
                #expect(point.fields[name] == .number(number.isFinite ? number : 1))
                written += 1
            } else if name != "t" {
                #expect(leftOut.fieldName == 1)
            }
        }
        #expect(written > 200)
    }

    @Test func `a topic that two measurements want gives a point in each, by their policies`() throws {
        var minute = try Self.measurement()
        minute.name = "minute"
        minute.retention = "short"
        let lines = PointLines([try Self.measurement("sites/{rest#}"), minute])
        Array("sites/oslo/m1".utf8).withUnsafeBytes { topic in
            Array("1".utf8).withUnsafeBytes { lines.add(topic: topic, payload: $0, isRetained: false, receivedAt: Self.received) }
        }
        let taken = lines.takeLines()
        #expect(taken.map(\.policy) == [nil, "short"])
        #expect(taken.map { String(decoding: $0.lines.bytes, as: UTF8.self).prefix(12) } == ["power,rest=o", "minute,devic"])
    }
}
