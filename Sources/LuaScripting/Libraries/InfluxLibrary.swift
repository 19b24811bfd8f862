internal import RuleEngine

/// `influx.query` and `influx.write`, through the InfluxDB of the configuration.
extension AutomationRuntime {
    private static let longestQuery = 65_536
    private static let mostFields = 1000

    func defineInflux(_ automation: Automation) {
        define(automation, "influx.query") { runtime, automation, call in
            guard let text = call[0].text else { return .raise("wants a query in InfluxQL") }
            if let mistake = Self.mistake(inQuery: text) { return .raise(mistake) }
            return runtime.ask(.query(text), automation, call)
        }
        define(automation, "influx.write") { runtime, automation, call in
            do throws(ArgumentMistake) {
                return runtime.ask(.write(try Self.point(call, at: runtime.now)), automation, call)
            } catch { return .raise(error.message) }
        }
    }

    private static func point(_ call: LuaCall, at now: Instant) throws(ArgumentMistake) -> SeriesPoint {
        guard let measurement = call[0].text, !measurement.isEmpty else { throw ArgumentMistake("wants a measurement's name first") }
        guard let members = call[2].members, !members.isEmpty, members.count <= mostFields else {
            throw ArgumentMistake("wants a table of fields, at least one and at most \(mostFields)")
        }
        let fields = try members.map { member throws(ArgumentMistake) -> Document.Member in
            switch member.value {
            case .bool, .int, .string: Document.Member(member.name, member.value.document)
            case .double(let number) where number.isFinite: Document.Member(member.name, .double(number))
            default: throw ArgumentMistake("the field '\(member.name)' must be a finite number, a bool or a text")
            }
        }
        let tags = try call[1].texts("tags").filter { !$0.value.isEmpty }
        for text in [measurement] + tags.keys + tags.values + fields.map(\.name)
        where text.isEmpty || text.utf8.contains(where: { $0 < 32 }) {
            throw ArgumentMistake("names and tags must not be empty or hold control characters")
        }
        return SeriesPoint(measurement: measurement, tags: tags, fields: fields, at: now)
    }

    /// A query only reads: one SELECT, without INTO.
    private static func mistake(inQuery text: String) -> String? {
        guard text.utf8.count <= longestQuery else { return "the query has more than \(longestQuery) bytes" }
        let words = queryWords(text)
        guard words.first == "SELECT" else { return "the query must be a SELECT statement" }
        if words.dropLast(words.last == ";" ? 1 : 0).contains(";") { return "the query must be one statement" }
        return words.contains("INTO") ? "the query only reads: it takes no INTO" : nil
    }

    /// The words outside quotes and comments, in capitals, and every `;`.
    private static func queryWords(_ text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        var quote: UInt8?
        var bytes = Array(text.utf8)[...]
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20 >= 97 && byte | 0x20 <= 122) || byte == 95 }
        func end() {
            if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self).uppercased()) }
            word = []
        }
        while let byte = bytes.popFirst() {
            if let open = quote {
                if byte == UInt8(ascii: "\\") { _ = bytes.popFirst() } else if byte == open { quote = nil }
            } else if isLetter(byte) {
                word.append(byte)
            } else {
                end()
                switch byte {
                case UInt8(ascii: "'"), UInt8(ascii: "\""): quote = byte
                case UInt8(ascii: ";"): words.append(";")
                case UInt8(ascii: "-") where bytes.first == UInt8(ascii: "-"): bytes = bytes.drop { $0 != 10 }
                case UInt8(ascii: "/") where bytes.first == UInt8(ascii: "*"): skipComment(&bytes)
                default: break
                }
            }
        }
        end()
        return words
    }

    private static func skipComment(_ bytes: inout ArraySlice<UInt8>) {
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "*"), bytes.first == UInt8(ascii: "/") { break }
        }
    }
}
