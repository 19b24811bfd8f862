import RuleEngine

/// Readings as points in line protocol. Used by one thread.
///
/// A point is told apart by measurement, tags and time, so that a reading written twice is one point. What was received at the same instant gets times that rise by a nanosecond in the order in which it came.
final class PointLines {
    /// In InfluxDB 1.x `time` cannot be a tag; the others are columns of 2.x.
    static let reservedTags: Set<String> = ["time", "_time", "_field", "_measurement"]

    /// Lines for one request.
    struct Lines {
        var bytes: [UInt8] = []
        var points = 0
        /// When the first of them was received, and the last.
        var from = Instant.distantFuture
        var to = Instant.distantPast
    }

    /// Readings, and fields of readings, that were not recorded, by reason.
    struct LeftOut: Sendable, Equatable {
        var undecodable = 0
        /// Nobody knows when they were measured.
        var retained = 0
        /// The topic has a level that no tag can hold.
        var tag = 0
        var noField = 0
        var outOfRange = 0
        var tooMany = 0
        var tooLong = 0
        /// Field names that line protocol cannot write, or that are a tag's or `time`.
        var fieldName = 0
    }

    private struct Series {
        var measurement: Int
        /// `power,device=m1,site=oslo `; nil when a tag cannot be written.
        var head: [UInt8]?
    }

    private let measurements: [RecorderSettings.Measurement]
    private let decoders: [PayloadScalars]
    private let reservedFields: [[[UInt8]]]
    private var trie = TopicTrie<Int>()
    /// What is made of a topic, for those seen last.
    private var series: [[UInt8]: [Series]] = [:]
    private static let mostSeries = 200_000

    /// By retention policy; nil the default one.
    private(set) var lines: [String?: Lines] = [:]
    private(set) var leftOut = LeftOut()

    init(_ measurements: [RecorderSettings.Measurement]) {
        self.measurements = measurements
        decoders = measurements.map { PayloadScalars(fields: $0.fields, texts: $0.texts, stampPath: $0.timeField) }
        reservedFields = measurements.map { measurement in (measurement.topic.captures + ["time"]).map { Array($0.utf8) } }
        for (place, measurement) in measurements.enumerated() { trie.insert(measurement.topic, place) }
    }

    /// The most points that one policy's lines have, and their bytes.
    var fullness: (points: Int, bytes: Int) {
        lines.values.reduce((0, 0)) { (max($0.0, $1.points), max($0.1, $1.bytes.count)) }
    }

    var isEmpty: Bool { lines.values.allSatisfy { $0.points == 0 } }

    func takeLines() -> [(policy: String?, lines: Lines)] {
        defer { lines = [:] }
        return lines.filter { $0.value.points > 0 }.map { ($0.key, $0.value) }.sorted { ($0.policy ?? "") < ($1.policy ?? "") }
    }

    // MARK: Readings

    /// Adds the points of one message.
    func add(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, isRetained: Bool, receivedAt: Instant) {
        for series in self.series(of: topic) {
            let measurement = measurements[series.measurement]
            let decoder = decoders[series.measurement]
            guard let head = series.head else {
                leftOut.tag += 1
                continue
            }
            do throws(DecodeFailure) { try decoder.decode(payload, isText: measurement.isText) } catch {
                leftOut.undecodable += 1
                continue
            }
            note(decoder.leftOut)
            let stamp = decoder.measuredAt(receivedAt: receivedAt).flatMap { Self.isWritable($0) ? $0 : nil }
            guard stamp != nil || !isRetained else {
                leftOut.retained += 1
                continue
            }
            add(decoder, head, series.measurement, at: stamp ?? receivedAt, receivedAt: receivedAt)
        }
    }

    /// The ends of what 64 bits hold mean something else to InfluxDB.
    private static func isWritable(_ instant: Instant) -> Bool { instant.nanoseconds > .min + 2 && instant.nanoseconds < .max - 1 }

    private func note(_ decoded: PayloadScalars.LeftOut) {
        leftOut.outOfRange += decoded.outOfRange
        leftOut.tooMany += decoded.tooMany
        leftOut.tooLong += decoded.tooLong
    }

    private func add(_ decoder: PayloadScalars, _ head: [UInt8], _ measurement: Int, at instant: Instant, receivedAt: Instant) {
        let policy = measurements[measurement].retention
        var fields = 0
        // In place: the lines of a policy are one long array.
        func write(_ lines: inout Lines) {
            let start = lines.bytes.count
            lines.bytes += head
            for scalar in decoder.scalars where append(scalar, decoder, measurement, isFirst: fields == 0, to: &lines.bytes) { fields += 1 }
            guard fields > 0 else { return lines.bytes.removeSubrange(start...) }
            lines.bytes.append(UInt8(ascii: " "))
            LineProtocol.append(instant.nanoseconds, to: &lines.bytes)
            lines.bytes.append(UInt8(ascii: "\n"))
            lines.points += 1
            lines.from = min(lines.from, receivedAt)
            lines.to = max(lines.to, receivedAt)
        }
        write(&lines[policy, default: Lines()])
        if fields == 0 { leftOut.noField += 1 }
    }

    /// False when it cannot be a field.
    private func append(
        _ scalar: PayloadScalar, _ decoder: PayloadScalars, _ measurement: Int, isFirst: Bool, to line: inout [UInt8]
    ) -> Bool {
        let isNamed = decoder.withPath(of: scalar) { path in
            guard LineProtocol.isWritable(path), !reservedFields[measurement].contains(where: { $0.elementsEqual(path) }) else {
                return false
            }
            if !isFirst { line.append(UInt8(ascii: ",")) }
            LineProtocol.append(name: path, to: &line)
            line.append(UInt8(ascii: "="))
            return true
        }
        guard isNamed else {
            leftOut.fieldName += 1
            return false
        }
        switch scalar.kind {
        case .number: LineProtocol.append(scalar.number, to: &line)
        case .bool: LineProtocol.append(scalar.number != 0, to: &line)
        case .text: decoder.withText(of: scalar) { LineProtocol.append(text: $0, to: &line) }
        }
        return true
    }

    // MARK: Series

    private func series(of topic: UnsafeRawBufferPointer) -> [Series] {
        let key = [UInt8](topic)
        if let known = series[key] { return known }
        if series.count >= Self.mostSeries { series.removeAll(keepingCapacity: true) }
        let made = makeSeries(String(decoding: topic, as: UTF8.self))
        series[key] = made
        return made
    }

    private func makeSeries(_ topic: String) -> [Series] {
        var found: [Int] = []
        trie.match(topic) { found.append($0) }
        return found.sorted().map { Series(measurement: $0, head: head(measurements[$0], topic)) }
    }

    /// Tags in the order of their names, as InfluxDB keeps them.
    private func head(_ measurement: RecorderSettings.Measurement, _ topic: String) -> [UInt8]? {
        var head: [UInt8] = []
        LineProtocol.append(name: measurement.name, to: &head)
        for (name, value) in (measurement.topic.captures(in: topic) ?? []).sorted(by: { $0.name < $1.name }) where !value.isEmpty {
            guard Array(value.utf8).withUnsafeBytes(LineProtocol.isWritable) else { return nil }
            head.append(UInt8(ascii: ","))
            LineProtocol.append(name: name, to: &head)
            head.append(UInt8(ascii: "="))
            LineProtocol.append(name: value, to: &head)
        }
        head.append(UInt8(ascii: " "))
        return head
    }
}
