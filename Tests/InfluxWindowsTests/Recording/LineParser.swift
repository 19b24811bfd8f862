/// Reads line protocol as InfluxDB 1.x does, for tests: https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_tutorial/.
struct ParsedPoint: Equatable {
    enum Value: Equatable {
        case number(Double)
        case bool(Bool)
        case text(String)
    }
    var measurement: String
    var tags: [String: String] = [:]
    var fields: [String: Value] = [:]
    var time: Int64

    struct Mistake: Error {
        var description: String
        init(_ description: String) { self.description = description }
    }

    static func points(_ text: [UInt8]) throws -> [ParsedPoint] {
        var parser = Parser(bytes: text)
        var points: [ParsedPoint] = []
        while !parser.isAtEnd { points.append(try parser.point()) }
        return points
    }

    private struct Parser {
        let bytes: [UInt8]
        var at = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { at >= bytes.count }
        func peek() throws -> UInt8 {
            guard at < bytes.count else { throw Mistake("the line ends too early") }
            return bytes[at]
        }
        mutating func take(_ byte: UInt8) throws {
            guard try peek() == byte else { throw Mistake("no \(Character(UnicodeScalar(byte))) at \(at)") }
            at += 1
        }

        mutating func point() throws -> ParsedPoint {
            var point = ParsedPoint(measurement: try name(), time: 0)
            while try peek() == UInt8(ascii: ",") {
                at += 1
                let key = try name()
                try take(UInt8(ascii: "="))
                guard point.tags.updateValue(try name(), forKey: key) == nil else { throw Mistake("tag \(key) twice") }
            }
            try take(UInt8(ascii: " "))
            while true {
                let key = try name()
                try take(UInt8(ascii: "="))
                guard point.fields.updateValue(try value(), forKey: key) == nil else { throw Mistake("field \(key) twice") }
                guard try peek() == UInt8(ascii: ",") else { break }
                at += 1
            }
            try take(UInt8(ascii: " "))
            let end = bytes[at...].firstIndex(of: 10) ?? bytes.count
            guard let time = Int64(String(decoding: bytes[at..<end], as: UTF8.self)) else { throw Mistake("no time at \(at)") }
            point.time = time
            at = end + 1
            return point
        }

        /// Up to what separates; a backslash before that takes it in, before anything else it is itself.
        mutating func name() throws -> String {
            var name: [UInt8] = []
            let separators = Array(",= ".utf8)
            while true {
                let byte = try peek()
                if byte == 10 { throw Mistake("a line feed in a name at \(at)") }
                if separators.contains(byte) { break }
                at += 1
                if byte == UInt8(ascii: "\\"), at < bytes.count, separators.contains(bytes[at]) {
                    name.append(bytes[at])
                    at += 1
                } else {
                    name.append(byte)
                }
            }
            guard !name.isEmpty else { throw Mistake("an empty name at \(at)") }
            return String(decoding: name, as: UTF8.self)
        }

        mutating func value() throws -> Value {
            if try peek() == UInt8(ascii: "\"") { return .text(try quoted()) }
            let start = at
            while ![UInt8(ascii: ","), UInt8(ascii: " ")].contains(try peek()) { at += 1 }
            let text = String(decoding: bytes[start..<at], as: UTF8.self)
            if text == "true" || text == "false" { return .bool(text == "true") }
            guard let number = Double(text), number.isFinite else { throw Mistake("'\(text)' is no value") }
            return .number(number)
        }

        mutating func quoted() throws -> String {
            at += 1
            var text: [UInt8] = []
            while true {
                var byte = try peek()
                at += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                if byte == UInt8(ascii: "\\"), at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "\\") {
                    byte = bytes[at]
                    at += 1
                }
                text.append(byte)
            }
        }
    }
}
