import Foundation
import RuleEngine
import TestSupport
import Testing

/// All fields of a payload, against the way in which `decode` and rules see them.
@Suite struct PayloadScalarsTests {
    private enum Scalar: Equatable {
        case number(Double)
        case bool(Bool)
        case text(String)
    }

    private static func scalars(of payload: [UInt8], _ decoder: PayloadScalars) -> Result<[String: Scalar], DecodeFailure> {
        do throws(DecodeFailure) {
            let failure: DecodeFailure? = payload.withUnsafeBytes { bytes in
                do throws(DecodeFailure) {
                    try decoder.decode(bytes)
                    return nil
                } catch { return error }
            }
            if let failure { throw failure }
            var found: [String: Scalar] = [:]
            for scalar in decoder.scalars {
                let path = decoder.withPath(of: scalar) { String(decoding: $0, as: UTF8.self) }
                found[path] =
                    switch scalar.kind {
                    case .number: .number(scalar.number)
                    case .bool: .bool(scalar.number != 0)
                    case .text: .text(decoder.withText(of: scalar) { String(decoding: $0, as: UTF8.self) })
                    }
            }
            #expect(found.count == decoder.scalars.count)
            return .success(found)
        } catch { return .failure(error) }
    }

    /// The naive way: the whole document, walked.
    private static func flat(_ document: Document, _ path: String = "") -> [String: Scalar] {
        switch document {
        case .object(let members):
            members.reduce(into: [:]) { flat, member in
                let name = path.isEmpty ? member.name : "\(path).\(member.name)"
                flat.merge(Self.flat(member.value, name)) { $1 }
            }
        case .bool(let value): [path: .bool(value)]
        case .int(let value): [path: .number(Double(value))]
        case .double(let value): [path: .number(value)]
        case .string(let text): [path: .text(text)]
        case .null, .instant, .array: [:]
        }
    }

    private static func document(_ random: inout SplitMix, depth: Int = 0) -> Document {
        switch Int.random(in: 0..<(depth < 4 ? 8 : 5), using: &random) {
        case 0: .null
        case 1: .bool(.random(using: &random))
        case 2: .int(.random(in: -1_000_000...1_000_000, using: &random))
        case 3: .double(Double.random(in: -1e9...1e9, using: &random))
        case 4: .string(["", "on", "é\n\"", "{"].randomElement(using: &random)!)
        case 5: .array((0..<2).map { _ in document(&random, depth: depth + 1) })
        default:
            .object(
                ["a", "b c", "d\"\\", "ü", "e"].filter { _ in .random(using: &random) }.map {
                    .init($0, document(&random, depth: depth + 1))
                })
        }
    }

    @Test func `it finds what walking the whole document finds`() throws {
        var random = SplitMix(seed: 11)
        let decoder = PayloadScalars(texts: FieldSelection(.all))
        for _ in 0..<1_000 {
            let payload = Array(Self.document(&random).json.utf8)
            let fields = try PayloadInspection.fields(of: payload, decoder: .automatic).get()
            #expect(try Self.scalars(of: payload, decoder).get() == Self.flat(fields), "\(String(decoding: payload, as: UTF8.self))")
        }
    }

    private static let others = [
        "", " ", "on", "21.5", " true ", "nul", "\"quoted\"", "[1]", "{", "[", "{\"a\":}", "{\"a\":1}x", "1e999", "\u{1}",
        String(repeating: "[", count: 200), String(repeating: "{\"a\":", count: 200),
    ]

    @Test(arguments: others) func `what a payload is, it is for rules and recorder alike`(payload: String) throws {
        let bytes = Array(payload.utf8)
        let mine = Self.scalars(of: bytes, PayloadScalars(texts: FieldSelection(.all)))
        switch PayloadInspection.fields(of: bytes, decoder: .automatic) {
        case .success(let fields): #expect(try mine.get() == Self.flat(fields))
        case .failure(let failure): #expect(throws: failure) { try mine.get() }
        }
    }

    @Test func `bytes that are no text are no reading`() {
        let mine = Self.scalars(of: [0xFF, 0xFE], PayloadScalars())
        #expect(throws: DecodeFailure.utf8) { try mine.get() }
    }

    @Test func `numbers, names and texts beyond the bounds are left out and counted`() throws {
        let decoder = PayloadScalars(texts: FieldSelection(.all))
        let many = "{" + (0..<300).map { "\"f\($0)\":\($0)" }.joined(separator: ",") + "}"
        #expect(try Self.scalars(of: Array(many.utf8), decoder).get().count == PayloadScalars.mostScalars)
        #expect(decoder.leftOut.tooMany == 300 - PayloadScalars.mostScalars)
        let long = #"{"\#(String(repeating: "n", count: 300))": 1, "t": "\#(String(repeating: "x", count: 20_000))", "n": 1e400, "ok": 1}"#
        #expect(try Self.scalars(of: Array(long.utf8), decoder).get() == ["ok": .number(1)])
        #expect(decoder.leftOut.tooLong == 2 && decoder.leftOut.outOfRange == 1)
    }

    @Test func `the stamp is the time of the reading and no field of its own`() throws {
        let received = Instant(nanoseconds: 1_700_000_000_000_000_000)
        let decoder = PayloadScalars(stampPath: "meta.ts")
        #expect(try Self.scalars(of: Array(#"{"meta": {"ts": 1600000000}, "kw": 1}"#.utf8), decoder).get() == ["kw": .number(1)])
        #expect(decoder.measuredAt(receivedAt: received) == Instant(nanoseconds: 1_600_000_000_000_000_000))
        _ = Self.scalars(of: Array(#"{"kw": 1}"#.utf8), decoder)
        #expect(decoder.measuredAt(receivedAt: received) == nil)
    }
}
