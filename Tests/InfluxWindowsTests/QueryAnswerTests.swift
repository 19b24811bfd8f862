import RuleEngine
import Testing

@testable import InfluxWindows

/// Answers as InfluxDB sends them, and as nobody should.
@Suite struct QueryAnswerTests {
    /// Takes a text in pieces.
    static func read(_ text: String, pieces: Int = .max, limits: QueryAnswer.Limits = .init()) -> QueryAnswer.Outcome {
        let answer = QueryAnswer(limits: limits)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(piece.count)
            guard piece.withUnsafeBytes({ answer.take($0) }) else { break }
        }
        return answer.finish()
    }

    static func series(_ outcome: QueryAnswer.Outcome) -> [HistorySeries]? { if case .series(let series) = outcome { series } else { nil } }
    static func mistake(_ outcome: QueryAnswer.Outcome) -> String? { if case .mistake(let text) = outcome { text } else { nil } }

    static let chunked = """
        {"results":[{"statement_id":0,"series":[{"name":"m","tags":{"site":"oslo"},"columns":["time","kw","on"],"values":[[1,1.5,true],[2,null,false]],"partial":true}],"partial":true}]}
        {"results":[{"statement_id":0,"series":[{"name":"m","tags":{"site":"oslo"},"columns":["time","kw","on"],"values":[[3,7,null]]}],"partial":true}]}
        {"results":[{"statement_id":0,"series":[{"name":"m","tags":{"site":"b\\u00fc\\"r"},"columns":["time","kw","on"],"values":[[1700000000123456789,-2,true]]}]}]}

        """

    @Test(arguments: [1, 2, 7, 100, Int.max]) func `chunks go on with their series, however they are cut`(_ pieces: Int) {
        let found = Self.series(Self.read(Self.chunked, pieces: pieces))
        #expect(
            found == [
                HistorySeries(
                    tags: ["site": "oslo"], columns: ["kw", "on"],
                    rows: [
                        HistoryRow(at: Instant(nanoseconds: 1), [1.5, true]), HistoryRow(at: Instant(nanoseconds: 2), [.null, false]),
                        HistoryRow(at: Instant(nanoseconds: 3), [7, .null]),
                    ]),
                HistorySeries(
                    tags: ["site": "bü\"r"], columns: ["kw", "on"],
                    rows: [HistoryRow(at: Instant(nanoseconds: 1_700_000_000_123_456_789), [-2, true])]),
            ])
    }

    @Test func `one document without a line end is an answer too, and so is one without series`() {
        let whole =
            #"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","kw"],"values":[["2020-01-01T00:00:00Z",1]]}]}]}"#
        #expect(Self.series(Self.read(whole))?.first?.rows.first?.at == Instant(rfc3339: "2020-01-01T00:00:00Z"))
        #expect(Self.series(Self.read(#"{"results":[{"statement_id":0}]}"#)) == [])
    }

    @Test func `rows that come newest first are put in order`() {
        let text = #"{"results":[{"series":[{"name":"m","columns":["time","kw"],"values":[[3,1],[2,2],[1,3]]}]}]}"#
        #expect(Self.series(Self.read(text))?.first?.rows.map(\.at.nanoseconds) == [1, 2, 3])
    }

    @Test func `what the server says of a query is told`() {
        for text in [
            #"{"results":[{"statement_id":0,"error":"database not found: x"}]}"#, #"{"error":"database not found: x"}"#,
            #"{"code":"not found","message":"database not found: x"}"#,
        ] {
            guard case .error("database not found: x") = Self.read(text) else {
                Issue.record("\(text)")
                continue
            }
        }
    }

    @Test(arguments: [
        ("", "empty"), ("\n\n", "empty"), ("nonsense", "no JSON"), ("[1]", "no object"), (#"{"results":"#, "no JSON"),
        (#"{"results":[{"series":[{"name":"m","values":[[1,2]]}]}]}"#, "no columns"),
        (#"{"results":[{"series":[{"columns":["time",7],"values":[[1,2]]}]}]}"#, "no columns"),
        (#"{"results":[{"series":[{"columns":["kw"],"values":[[1]]}]}]}"#, "no time"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1]]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1,2,3]]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[["soon",2]]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1.5,2]]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1,[2]]]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[7]}]}]}"#, "does not fit"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1,2]]}],"partial":true}]}"#, "before its end"),
        (#"{"results":[{"series":[{"columns":["time","kw"],"values":[[1,1e999]]}]}]}"#, "no JSON"),
        (String(repeating: "[", count: 100_000), "no JSON"),
    ]) func `what is no answer is a mistake and no trap`(_ text: String, _ says: String) {
        let mistake = Self.mistake(Self.read(text))
        #expect(mistake?.contains(says) == true, "\(mistake ?? "no mistake")")
    }

    @Test func `an answer is bounded in bytes, parts, rows and series`() {
        var limits = QueryAnswer.Limits()
        limits.bytes = 4096
        #expect(Self.mistake(Self.read(String(repeating: "x", count: 2000), pieces: 100, limits: limits))?.contains("part") == true)
        let line = #"{"results":[{"series":[{"name":"m","columns":["time","kw"],"values":[[1,2]]}],"partial":true}]}"# + "\n"
        #expect(Self.mistake(Self.read(String(repeating: line, count: 100), pieces: 64, limits: limits))?.contains("larger") == true)
        limits = QueryAnswer.Limits()
        limits.series = 10
        #expect(Self.mistake(Self.read(String(repeating: line, count: 11), limits: limits)) == "the answer has more than 10 series")
        limits.series = 100
        limits.rows = 10
        #expect(Self.mistake(Self.read(String(repeating: line, count: 11), limits: limits)) == "the answer has more than 10 rows")
    }

    @Test(arguments: 0..<300) func `a damaged answer never ends the program`(_ seed: UInt64) {
        var random = Seeded(state: seed &* 0x9e37_79b9_7f4a_7c15 &+ 1)
        var bytes = Array(Self.chunked.utf8)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(place..<min(bytes.count, place + 20))
            default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 30)], at: place)
            }
        }
        let answer = QueryAnswer()
        _ = bytes.withUnsafeBytes { answer.take($0) }
        if case .series(let series) = answer.finish() {
            #expect(series.allSatisfy { one in one.rows.allSatisfy { $0.values.count == one.columns.count } })
        }
        _ = answer.said
    }
}

/// SplitMix64.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
