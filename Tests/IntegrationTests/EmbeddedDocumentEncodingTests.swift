import RuleEngine
import TestSupport
import Testing

@testable import EmbeddedState

@Suite struct EmbeddedDocumentEncodingTests {
    static let sample: Document = [
        "text": "ü", "list": [1, 2.5, .null, true, .instant(Instant(nanoseconds: 7))], "in": ["in": ["deep": .int(.min)]], "": .emptyObject,
    ]

    static func decode(_ bytes: [UInt8]) -> Document? { bytes.withUnsafeBytes { DocumentEncoding.decode($0) } }

    @Test func `bytes come back as the document`() throws {
        #expect(Self.decode(try DocumentEncoding.encode(Self.sample)) == Self.sample)
    }

    @Test func `bytes that were cut off are no document`() throws {
        let bytes = try DocumentEncoding.encode(Self.sample)
        for length in 0..<bytes.count { #expect(Self.decode(Array(bytes.prefix(length))) == nil) }
        #expect(Self.decode(bytes + [0]) == nil)
    }

    @Test func `damaged bytes are a document or none, and never a crash`() throws {
        let bytes = try DocumentEncoding.encode(Self.sample)
        var different = 0
        for place in bytes.indices {
            for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF] {
                var damaged = bytes
                damaged[place] = value
                if Self.decode(damaged) != Self.sample { different += 1 }
            }
        }
        #expect(different > bytes.count)
    }
}
