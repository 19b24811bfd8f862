import OutgoingHTTP
import RuleEngine
import Synchronization

/// The answer to a query, taken in as it comes: with `chunked` a JSON document a line, of some rows of one series.
///
/// A server that does not know `chunked` sends one document; then the line is the whole answer.
final class QueryAnswer: HTTPContentSink {
    struct Limits: Sendable {
        /// Of the whole answer; a single document is no longer than a quarter of it, since it is many times as large once it is read.
        var bytes = 64 << 20
        var rows = 1_000_000
        var series = 100_000
        var longestLine: Int { bytes / 4 }
    }

    private struct State {
        var line: [UInt8] = []
        var bytes = 0
        var rows = 0
        var series: [HistorySeries] = []
        var names: [String] = []
        /// Whether the next document may go on with the last series.
        var isSeriesOpen = false
        var mistake: String?
        /// Whether the mistake is the size: then nothing more is taken.
        var isTooLarge = false
        /// What the server says of the query.
        var error: String?
        /// Whether it said that more follows.
        var isPartial = false
        var isAnswer = false
        /// The beginning, for answers that are no JSON.
        var beginning: [UInt8] = []
    }

    private let state = Mutex(State())
    private let limits: Limits

    init(limits: Limits = Limits()) { self.limits = limits }

    func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            guard !state.isTooLarge else { return false }
            state.bytes += bytes.count
            guard state.bytes <= limits.bytes else { return exceed(&state, "the answer is larger than \(Self.size(limits.bytes))") }
            if state.beginning.count < 1000 { state.beginning += bytes.prefix(1000 - state.beginning.count) }
            // What is no answer is read to its end all the same: its status says more.
            guard state.mistake == nil else { return true }
            var rest = bytes[...]
            while let end = rest.firstIndex(of: 10) {
                state.line += rest[..<end]
                rest = rest[(end + 1)...]
                guard finishLine(&state) else { return !state.isTooLarge }
            }
            state.line += rest
            guard state.line.count <= limits.longestLine else {
                return exceed(&state, "a part of the answer is larger than \(Self.size(limits.longestLine))")
            }
            return true
        }
    }

    private func fail(_ state: inout State, _ mistake: String) -> Bool {
        state.mistake = mistake
        state.series = []
        state.line = []
        return false
    }

    private func exceed(_ state: inout State, _ mistake: String) -> Bool {
        state.isTooLarge = true
        return fail(&state, mistake)
    }

    private static func size(_ bytes: Int) -> String { bytes >= 1 << 20 ? "\(bytes >> 20) MiB" : "\(bytes) bytes" }

    // MARK: Documents

    private func finishLine(_ state: inout State) -> Bool {
        defer { state.line.removeAll(keepingCapacity: true) }
        guard state.line.contains(where: { $0 > 32 }) else { return true }
        guard state.line.count <= limits.longestLine, let document = try? Document(json: state.line, depth: 16) else {
            return fail(&state, "the answer is no JSON")
        }
        guard document.members != nil else { return fail(&state, "the answer is no object") }
        state.isAnswer = true
        // 2.x: {"code":"unauthorized","message":"…"}
        if let error = document["error"]?.string ?? document["message"]?.string { state.error = state.error ?? error }
        for result in document["results"]?.array ?? [] {
            if let error = result["error"]?.string { state.error = state.error ?? error }
            state.isPartial = result["partial"]?.bool ?? false
            for series in result["series"]?.array ?? [] {
                guard take(series, &state) else { return false }
            }
        }
        return true
    }

    private func take(_ document: Document, _ state: inout State) -> Bool {
        let name = document["name"]?.string ?? ""
        guard let columns = document["columns"]?.array, case let names = columns.compactMap(\.string), names.count == columns.count else {
            return fail(&state, "a series of the answer has no columns")
        }
        guard let time = names.firstIndex(of: "time") else { return fail(&state, "a series of the answer has no time") }
        let tags = document["tags"]?.strings ?? [:]
        var own = names
        own.remove(at: time)
        let last = state.series.count - 1
        let goesOn =
            state.isSeriesOpen && last >= 0 && state.names[last] == name && state.series[last].tags == tags
            && state.series[last].columns == own
        if !goesOn {
            guard state.series.count < limits.series else { return exceed(&state, "the answer has more than \(limits.series) series") }
            state.series.append(HistorySeries(tags: tags, columns: own, rows: []))
            state.names.append(name)
        }
        state.isSeriesOpen = document["partial"]?.bool ?? false
        let rows = document["values"]?.array ?? []
        state.rows += rows.count
        guard state.rows <= limits.rows else { return exceed(&state, "the answer has more than \(limits.rows) rows") }
        let place = state.series.count - 1
        for row in rows {
            guard var values = row.array, values.count == names.count, values.allSatisfy(\.isScalar), let at = Self.instant(values[time])
            else {
                return fail(&state, "a row of the answer does not fit its columns")
            }
            values.remove(at: time)
            state.series[place].rows.append(HistoryRow(at: at, values))
        }
        return true
    }

    /// Nanoseconds, or RFC 3339 of a server that does not know `epoch`.
    private static func instant(_ value: Document) -> Instant? {
        switch value {
        case .int(let nanoseconds): Instant(nanoseconds: nanoseconds)
        case .string(let text): Instant(rfc3339: text)
        default: nil
        }
    }

    // MARK: The whole

    enum Outcome {
        case series([HistorySeries])
        /// It broke a bound or is no answer.
        case mistake(String)
        /// What the server says of the query.
        case error(String)
    }

    /// After the last byte.
    func finish() -> Outcome {
        state.withLock { state in
            if state.mistake == nil { _ = finishLine(&state) }
            if let error = state.error { return .error(error) }
            if let mistake = state.mistake { return .mistake(mistake) }
            guard state.isAnswer else { return .mistake("the answer is empty") }
            if state.isPartial || state.isSeriesOpen { return .mistake("the answer ends before its end: the server cut it off") }
            for place in state.series.indices where !state.series[place].isInOrder { state.series[place].rows.sort { $0.at < $1.at } }
            return .series(state.series)
        }
    }

    /// The measurements of the series, in their order.
    var seriesNames: [String] { state.withLock { $0.names } }

    /// What the server said with a status that is no success.
    var said: String {
        _ = finish()
        return state.withLock { state in state.error ?? String(decoding: state.beginning, as: UTF8.self) }
    }

    /// Why the transfer was cut off from here.
    var mistake: String? { state.withLock { $0.mistake } }
}

extension HistorySeries {
    /// `ORDER BY time DESC` turns them around.
    fileprivate var isInOrder: Bool { zip(rows, rows.dropFirst()).allSatisfy { $0.at <= $1.at } }
}

extension Document {
    fileprivate var isScalar: Bool {
        switch self {
        case .null, .bool, .int, .double, .string: true
        case .instant, .array, .object: false
        }
    }
}
