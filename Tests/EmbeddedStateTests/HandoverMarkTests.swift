import EmbeddedState
import Foundation
import Testing

@Suite struct HandoverMarkTests {
    private static func with(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "handover-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private typealias Standing = HandoverMark.Standing

    @Test func `what was begun, ended and closed is read back`() throws {
        try Self.with { folder in
            #expect(HandoverMark.read(in: folder) == nil)
            let mark = try HandoverMark(in: folder, at: 7)
            #expect(HandoverMark.read(in: folder) == Standing(begun: 7, ended: 7, isClosed: false))
            #expect(mark.begin(upTo: 12))
            #expect(HandoverMark.read(in: folder) == Standing(begun: 12, ended: 7, isClosed: false))
            mark.end()
            #expect(HandoverMark.read(in: folder) == Standing(begun: 12, ended: 12, isClosed: false))
            mark.rest()
            #expect(HandoverMark.read(in: folder) == Standing(begun: .max, ended: .max, isClosed: false))
            mark.close(at: 12)
            #expect(HandoverMark.read(in: folder) == Standing(begun: 12, ended: 12, isClosed: true))
            // A later run goes on behind it, whichever slot was the last.
            for position: UInt64 in 20..<25 {
                let next = try HandoverMark(in: folder, at: position)
                #expect(HandoverMark.read(in: folder) == Standing(begun: position, ended: position, isClosed: false))
                if position % 2 == 0 { next.end() }
            }
        }
    }

    @Test func `a write that was torn leaves the one before`() throws {
        try Self.with { folder in
            let mark = try HandoverMark(in: folder, at: 1)
            let before = FileManager.default.contents(atPath: folder + "/handover") ?? Data()
            #expect(mark.begin(upTo: 2))
            var bytes = FileManager.default.contents(atPath: folder + "/handover") ?? Data()
            let place = try #require(bytes.indices.first { $0 >= before.count || bytes[$0] != before[$0] })
            bytes[place] ^= 0xFF
            try bytes.write(to: URL(fileURLWithPath: folder + "/handover"))
            #expect(HandoverMark.read(in: folder) == Standing(begun: 1, ended: 1, isClosed: false))
        }
    }
}
