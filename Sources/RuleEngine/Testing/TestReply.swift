/// What the outside answers a script in a test, from an instant on.
public struct TestReply: Sendable {
    public enum Asked: Sendable {
        /// Nil: any method. An address that ends with `*` stands for all that begin so.
        case http(method: String?, url: String)
        /// The text of a query, spaces aside, and the tags that it groups by.
        case query(String, tags: [String])
        /// What is written to a measurement.
        case write(measurement: String)
    }
    public enum Content: Sendable {
        case response(status: Int, headers: [(name: String, value: String)], body: [UInt8])
        /// Members of each row, and how long ago it is.
        case rows([TestAnswer.Row])
        case failed(String)
    }
    public var asked: Asked
    /// Nanoseconds since the test's start.
    public var at: Int64
    public var content: Content

    public init(_ asked: Asked, at: Int64, _ content: Content) {
        self.asked = asked
        self.at = at
        self.content = content
    }

    func answers(_ request: ScriptRequest) -> Bool {
        switch (asked, request) {
        case (.http(let method, let url), .http(let call)):
            return method.map { $0 == call.method } ?? true && (url.hasSuffix("*") ? call.url.hasPrefix(url.dropLast()) : call.url == url)
        case (.query(let text, _), .query(let asked)): return Self.words(text) == Self.words(asked)
        case (.write(let measurement), .write(let point)): return measurement == point.measurement
        default: return false
        }
    }

    private static func words(_ text: String) -> [Substring] { text.split { $0.isWhitespace } }

    /// The answer at an instant.
    func answer(at instant: Instant) -> ScriptAnswer {
        switch content {
        case .failed(let reason): return .failed(reason)
        case .response(let status, let headers, let body): return .response(status: status, headers: headers, body: body)
        case .rows(let rows): return .value(.array(series(rows, at: instant)))
        }
    }

    /// A series for each of the values that the rows have of the query's tags.
    private func series(_ rows: [TestAnswer.Row], at instant: Instant) -> [Document] {
        var tags: [String] = []
        if case .query(_, let grouped) = asked { tags = grouped }
        var series: [(tags: [Document.Member], rows: [Document])] = []
        for row in rows {
            let own = row.members.filter { tags.contains($0.name) }
            let time = Document.Member("time", .double((instant + -(row.ago ?? 0)).secondsSince1970))
            let place = series.firstIndex { $0.tags == own } ?? series.count
            if place == series.count { series.append((own, [])) }
            series[place].rows.append(.object([time] + row.members.filter { !tags.contains($0.name) }))
        }
        return series.map { ["name": "", "tags": .object($0.tags), "rows": .array($0.rows)] }
    }
}

extension Instant {
    fileprivate var secondsSince1970: Double { Double(nanoseconds) / 1e9 }
}

/// The replies of a test.
struct TestOutside {
    private let replies: [TestReply]
    private let start: Instant

    init(_ replies: [TestReply], start: Instant) {
        self.replies = replies.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
        self.start = start
    }

    /// Nil when the test says nothing of it. What is written is taken unless the test says otherwise.
    func answer(_ request: ScriptRequest, at instant: Instant) -> ScriptAnswer? {
        if let reply = replies.last(where: { start + $0.at <= instant && $0.answers(request) }) { return reply.answer(at: instant) }
        if case .write = request { return .done }
        return nil
    }
}
