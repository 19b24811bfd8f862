import Foundation
import RuleEngine
import Testing

@testable import InfluxWindows

@Suite struct SpoolTests {
    private static func folder() -> String { NSTemporaryDirectory() + "spool-\(UUID().uuidString)" }

    private static func with(_ body: (String) throws -> Void) throws {
        let path = folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private static func batch(_ number: Int, size: Int = 100, policy: String? = nil) -> LineBatch {
        let at = Instant(nanoseconds: Int64(number))
        return LineBatch(
            policy: policy, points: 2, from: at, to: at,
            lines: Array("m v=\(number) \(number)\n".utf8) + [UInt8](repeating: 35, count: size) + [10])
    }

    private static func files(_ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { $0.hasSuffix(".lines") }.sorted().map {
            path + "/" + $0
        }
    }

    /// Everything that is there, taken out.
    private static func drain(_ spool: Spool) -> [LineBatch] {
        var batches: [LineBatch] = []
        while let (id, batch) = spool.first(points: 2, bytes: 1) {
            batches.append(batch)
            spool.remove(through: id)
        }
        return batches
    }

    @Test func `what went in comes out in order, and leaves nothing behind`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            let batches = (0..<200).map { Self.batch($0, size: $0 * 7, policy: $0 % 3 == 0 ? "week" : nil) }
            for batch in batches { #expect(spool.append(batch) == nil) }
            #expect(spool.points == 400 && Self.files(path).count > 1)
            #expect(Self.drain(spool) == batches)
            #expect(spool.isEmpty && spool.points == 0 && spool.bytes == 0 && Self.files(path).isEmpty)
            #expect(spool.append(batches[0]) == nil && Self.drain(spool) == [batches[0]])
        }
    }

    @Test func `what fits into one request and goes to one policy is taken out together`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            let batches = (0..<10).map { Self.batch($0, policy: $0 < 7 ? nil : "week") }
            for batch in batches { #expect(spool.append(batch) == nil) }
            var sizes: [Int] = [], lines: [UInt8] = []
            while let (last, batch) = spool.first(points: 10, bytes: 1 << 20) {
                #expect(batch.from == batches[lines.count / batches[0].lines.count].from)
                sizes.append(batch.points)
                lines += batch.lines
                spool.remove(through: last)
            }
            #expect(sizes == [10, 4, 6] && lines == batches.flatMap(\.lines))
            #expect(spool.isEmpty && spool.points == 0 && Self.files(path).isEmpty)
        }
    }

    @Test func `another run goes on with what was there, and gives no more than one file twice`() throws {
        try Self.with { path in
            let batches = (0..<100).map { Self.batch($0) }
            let taken = 30
            do {
                let spool = try Spool(folder: path, maximumSize: 64 << 10)
                for batch in batches { #expect(spool.append(batch) == nil) }
                for _ in 0..<taken { if let id = spool.firstID { spool.remove(through: id) } }
            }
            let spool = try Spool(folder: path, maximumSize: 64 << 10)
            #expect(spool.remarks.isEmpty && spool.append(Self.batch(100)) == nil)
            let found = Self.drain(spool)
            let repeated = found.count - (batches.count - taken) - 1
            #expect((0...60).contains(repeated), "\(repeated)")
            #expect(found == Array(batches[(taken - repeated)...]) + [Self.batch(100)])
        }
    }

    @Test func `when it is full the oldest go, and are counted`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 40_000)
            let batches = (0..<1_000).map { Self.batch($0) }
            for batch in batches {
                #expect(spool.append(batch) == nil)
                #expect(spool.bytes <= 40_000)
            }
            #expect(spool.bytes > 30_000)
            let (held, lost) = (spool.points, spool.losses.overflow)
            #expect(held + lost == 2_000 && lost > 0)
            #expect(Self.drain(spool) == Array(batches.suffix(held / 2)))
        }
    }

    @Test func `the batch that is under way may be dropped meanwhile`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 40_000)
            #expect(spool.append(Self.batch(0)) == nil)
            let id = try #require(spool.firstID)
            for number in 1..<1_000 { #expect(spool.append(Self.batch(number)) == nil) }
            let points = spool.points
            spool.remove(through: id)
            #expect(spool.points == points)
        }
    }

    /// Batches that a spool has written, its file and what is in it.
    private static func threeBatches(in path: String) throws -> ([LineBatch], file: String, whole: Data) {
        let batches = (0..<3).map { batch($0, size: 20) }
        do {
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            for batch in batches { #expect(spool.append(batch) == nil) }
        }
        let file = files(path)[0]
        return (batches, file, try #require(FileManager.default.contents(atPath: file)))
    }

    /// As a crash leaves it.
    @Test func `a torn tail of any length is left out, and what is before it is whole`() throws {
        try Self.with { path in
            let (batches, file, whole) = try Self.threeBatches(in: path)
            var seen = Set<Int>()
            for length in stride(from: whole.count, through: 0, by: -1) {
                try whole.prefix(length).write(to: URL(fileURLWithPath: file))
                let found = Self.drain(try Spool(folder: path, maximumSize: 1 << 20))
                #expect(found == Array(batches.prefix(found.count)))
                seen.insert(found.count)
            }
            #expect(seen == [0, 1, 2, 3])
        }
    }

    @Test func `a damaged byte costs its batch and no other, and is told`() throws {
        try Self.with { path in
            let (batches, file, whole) = try Self.threeBatches(in: path)
            for place in 8..<whole.count {
                var damaged = whole
                damaged[place] ^= 0x55
                try damaged.write(to: URL(fileURLWithPath: file))
                let spool = try Spool(folder: path, maximumSize: 1 << 20)
                let found = Self.drain(spool)
                #expect(found.count == 2 && found.allSatisfy(batches.contains) && spool.remarks.count == 1, "byte \(place)")
            }
        }
    }

    @Test func `what is damaged after it was found is passed over and counted`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            for number in 0..<3 { #expect(spool.append(Self.batch(number)) == nil) }
            let handle = try #require(FileHandle(forUpdatingAtPath: Self.files(path)[0]))
            try handle.seek(toOffset: 60)
            try handle.write(contentsOf: Data([0, 0, 0]))
            #expect(Self.drain(spool) == [Self.batch(1), Self.batch(2)] && spool.losses.damage == 2)
        }
    }

    @Test func `a folder that cannot be written to is told, and written again when it can`() throws {
        try Self.with { path in
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            try FileManager.default.removeItem(atPath: path)
            #expect(spool.append(Self.batch(0))?.contains("cannot be made") == true && spool.isEmpty)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            #expect(spool.append(Self.batch(1)) == nil && Self.drain(spool) == [Self.batch(1)])
        }
    }

    @Test func `a file of another form is left where it is`() throws {
        try Self.with { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data("NSSPOOL\u{2}something of a later version".utf8).write(
                to: URL(fileURLWithPath: path + "/spool-0000000000000005.lines"))
            let spool = try Spool(folder: path, maximumSize: 1 << 20)
            #expect(spool.isEmpty && spool.remarks.count == 1 && spool.append(Self.batch(1)) == nil)
            #expect(Self.files(path).count == 2)
        }
    }
}
