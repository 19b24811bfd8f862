import RuleEngine

extension BSON {
    /// Why bytes are no document we can take.
    struct Mistake: Error, CustomStringConvertible {
        var description: String
    }

    /// A BSON document's members. Types that `Document` does not have, which other programs may write, become what says most: an ObjectId its hexadecimal
    /// digits, a decimal its text, binary data Base64, a symbol its text, anything else null. Of several members with one name the first counts.
    /// Invalid UTF-8 is repaired with U+FFFD.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(Mistake) -> [Document.Member] {
        var reader = BSONReader(bytes: bytes)
        let members = try reader.members(depth: 0)
        guard reader.at == bytes.count else { throw Mistake(description: "has bytes behind its end") }
        return members
    }
}

private struct BSONReader {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    let cutOff = BSON.Mistake(description: "is cut off")

    mutating func skip(_ count: Int) throws(BSON.Mistake) -> Range<Int> {
        guard count >= 0, count <= bytes.count - at else { throw cutOff }
        defer { at += count }
        return at..<at + count
    }

    mutating func fixed<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(BSON.Mistake) -> Value {
        let range = try skip(MemoryLayout<Value>.size)
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: Value.self))
    }

    mutating func name() throws(BSON.Mistake) -> String {
        guard let end = bytes[at...].firstIndex(of: 0) else { throw cutOff }
        defer { at = end + 1 }
        return String(decoding: bytes[at..<end], as: UTF8.self)
    }

    mutating func text() throws(BSON.Mistake) -> String {
        let length = Int(try fixed(Int32.self))
        guard length >= 1 else { throw BSON.Mistake(description: "has a text of length \(length)") }
        let range = try skip(length)
        return String(decoding: bytes[range.dropLast()], as: UTF8.self)
    }

    mutating func members(depth: Int) throws(BSON.Mistake) -> [Document.Member] {
        guard depth <= BSON.maximumDepth else { throw BSON.Mistake(description: "is nested deeper than \(BSON.maximumDepth) levels") }
        let start = at
        let length = Int(try fixed(Int32.self))
        guard length >= 5, length <= bytes.count - start else { throw cutOff }
        let end = start + length
        var members: [Document.Member] = []
        while true {
            guard at < end else { throw cutOff }
            let kind = bytes[at]
            at += 1
            if kind == 0 { break }
            let name = try name()
            members.append(Document.Member(name, try value(kind, depth: depth)))
        }
        guard at == end else { throw BSON.Mistake(description: "has a wrong length") }
        return Self.withoutRepeatedNames(members)
    }

    static func withoutRepeatedNames(_ members: [Document.Member]) -> [Document.Member] {
        guard members.count > 1 else { return members }
        var names = Set<[UInt8]>(minimumCapacity: members.count)
        return members.filter { names.insert(Array($0.name.utf8)).inserted }
    }

    mutating func value(_ kind: UInt8, depth: Int) throws(BSON.Mistake) -> Document {
        switch kind {
        case BSON.Kind.double: return .double(Double(bitPattern: try fixed(UInt64.self)))
        case BSON.Kind.string, BSON.Kind.symbol: return .string(try text())
        case BSON.Kind.object: return .object(try members(depth: depth + 1))
        case BSON.Kind.array: return .array(try members(depth: depth + 1).map(\.value))
        case BSON.Kind.binary:
            let length = Int(try fixed(Int32.self))
            _ = try skip(1)
            return .string(Self.base64(bytes[try skip(length)]))
        case BSON.Kind.objectID: return .string(Self.hexadecimal(bytes[try skip(12)]))
        case BSON.Kind.bool: return .bool(bytes[try skip(1).lowerBound] != 0)
        case BSON.Kind.date: return .instant(Instant(milliseconds: try fixed(Int64.self)))
        case BSON.Kind.null: return .null
        case BSON.Kind.int32: return .int(Int64(try fixed(Int32.self)))
        case BSON.Kind.int64: return .int(try fixed(Int64.self))
        case BSON.Kind.decimal128:
            let low = try fixed(UInt64.self)
            return .string(Decimal128(low: low, high: try fixed(UInt64.self)).text)
        default:
            try skipForeign(kind)
            return .null
        }
    }

    /// Types without a value that a rule could read.
    mutating func skipForeign(_ kind: UInt8) throws(BSON.Mistake) {
        switch kind {
        case 0x06, 0x7F, 0xFF: break  // undefined, greatest key, least key
        case 0x0B:  // regular expression: pattern and options
            _ = try name()
            _ = try name()
        case 0x0C:  // pointer: namespace and ObjectId
            _ = try text()
            _ = try skip(12)
        case 0x0D: _ = try text()  // code
        case 0x0F:  // code with scope: its length counts itself
            let length = Int(try fixed(Int32.self))
            _ = try skip(length - 4)
        case 0x11: _ = try skip(8)  // timestamp of replication
        default: throw BSON.Mistake(description: "has a value of unknown type \(kind)")
        }
    }

    static func hexadecimal(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// RFC 4648 §4.
    static func base64(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let group = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << ((3 - group.count) * 8)
            for place in 0..<4 {
                text.append(place <= group.count ? letters[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
