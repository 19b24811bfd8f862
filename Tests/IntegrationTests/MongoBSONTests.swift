import RuleEngine
import TestSupport
import Testing

@testable import MongoState

@Suite struct MongoBSONTests {
    static let sample: [Document.Member] = [
        .init("text", "ü"), .init("list", [1, 2.5, .null, true, .instant(Instant(milliseconds: 7))]),
        .init("in", ["in": ["deep": .int(.min)]]), .init("", .emptyObject),
    ]

    static func decode(_ bytes: [UInt8]) throws -> Document { .object(try bytes.withUnsafeBytes { try BSON.decode($0) }) }

    /// A BSON document of one element named `v`.
    static func one(_ kind: UInt8, _ content: [UInt8]) -> [UInt8] {
        let length = UInt8(4 + 3 + content.count + 1)
        return [length, 0, 0, 0, kind, UInt8(ascii: "v"), 0] + content + [0]
    }

    @Test func `bytes come back as the document`() throws {
        #expect(try Self.decode(try BSON.encode(Self.sample)) == .object(Self.sample))
    }

    @Test(
        arguments: [
            (0x10, [0xFE, 0xFF, 0xFF, 0xFF], -2),
            (0x07, [0x50, 0x7F, 0x1F, 0x77, 0xBC, 0xF8, 0x6C, 0xD7, 0x99, 0x43, 0x90, 0x11], "507f1f77bcf86cd799439011"),
            (0x05, [5, 0, 0, 0, 0, 0x68, 0x65, 0x6C, 0x6C, 0x6F], "aGVsbG8="),
            (0x05, [0, 0, 0, 0, 0], ""),
            (0x0E, [2, 0, 0, 0, 0x61, 0], "a"),
            (0x02, [3, 0, 0, 0, 0x61, 0xFF, 0], "a\u{FFFD}"),
            (0x13, [15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3E, 0x30], "1.5"),
            (0x13, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xB0], "-1"),
            (0x13, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7C], "NaN"),
            (0x13, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF8], "-Infinity"),
            (0x09, [0, 0, 0, 0, 0, 0, 0, 0x80], .instant(.distantPast)),
            (0x06, [], .null), (0xFF, [], .null), (0x7F, [], .null), (0x11, [1, 2, 3, 4, 5, 6, 7, 8], .null),
            (0x0B, [0x61, 0, 0x69, 0], .null), (0x0D, [2, 0, 0, 0, 0x61, 0], .null),
            (0x0F, [15, 0, 0, 0, 2, 0, 0, 0, 0x61, 0, 5, 0, 0, 0, 0], .null),
        ] as [(UInt8, [UInt8], Document)])
    func `types of other programs become what says most`(_ kind: UInt8, _ content: [UInt8], _ wanted: Document) throws {
        #expect(try Self.decode(Self.one(kind, content)) == ["v": wanted])
    }

    @Test func `of members with one name the first counts`() throws {
        let twice: [UInt8] = [0x11, 0, 0, 0, 0x08, 0x61, 0, 1, 0x08, 0x62, 0, 1, 0x08, 0x61, 0, 0, 0]
        #expect(try Self.decode(twice) == ["a": true, "b": true])
    }

    @Test func `bytes that were cut off are refused`() throws {
        let bytes = try BSON.encode(Self.sample)
        for length in 0..<bytes.count { #expect(throws: BSON.Mistake.self) { try Self.decode(Array(bytes.prefix(length))) } }
        #expect(throws: BSON.Mistake.self) { try Self.decode(bytes + [0]) }
    }

    @Test func `damaged bytes are a document or an error, and never a crash`() throws {
        let bytes = try BSON.encode(Self.sample)
        var refused = 0
        for place in bytes.indices {
            for value: UInt8 in [0, 1, 4, 0x0F, 0x7F, 0x80, 0xFF] {
                var damaged = bytes
                damaged[place] = value
                do { _ = try Self.decode(damaged) } catch { refused += 1 }
            }
        }
        #expect(refused > bytes.count)
    }

    @Test func `nesting beyond the limit is refused both ways`() throws {
        let deep = (0..<200).reduce(Document.int(1)) { inner, _ in [inner] }
        #expect(throws: StoreFailure.self) { try BSON.encode([.init("v", deep)]) }
        var bytes: [UInt8] = [5, 0, 0, 0, 0]
        for _ in 0..<200 {
            let length = UInt32(bytes.count + 8)
            bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + [0x03, UInt8(ascii: "v"), 0] + bytes + [0]
        }
        #expect(throws: BSON.Mistake.self) { try Self.decode(bytes) }
    }

    @Test func `a NUL in a member's name is refused`() {
        #expect(throws: StoreFailure.self) { try BSON.encode([.init("a\u{0}b", 1)]) }
    }
}
