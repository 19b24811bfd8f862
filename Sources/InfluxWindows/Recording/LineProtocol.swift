#if canImport(Glibc)
    import Glibc
#endif

/// Line protocol: `measurement,tag=value field=1,other=true 1700000000000000000`.
///
/// Measurements, keys and tag values are escaped by a backslash before what separates; a backslash before anything else is one. So there is no way to write a line feed in them, nor a
/// backslash that is itself before what separates: `isWritable` says so beforehand.
enum LineProtocol {
    /// Whether a key or a tag's value can be written at all.
    static func isWritable(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let last = text.last, last != UInt8(ascii: "\\") else { return false }
        var previous: UInt8 = 0
        for byte in text {
            // InfluxDB takes a backslash before a quotation mark for an escape in keys, and not in tags.
            if byte < 32 || byte == 127 || previous == UInt8(ascii: "\\") && (separates(byte) || byte == UInt8(ascii: "\"")) {
                return false
            }
            previous = byte
        }
        return true
    }

    private static func separates(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: "=") || byte == UInt8(ascii: " ")
    }

    /// A measurement, a key or the value of a tag.
    static func append(name: UnsafeRawBufferPointer, to line: inout [UInt8]) {
        for byte in name {
            if separates(byte) { line.append(UInt8(ascii: "\\")) }
            line.append(byte)
        }
    }

    static func append(name: String, to line: inout [UInt8]) {
        var name = name
        name.withUTF8 { append(name: UnsafeRawBufferPointer($0), to: &line) }
    }

    /// A text as the value of a field.
    static func append(text: UnsafeRawBufferPointer, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for byte in text {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { line.append(UInt8(ascii: "\\")) }
            line.append(byte)
        }
        line.append(UInt8(ascii: "\""))
    }

    /// A number as a float, whole ones too: a field has one type for ever. Must be finite.
    static func append(_ number: Double, to line: inout [UInt8]) {
        if number == number.rounded(.towardZero), number.magnitude < 1e15, !(number == 0 && number.sign == .minus) {
            return append(Int64(number), to: &line)
        }
        var text = number.description
        text.withUTF8 { line.append(contentsOf: $0) }
    }

    static func append(_ value: Bool, to line: inout [UInt8]) {
        if value { line.append(contentsOf: "true".utf8) } else { line.append(contentsOf: "false".utf8) }
    }

    static func append(_ number: Int64, to line: inout [UInt8]) {
        if number < 0 { line.append(UInt8(ascii: "-")) }
        let start = line.count
        var left = number.magnitude
        repeat {
            line.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: left % 10))
            left /= 10
        } while left > 0
        line[start...].reverse()
    }
}
