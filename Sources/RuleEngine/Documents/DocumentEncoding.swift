/// How documents lie in files and tables of ours: one byte of form, then the value as a tag byte and its content, numbers little-endian, lengths and
/// counts as LEB128. Exact for every value: 64-bit integers, the bits of doubles (NaN, -0), instants in nanoseconds, the order of members.
public enum DocumentEncoding {
    static let form: UInt8 = 1
    /// The limit of the port's contract.
    public static let maximumSize = 4 << 20
    /// MongoDB's limit; the same here, so that a document which one store takes is not refused by the other.
    public static let maximumDepth = 100

    private enum Tag: UInt8 {
        case null, no, yes, int, double, string, instant, array, object
    }

    public static func encode(_ document: Document) throws(StoreFailure) -> [UInt8] {
        var bytes: [UInt8] = [form]
        bytes.reserveCapacity(256)
        try append(document, to: &bytes, depth: 0)
        guard bytes.count <= maximumSize else {
            throw .refused("a document of \(bytes.count) bytes is too large: at most \(maximumSize) can be stored")
        }
        return bytes
    }

    private static func append(_ value: Document, to bytes: inout [UInt8], depth: Int) throws(StoreFailure) {
        guard depth <= maximumDepth else { throw .refused("a document is nested deeper than \(maximumDepth) levels") }
        switch value {
        case .null: bytes.append(Tag.null.rawValue)
        case .bool(let flag): bytes.append((flag ? Tag.yes : Tag.no).rawValue)
        case .int(let number):
            bytes.append(Tag.int.rawValue)
            append(fixed: UInt64(bitPattern: number), to: &bytes)
        case .double(let number):
            bytes.append(Tag.double.rawValue)
            append(fixed: number.bitPattern, to: &bytes)
        case .string(let text):
            bytes.append(Tag.string.rawValue)
            append(text: text, to: &bytes)
        case .instant(let instant):
            bytes.append(Tag.instant.rawValue)
            append(fixed: UInt64(bitPattern: instant.nanoseconds), to: &bytes)
        case .array(let elements):
            bytes.append(Tag.array.rawValue)
            append(length: elements.count, to: &bytes)
            for element in elements { try append(element, to: &bytes, depth: depth + 1) }
        case .object(let members):
            bytes.append(Tag.object.rawValue)
            append(length: members.count, to: &bytes)
            for member in members {
                append(text: member.name, to: &bytes)
                try append(member.value, to: &bytes, depth: depth + 1)
            }
        }
    }

    private static func append(fixed value: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func append(length: Int, to bytes: inout [UInt8]) {
        var rest = UInt(bitPattern: length)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func append(text: String, to bytes: inout [UInt8]) {
        var text = text
        text.withUTF8 {
            append(length: $0.count, to: &bytes)
            bytes.append(contentsOf: $0)
        }
    }

    /// nil for bytes that this form cannot have written (a damaged file).
    public static func decode(_ bytes: UnsafeRawBufferPointer) -> Document? {
        var reader = Reader(bytes: bytes)
        guard reader.byte() == form, let value = reader.value(depth: 0), reader.at == bytes.count else { return nil }
        return value
    }

    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        var at = 0

        mutating func byte() -> UInt8? {
            guard at < bytes.count else { return nil }
            defer { at += 1 }
            return bytes[at]
        }

        mutating func fixed() -> UInt64? {
            guard bytes.count - at >= 8 else { return nil }
            defer { at += 8 }
            return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        }

        /// A length or count: what follows takes at least a byte each, so one beyond the rest of the bytes is a damage.
        mutating func length() -> Int? {
            var value: UInt = 0
            for shift in stride(from: UInt(0), to: 35, by: 7) {
                guard let next = byte() else { return nil }
                value |= UInt(next & 0x7F) << shift
                if next < 0x80 { return value <= UInt(bytes.count - at) ? Int(value) : nil }
            }
            return nil
        }

        mutating func text() -> String? {
            guard let count = length() else { return nil }
            defer { at += count }
            return String(validating: bytes[at..<at + count], as: UTF8.self)
        }

        mutating func value(depth: Int) -> Document? {
            guard depth <= maximumDepth, let tag = byte().flatMap(Tag.init(rawValue:)) else { return nil }
            switch tag {
            case .null: return .null
            case .no: return .bool(false)
            case .yes: return .bool(true)
            case .int: return fixed().map { .int(Int64(bitPattern: $0)) }
            case .double: return fixed().map { .double(Double(bitPattern: $0)) }
            case .string: return text().map { .string($0) }
            case .instant: return fixed().map { .instant(Instant(nanoseconds: Int64(bitPattern: $0))) }
            case .array:
                guard let count = length() else { return nil }
                var elements: [Document] = []
                elements.reserveCapacity(count)
                for _ in 0..<count {
                    guard let element = value(depth: depth + 1) else { return nil }
                    elements.append(element)
                }
                return .array(elements)
            case .object:
                guard let count = length() else { return nil }
                var members: [Document.Member] = []
                for _ in 0..<count {
                    guard let name = text(), let member = value(depth: depth + 1) else { return nil }
                    members.append(Document.Member(name, member))
                }
                return .object(members)
            }
        }
    }
}
