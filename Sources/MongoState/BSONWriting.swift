import RuleEngine

/// Documents as BSON (bsonspec.org, version 1.1). Written and read here rather than through libbson's iterators: those live on the C heap, one
/// for each level, and cost a call for each member.
enum BSON {
    /// The limit of the port's contract; MongoDB's own is 16 MiB.
    static let maximumSize = 4 << 20
    /// MongoDB's limit on nesting.
    static let maximumDepth = 100

    enum Kind {
        static let double: UInt8 = 0x01
        static let string: UInt8 = 0x02
        static let object: UInt8 = 0x03
        static let array: UInt8 = 0x04
        static let binary: UInt8 = 0x05
        static let objectID: UInt8 = 0x07
        static let bool: UInt8 = 0x08
        static let date: UInt8 = 0x09
        static let null: UInt8 = 0x0A
        static let symbol: UInt8 = 0x0E
        static let int32: UInt8 = 0x10
        static let int64: UInt8 = 0x12
        static let decimal128: UInt8 = 0x13
    }

    /// `members` as a BSON document.
    static func encode(_ members: [Document.Member]) throws(StoreFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        try append(members: members, to: &bytes, depth: 0)
        return bytes
    }

    /// As `encode`, refusing what is larger than a store keeps.
    static func encodeForStoring(_ members: [Document.Member]) throws(StoreFailure) -> [UInt8] {
        let bytes = try encode(members)
        guard bytes.count <= maximumSize else {
            throw .refused("a document of \(bytes.count) bytes is too large: at most \(maximumSize) can be stored")
        }
        return bytes
    }

    private static func append(members: [Document.Member], to bytes: inout [UInt8], depth: Int) throws(StoreFailure) {
        let start = begin(&bytes)
        for member in members {
            guard !member.name.utf8.contains(0) else { throw .refused("MongoDB cannot store the member name \"\(member.name)\": it has a NUL") }
            try append(member.value, name: member.name, to: &bytes, depth: depth)
        }
        try end(&bytes, from: start)
    }

    private static func append(_ value: Document, name: String, to bytes: inout [UInt8], depth: Int) throws(StoreFailure) {
        guard depth <= maximumDepth else { throw .refused("a document is nested deeper than \(maximumDepth) levels") }
        func head(_ kind: UInt8) {
            bytes.append(kind)
            bytes.append(contentsOf: name.utf8)
            bytes.append(0)
        }
        switch value {
        case .null: head(Kind.null)
        case .bool(let flag):
            head(Kind.bool)
            bytes.append(flag ? 1 : 0)
        case .int(let number):
            // Always 64 bits: what was written as a whole number stays one for every reader.
            head(Kind.int64)
            append(fixed: UInt64(bitPattern: number), to: &bytes)
        case .double(let number):
            head(Kind.double)
            append(fixed: number.bitPattern, to: &bytes)
        case .string(let text):
            head(Kind.string)
            guard let length = Int32(exactly: text.utf8.count + 1) else { throw .refused("a text is too large") }
            append(fixed: length, to: &bytes)
            bytes.append(contentsOf: text.utf8)
            bytes.append(0)
        case .instant(let instant):
            head(Kind.date)
            append(fixed: UInt64(bitPattern: instant.milliseconds), to: &bytes)
        case .array(let elements):
            head(Kind.array)
            let start = begin(&bytes)
            for (index, element) in elements.enumerated() {
                try append(element, name: String(index), to: &bytes, depth: depth + 1)
            }
            try end(&bytes, from: start)
        case .object(let members):
            head(Kind.object)
            try append(members: members, to: &bytes, depth: depth + 1)
        }
    }

    private static func append(fixed value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func begin(_ bytes: inout [UInt8]) -> Int {
        bytes.append(contentsOf: [0, 0, 0, 0])
        return bytes.count - 4
    }

    /// Closes a document and fills in its length.
    private static func end(_ bytes: inout [UInt8], from start: Int) throws(StoreFailure) {
        bytes.append(0)
        guard let length = Int32(exactly: bytes.count - start) else { throw .refused("a document is too large") }
        withUnsafeBytes(of: length.littleEndian) { for (index, byte) in $0.enumerated() { bytes[start + index] = byte } }
    }
}
