import DurableFiles
import Foundation
import Glibc
import Logging
import RuleEngine
import Synchronization
import TestSupport
import Testing

@testable import EmbeddedState

/// The journal's files: order, crashes, damage, a full disk.
@Suite struct JournalTests {
    @Test func `who asks whether something is on the disk after the end does not wait for ever`() async throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let journal = try InputJournal(path: path, after: 0, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let position = journal.append(Self.batch(1), at: Self.instant(1))
        journal.close()
        await journal.durable(position)
        await journal.durable(position + 1)
        #expect(!journal.wait(for: position + 1, atMost: .milliseconds(1)))
    }

    @Test func `a folder that is removed takes nothing that would be nowhere, and it goes on when there is one again`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.with(path: path) { journal in
            #expect(journal.wait(for: journal.append(Self.batch(1), at: Self.instant(1)), atMost: .seconds(60)))
            try FileManager.default.removeItem(atPath: path)
            let position = journal.append(Self.batch(2), at: Self.instant(2))
            while journal.unreadyReason == nil { _ = journal.wait(for: position, atMost: .milliseconds(10)) }
            #expect(!journal.hasRoom && !journal.wait(for: position, atMost: .milliseconds(1)))
            let file = CheckpointFile(position: position, instant: Self.instant(2), isJournaled: true, rules: "r")
            #expect(throws: JournalFailure.self) { try CheckpointWriting(file, in: path) }
            #expect(!FileManager.default.fileExists(atPath: path))
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            #expect(journal.wait(for: position, atMost: .seconds(60)) && journal.unreadyReason == nil)
        }
        #expect(try Self.read(path).positions == [2])
    }

    static func folder() -> String { NSTemporaryDirectory() + "journal-\(UUID().uuidString)" }

    static func with(
        _ settings: InputJournal.Settings = .init(), after last: UInt64 = 0, path: String, _ body: (InputJournal) throws -> Void
    ) throws {
        let journal = try InputJournal(
            path: path, settings: settings, after: last, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        defer { journal.close() }
        try body(journal)
    }

    static func batch(_ number: Int, size: Int = 20) -> EngineInput {
        var batch = MessageBatch()
        batch.append(
            topic: "t/\(number)", payload: [UInt8](repeating: UInt8(number & 0xFF), count: size), packetID: UInt16(number & 0xFFFF), qos: 1,
            flags: .duplicate)
        return .readings(batch)
    }

    static func instant(_ number: Int) -> Instant { Instant(nanoseconds: Int64(number) * 1_000) }

    /// Positions and topics of what is there.
    static func read(_ path: String, from position: UInt64 = 0, repairing: Bool = false) throws -> (
        positions: [UInt64], reading: JournalReading
    ) {
        let reading = try JournalReading(path: path, from: position, repairing: repairing)
        var positions: [UInt64] = []
        try reading.forEach(after: position) { record in
            positions.append(record.position)
            guard case .input(.readings(let batch))? = EngineInput.decode(record.content), let entry = batch.entries.first else {
                return true
            }
            let topic = String(decoding: batch.bytes[entry.start..<entry.start + entry.topicLength], as: UTF8.self)
            #expect(topic == "t/\(record.position)" && record.instant == Self.instant(Int(record.position)))
            #expect(entry.packetID == UInt16(record.position & 0xFFFF) && entry.qos == 1 && entry.flags == .duplicate)
            return true
        }
        return (positions, reading)
    }

    static func write(_ range: ClosedRange<Int>, to path: String, segmentSize: Int = 64 << 20, size: Int = 20) throws {
        try with(.init(segmentSize: segmentSize), after: UInt64(range.lowerBound - 1), path: path) { journal in
            for number in range {
                let position = journal.append(batch(number, size: size), at: instant(number))
                // Several writes, each synchronized: later ones call the earlier safe.
                if number % 10 == 0 { #expect(journal.wait(for: position, atMost: .seconds(10))) }
            }
        }
    }

    static func segments(_ path: String) throws -> [String] { try JournalFolder(path).segments().map(\.path) }

    @Test func `everything comes back in order, over several segments and starts`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...200, to: path, segmentSize: 4096)
        try Self.write(201...300, to: path, segmentSize: 4096)
        #expect(try Self.segments(path).count > 3)
        let (positions, reading) = try Self.read(path)
        #expect(positions == Array(1...300))
        #expect(reading.last == 300 && reading.remarks.isEmpty)
        #expect(try Self.read(path, from: 250).positions == Array(251...300))
    }

    @Test func `what waits is told when it is safe, and closing writes the rest`() async throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let journal = try InputJournal(path: path, after: 0, logger: Logger(label: "test"))
        let position = journal.append(Self.batch(1), at: Self.instant(1))
        await journal.durable(position)
        #expect(try Self.read(path).positions == [1])
        _ = journal.append(Self.batch(2), at: Self.instant(2))
        journal.close()
        #expect(try Self.read(path).positions == [1, 2])
    }

    @Test(arguments: [1, 5, 11, 12, 30, 60]) func `a torn tail is cut at the last whole record`(_ torn: Int) throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...10, to: path)
        try Self.write(11...11, to: path)
        let last = try #require(try Self.segments(path).last)
        let size = try #require(try FileManager.default.attributesOfItem(atPath: last)[.size] as? Int)
        truncate(last, off_t(size - torn))
        let (positions, reading) = try Self.read(path)
        #expect(positions == Array(1...10))
        #expect(reading.last == 10)
        #expect(torn >= size - 16 || reading.remarks.count == 1)
        // The number is given out again, to what comes instead of it.
        try Self.write(11...20, to: path)
        #expect(try Self.read(path).positions == Array(1...20))
    }

    @Test func `reserved space that was never written is no damage`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...10, to: path)
        let last = try #require(try Self.segments(path).last)
        let size = try #require(try FileManager.default.attributesOfItem(atPath: last)[.size] as? Int)
        truncate(last, off_t(size + 100_000))
        #expect(try Self.read(path).positions == Array(1...10))
        try Self.write(11...20, to: path)
        #expect(try Self.read(path).positions == Array(1...20))
    }

    /// Changes a byte in the body of record 5, which later records call safe.
    private static func damage(_ path: String) throws {
        let first = try #require(try segments(path).first)
        var bytes = Array(try #require(FileManager.default.contents(atPath: first)))
        let place = bytes.withUnsafeBytes { bytes -> Int? in
            var at = JournalFolder.segmentHeader.count
            while let record = JournalRecord.find(in: bytes, at: at) {
                if record.position == 5 { return record.content.lowerBound + 3 }
                at = record.end
            }
            return nil
        }
        bytes[try #require(place)] ^= 0x40
        try Data(bytes).write(to: URL(fileURLWithPath: first))
    }

    @Test func `damage in the middle stops the start, names the place, and can be gone over`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...40, to: path)
        try Self.damage(path)
        let failure = #expect(throws: JournalFailure.self) { try JournalReading(path: path, from: 0, repairing: false) }
        let text = failure?.description ?? ""
        #expect(text.contains("input 5 is lost") && text.contains("--repair") && text.contains("segment-"), "\(text)")
        let (positions, reading) = try Self.read(path, repairing: true)
        #expect(positions == Array(1...4) + Array(6...40))
        #expect(reading.remarks.count == 1 && reading.remarks[0].contains("input 5 is lost"))
    }

    @Test func `damage before what is needed is nobody's business`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...40, to: path, segmentSize: 1024)
        try Self.damage(path)
        let (positions, _) = try Self.read(path, from: 35)
        #expect(positions == Array(36...40))
    }

    @Test func `a segment that is missing is damage`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...100, to: path, segmentSize: 1024)
        let segments = try Self.segments(path)
        unlink(segments[segments.count / 2])
        let failure = #expect(throws: JournalFailure.self) { try JournalReading(path: path, from: 0, repairing: false) }
        #expect(failure?.description.contains("are lost") ?? false, "\(failure?.description ?? "")")
    }

    @Test func `a first segment that was cut down to its header is damage`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...40, to: path, segmentSize: 1024)
        let segments = try Self.segments(path)
        #expect(truncate(segments[0], off_t(JournalFolder.segmentHeader.count)) == 0)
        let failure = #expect(throws: JournalFailure.self) { try JournalReading(path: path, from: 0, repairing: false) }
        #expect(failure?.description.contains("inputs 1 to ") ?? false, "\(failure?.description ?? "")")
        let (positions, reading) = try Self.read(path, repairing: true)
        #expect(positions.last == 40 && reading.remarks.count == 1)
    }

    @Test func `positions that none can have are no trap`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...10, to: path)
        let folder = try JournalFolder(path)
        try Data(JournalFolder.segmentHeader).write(to: URL(fileURLWithPath: folder.segmentPath(0)))
        #expect(try Self.read(path).positions == Array(1...10))
        var record: [UInt8] = []
        JournalRecord.append(Self.batch(1), position: .max, at: Self.instant(1), to: &record)
        record.withUnsafeMutableBytes { JournalRecord.seal($0, safeUpTo: 0) }
        try Data(JournalFolder.segmentHeader + record).write(to: URL(fileURLWithPath: folder.segmentPath(11)))
        #expect(try Self.read(path, repairing: true).positions == Array(1...10))
        let last = CheckpointFile(position: .max, instant: Self.instant(1), isJournaled: true, rules: "r")
        let writing = try CheckpointWriting(last, in: path)
        try writing.write([1])
        try writing.finish()
        #expect(CheckpointFile(reading: folder.checkpointPath(.max)) == nil)
    }

    @Test(arguments: 0..<300) func `random damage is found or harmless, and never a trap`(_ seed: Int) throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...30, to: path, segmentSize: 1500)
        var random = SplitMix(seed: UInt64(seed))
        let segments = try Self.segments(path)
        let victim = try #require(segments.randomElement(using: &random))
        var bytes = Array(try #require(FileManager.default.contents(atPath: victim)))
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard let at = bytes.indices.randomElement(using: &random) else { break }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(at...)
            default: bytes.insert(contentsOf: [1, 2, 3], at: at)
            }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: victim))
        do {
            let positions = try Self.read(path).positions
            // What comes back is a beginning of what was written.
            #expect(positions == Array(1...UInt64(30)).prefix(positions.count).map { $0 })
        } catch is JournalFailure {}
        _ = try Self.read(path, repairing: true)
    }

    @Test func `old segments go when no checkpoint needs them, by age or size`() throws {
        let path = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.write(1...100, to: path, segmentSize: 1024)
        let before = try Self.segments(path).count
        try Self.with(.init(retain: .seconds(3600), maximumSize: 1 << 30), after: 100, path: path) { $0.forgetSegments(before: 100) }
        #expect(try Self.segments(path).count == before)
        try Self.with(.init(retain: .seconds(3600), maximumSize: 10_000), after: 100, path: path) { $0.forgetSegments(before: 50) }
        let left = try Self.read(path, from: 50).positions
        #expect(left == Array(51...100))
        #expect(try Self.segments(path).count < before)
        try Self.with(.init(retain: .zero, maximumSize: 1 << 30), after: 100, path: path) { $0.forgetSegments(before: 100) }
        #expect(try Self.read(path, from: 100).positions.isEmpty)
    }

    @Test func `a full disk loses nothing and goes on when there is room`() throws {
        try #require(getuid() == 0, "needs to mount a small file system")
        let path = Self.folder()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try #require(mount("tmpfs", path, "tmpfs", 0, "size=300k") == 0)
        defer {
            umount2(path, Int32(MNT_DETACH))
            try? FileManager.default.removeItem(atPath: path)
        }
        let ballast = path + "/ballast"
        try Data(count: 150_000).write(to: URL(fileURLWithPath: ballast))
        let journal = try InputJournal(path: path, settings: .init(segmentSize: 64 << 10), after: 0, logger: Logger(label: "test"))
        defer { journal.close() }
        var last: UInt64 = 0
        for number in 1...100 {
            last = journal.append(Self.batch(number, size: 3000), at: Self.instant(number))
            if !journal.wait(for: last, atMost: .seconds(1)) { break }
        }
        #expect(!journal.hasRoom)
        #expect(journal.unreadyReason?.contains("No space left") ?? false)
        unlink(ballast)
        #expect(journal.wait(for: last, atMost: .seconds(10)))
        #expect(journal.hasRoom && journal.unreadyReason == nil)
        #expect(try Self.read(path).positions == Array(1...last))
    }

    @Test func `a disk with room for a part of a segment is written to`() throws {
        try #require(getuid() == 0, "needs to mount a small file system")
        let path = Self.folder()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try #require(mount("tmpfs", path, "tmpfs", 0, "size=200k") == 0)
        defer {
            umount2(path, Int32(MNT_DETACH))
            try? FileManager.default.removeItem(atPath: path)
        }
        let journal = try InputJournal(path: path, settings: .init(segmentSize: 400 << 10), after: 0, logger: Logger(label: "test"))
        defer { journal.close() }
        for number in 1...20 {
            let last = journal.append(Self.batch(number, size: 3000), at: Self.instant(number))
            #expect(journal.wait(for: last, atMost: .seconds(60)))
        }
        #expect(try Self.read(path).positions == Array(1...20))
    }

    @Test func `the checksum is CRC-32C`() {
        // RFC 3720 B.4.
        func sum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { Checksum.of($0) } }
        #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(sum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(sum(Array(0..<32)) == 0x46DD_794E)
        #expect(sum(Array("123456789".utf8)) == 0xE306_9283)
    }
}

@Suite struct CheckpointFileTests {
    private static func put(_ position: UInt64, _ state: [UInt8], in path: String) throws {
        let writing = try CheckpointWriting(
            CheckpointFile(position: position, instant: Instant(nanoseconds: 77), isJournaled: true, rules: "abc"), in: path)
        for piece in [state.prefix(3), state.dropFirst(3)] { try writing.write(Array(piece)) }
        try writing.finish()
    }

    @Test func `the newest whole one is taken, two are kept`() throws {
        let path = try JournalFolder(JournalTests.folder()).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        for position in 1...4 { try Self.put(UInt64(position), Array(0..<UInt8(10 + position)), in: path) }
        #expect(try JournalFolder(path).checkpoints().map(\.first) == [4, 3])
        let newest = try CheckpointFile.newest(in: path).0
        #expect(newest?.position == 4 && newest?.rules == "abc" && newest?.isJournaled == true && newest?.instant.nanoseconds == 77)
        #expect(newest?.state == Array(0..<14))
        let file = try #require(try JournalFolder(path).checkpoints().first?.path)
        var bytes = Array(try #require(FileManager.default.contents(atPath: file)))
        bytes[bytes.count - 20] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        let (older, remarks) = try CheckpointFile.newest(in: path)
        #expect(older?.position == 3 && remarks.count == 1)
    }

    @Test func `one that was not finished leaves nothing behind`() throws {
        let path = try JournalFolder(JournalTests.folder()).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        do {
            let writing = try CheckpointWriting(
                CheckpointFile(position: 9, instant: .distantPast, isJournaled: true, rules: "abc"), in: path)
            try writing.write([1, 2, 3])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
    }
}
