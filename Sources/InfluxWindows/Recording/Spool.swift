import DurableFiles
import Foundation
import Glibc
import RuleEngine

/// Points on the disk, first in, first out: what InfluxDB has to wait for while it is away.
///
/// Files `spool-<number>.lines` of a header and records: mark, length and CRC-32C of the body, four bytes each, then the body: points (4), from and to (8 each), length of the policy (2), policy, lines.
/// All numbers little-endian. A record counts when it is whole; `append` returns when it is on the disk. A file goes when all its records have been taken, so that after a crash some
/// are given again: points may be written twice. Used by one thread.
final class Spool {
    private struct Record {
        var id: UInt64
        var offset: Int
        var size: Int
        var points: Int
    }
    private struct Segment {
        var path: String
        var size: Int
        var records: [Record] = []
        /// How many of them have been taken out.
        var taken = 0

        var isTaken: Bool { taken == records.count }
        var waiting: ArraySlice<Record> { records[taken...] }
    }
    /// What was lost here.
    struct Losses: Sendable, Equatable {
        /// Points that had to go because the spool was full.
        var overflow = 0
        /// Points of records that could not be read back.
        var damage = 0
    }

    private static let header: [UInt8] = Array("NSSPOOL".utf8) + [1]
    private static let mark: UInt32 = 0x3153_534E  // "NSS1"
    private static let headerSize = 12
    private static let fixedBodySize = 22
    private static let longestBody = 64 << 20

    private let folder: String
    private let maximumSize: Int64
    private let segmentSize: Int
    private var segments: [Segment] = []
    /// Of the last segment while it is written to.
    private var descriptor: Int32 = -1
    private var lastNumber: UInt64 = 0
    private var lastID: UInt64 = 0
    private(set) var losses = Losses()
    /// What was found at the start, for the operator's log.
    private(set) var remarks: [String] = []

    init(folder: String, maximumSize: Int64) throws(DurableFile.Failure) {
        self.folder = folder
        self.maximumSize = maximumSize
        segmentSize = Int(clamping: min(8 << 20, max(4096, maximumSize / 8)))
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw DurableFile.Failure(description: "the folder '\(folder)' cannot be made: \(error.localizedDescription)")
        }
        for (number, name) in Self.names(in: folder) {
            lastNumber = max(lastNumber, number)
            take(folder + "/" + name)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var isEmpty: Bool { segments.isEmpty }
    var bytes: Int64 { segments.reduce(0) { $0 + Int64($1.size) } }
    private(set) var points = 0

    private static func names(in folder: String) -> [(number: UInt64, name: String)] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap { name in
            guard name.hasPrefix("spool-"), name.hasSuffix(".lines"), let number = UInt64(name.dropFirst(6).dropLast(6), radix: 16) else {
                return nil
            }
            return (number, name)
        }.sorted { $0.number < $1.number }
    }

    // MARK: Taking up what is there

    private func take(_ path: String) {
        guard let file = MappedFile(path) else {
            remarks.append("'\(path)' cannot be read: \(String(cString: strerror(errno)))")
            return
        }
        var segment = Segment(path: path, size: file.bytes.count)
        var at = Self.header.count
        guard file.bytes.count < at || file.bytes.prefix(at).elementsEqual(Self.header) else {
            remarks.append("'\(path)' is no spool of this version and is left where it is")
            return
        }
        while at < file.bytes.count {
            if let size = Self.bodySize(in: file.bytes, at: at) {
                lastID += 1
                let points = UInt32(littleEndian: file.bytes.loadUnaligned(fromByteOffset: at + Self.headerSize, as: UInt32.self))
                segment.records.append(Record(id: lastID, offset: at, size: Self.headerSize + size, points: Int(points)))
                self.points += Int(points)
                at += Self.headerSize + size
            } else {
                let next = Self.search(in: file.bytes, from: at + 1) ?? file.bytes.count
                let torn = next == file.bytes.count ? "were not whole (the server ended while it wrote them)" : "are damaged"
                remarks.append("\(next - at) bytes of '\(path)' at \(at) \(torn) and are left out")
                at = next
            }
        }
        if segment.records.isEmpty { unlink(path) } else { segments.append(segment) }
    }

    /// Length of the body of the record at an offset; nil when there is no whole one.
    private static func bodySize(in bytes: UnsafeRawBufferPointer, at offset: Int) -> Int? {
        guard bytes.count - offset >= headerSize + fixedBodySize else { return nil }
        func number(_ place: Int) -> UInt32 { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + place, as: UInt32.self)) }
        let size = Int(number(4)), body = offset + headerSize
        guard number(0) == mark, size >= fixedBodySize, size <= longestBody, size <= bytes.count - body,
            Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[body..<body + size])) == number(8)
        else { return nil }
        return size
    }

    private static func search(in bytes: UnsafeRawBufferPointer, from offset: Int) -> Int? {
        var at = offset
        while at < bytes.count, let start = bytes.baseAddress, let found = memchr(start + at, Int32(mark & 0xFF), bytes.count - at) {
            at = UnsafeRawPointer(found) - start
            if bodySize(in: bytes, at: at) != nil { return at }
            at += 1
        }
        return nil
    }

    // MARK: Adding

    /// Adds a batch behind the others; why not, when it could not be written. When there is more than the maximum, the oldest go.
    func append(_ batch: LineBatch) -> String? {
        let record = Self.record(batch)
        if descriptor < 0, let reason = begin() { return reason }
        let place = segments.count - 1
        let offset = segments[place].size
        guard lseek(descriptor, off_t(offset), SEEK_SET) >= 0, record.withUnsafeBytes({ DurableFile.writeAll($0, to: descriptor) }),
            fdatasync(descriptor) == 0
        else {
            let reason = "'\(segments[place].path)' cannot be written: \(String(cString: strerror(errno)))"
            ftruncate(descriptor, off_t(offset))
            endSegment()
            removeIfTaken(place)
            return reason
        }
        lastID += 1
        segments[place].records.append(Record(id: lastID, offset: offset, size: record.count, points: batch.points))
        segments[place].size += record.count
        points += batch.points
        if segments[place].size >= segmentSize { endSegment() }
        while bytes > maximumSize, segments.count > 1 { dropOldest() }
        return nil
    }

    private static func record(_ batch: LineBatch) -> [UInt8] {
        var record = [UInt8](repeating: 0, count: headerSize)
        func add(_ number: some FixedWidthInteger) { withUnsafeBytes(of: number.littleEndian) { record.append(contentsOf: $0) } }
        add(UInt32(clamping: batch.points))
        add(batch.from.nanoseconds)
        add(batch.to.nanoseconds)
        let policy = Array((batch.policy ?? "").utf8)
        add(UInt16(clamping: policy.count))
        record += policy.prefix(Int(UInt16.max))
        record += batch.lines
        let checksum = record.withUnsafeBytes { Checksum.of(UnsafeRawBufferPointer(rebasing: $0[headerSize...])) }
        let length = UInt32(clamping: record.count - headerSize)
        record.withUnsafeMutableBytes {
            $0.storeBytes(of: mark.littleEndian, toByteOffset: 0, as: UInt32.self)
            $0.storeBytes(of: length.littleEndian, toByteOffset: 4, as: UInt32.self)
            $0.storeBytes(of: checksum.littleEndian, toByteOffset: 8, as: UInt32.self)
        }
        return record
    }

    private func begin() -> String? {
        lastNumber += 1
        let digits = String(lastNumber, radix: 16)
        let path = folder + "/spool-" + String(repeating: "0", count: max(0, 16 - digits.count)) + digits + ".lines"
        descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0, Self.header.withUnsafeBytes({ DurableFile.writeAll($0, to: descriptor) }) else {
            let reason = "'\(path)' cannot be made: \(String(cString: strerror(errno)))"
            endSegment()
            unlink(path)
            return reason
        }
        DurableFile.synchronizeFolder(folder)
        segments.append(Segment(path: path, size: Self.header.count))
        return nil
    }

    private func endSegment() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func dropOldest() {
        let oldest = segments.removeFirst()
        let lost = oldest.waiting.reduce(0) { $0 + $1.points }
        losses.overflow += lost
        points -= lost
        unlink(oldest.path)
    }

    // MARK: Taking out

    /// Of the oldest batch.
    var firstID: UInt64? { segments.lazy.compactMap(\.waiting.first?.id).first }

    /// The oldest batch, together with those behind it that fit into one request; it stays until `remove`. Records that cannot be read any more are passed over.
    func first(points: Int, bytes: Int) -> (last: UInt64, batch: LineBatch)? {
        while let segment = segments.first {
            guard let record = segment.waiting.first else {
                // The one that is written to, and whose record could not be.
                guard segments.count > 1 || descriptor < 0 else { return nil }
                removeIfTaken(0)
                continue
            }
            if var batch = Self.read(record, segment.path) {
                return (join(&batch, record.id, segment, points: points, bytes: bytes), batch)
            }
            losses.damage += record.points
            remove(through: record.id)
        }
        return nil
    }

    /// Adds the records behind the first one, as long as they go to the same policy and fit; the id of the last.
    private func join(_ batch: inout LineBatch, _ first: UInt64, _ segment: Segment, points: Int, bytes: Int) -> UInt64 {
        var last = first
        for record in segment.waiting.dropFirst() {
            guard batch.points + record.points <= points, batch.lines.count + record.size <= bytes,
                let next = Self.read(record, segment.path), next.policy == batch.policy
            else { break }
            batch.lines += next.lines
            batch.points += next.points
            batch.from = min(batch.from, next.from)
            batch.to = max(batch.to, next.to)
            last = record.id
        }
        return last
    }

    private static func read(_ record: Record, _ path: String) -> LineBatch? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: record.size)
        guard pread(descriptor, &bytes, record.size, off_t(record.offset)) == record.size else { return nil }
        return bytes.withUnsafeBytes { batch(in: $0) }
    }

    private static func batch(in bytes: UnsafeRawBufferPointer) -> LineBatch? {
        guard let size = bodySize(in: bytes, at: 0) else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: bytes[headerSize..<headerSize + size])
        func number<Number: FixedWidthInteger>(_ place: Int, _: Number.Type) -> Number {
            Number(littleEndian: body.loadUnaligned(fromByteOffset: place, as: Number.self))
        }
        let end = fixedBodySize + Int(number(20, UInt16.self))
        guard end <= size else { return nil }
        return LineBatch(
            policy: end == fixedBodySize ? nil : String(decoding: body[fixedBodySize..<end], as: UTF8.self),
            points: Int(number(0, UInt32.self)), from: Instant(nanoseconds: number(4, Int64.self)),
            to: Instant(nanoseconds: number(12, Int64.self)), lines: Array(body[end...]))
    }

    /// Removes the batches up to one, as far as they are still there.
    func remove(through id: UInt64) {
        while let record = segments.first?.waiting.first, record.id <= id {
            points -= record.points
            segments[0].taken += 1
            removeIfTaken(0)
        }
    }

    private func removeIfTaken(_ place: Int) {
        guard segments.indices.contains(place), segments[place].isTaken else { return }
        if place == segments.count - 1 { endSegment() }
        unlink(segments.remove(at: place).path)
    }
}
