import DurableFiles
import Glibc
import RuleEngine

/// How a record lies in a segment: mark, length of the body and its CRC-32C, four bytes each; then the body: position, the position up to which everything was known to be on the disk when
/// this was written, the instant (eight bytes each), and the input. All numbers little-endian.
///
/// The second position tells a torn tail from damage: what no later record calls safe may be missing after a crash, what one does must be there.
enum JournalRecord {
    static let mark: UInt32 = 0x314A_534E  // "NSJ1"
    static let headerSize = 12
    static let fixedBodySize = 24
    /// Longer than any batch with the longest message that MQTT can carry.
    static let maximumBody = 512 << 20

    struct Found {
        var position: UInt64
        var safeUpTo: UInt64
        var instant: Instant
        /// Offsets of the input.
        var content: Range<Int>
        var end: Int
    }

    /// Appends a record whose checksum and second position are still to come (`seal`).
    static func append(_ input: EngineInput, position: UInt64, at instant: Instant, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: headerSize + fixedBodySize))
        input.encode(into: &bytes)
        let length = bytes.count - start - headerSize
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: mark.littleEndian, toByteOffset: start, as: UInt32.self)
            bytes.storeBytes(of: UInt32(truncatingIfNeeded: length).littleEndian, toByteOffset: start + 4, as: UInt32.self)
            bytes.storeBytes(of: position.littleEndian, toByteOffset: start + headerSize, as: UInt64.self)
            bytes.storeBytes(of: instant.nanoseconds.littleEndian, toByteOffset: start + headerSize + 16, as: Int64.self)
        }
    }

    /// Completes the records of a buffer that `append` has filled.
    static func seal(_ bytes: UnsafeMutableRawBufferPointer, safeUpTo: UInt64) {
        var at = 0
        while at < bytes.count {
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)))
            bytes.storeBytes(of: safeUpTo.littleEndian, toByteOffset: at + headerSize + 8, as: UInt64.self)
            let body = UnsafeRawBufferPointer(rebasing: bytes[at + headerSize..<at + headerSize + length])
            bytes.storeBytes(of: Checksum.of(body).littleEndian, toByteOffset: at + 8, as: UInt32.self)
            at += headerSize + length
        }
    }

    /// The record at an offset; nil when there is no whole one.
    static func find(in bytes: UnsafeRawBufferPointer, at offset: Int) -> Found? {
        guard offset >= 0, bytes.count - offset >= headerSize + fixedBodySize,
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) == mark
        else { return nil }
        let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)))
        let body = offset + headerSize
        guard length > fixedBodySize, length <= maximumBody, length <= bytes.count - body,
            Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[body..<body + length]))
                == UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self))
        else { return nil }
        func number(_ place: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: body + place, as: UInt64.self)) }
        // Whoever reads on counts one further.
        guard number(0) < .max else { return nil }
        return Found(
            position: number(0), safeUpTo: number(8), instant: Instant(nanoseconds: Int64(bitPattern: number(16))),
            content: body + fixedBodySize..<body + length, end: body + length)
    }

    /// Where what was written ends: behind it there are only zeros, reserved and never used.
    static func writtenEnd(of bytes: UnsafeRawBufferPointer) -> Int {
        var end = bytes.count
        // Block by block: a block whose first byte is zero and that equals itself moved by one is nothing but zeros.
        while end > 4096, let start = bytes.baseAddress.map({ $0 + end - 4096 }), start.load(as: UInt8.self) == 0,
            memcmp(start, start + 1, 4095) == 0
        {
            end -= 4096
        }
        while end > 0, bytes[end - 1] == 0 { end -= 1 }
        return end
    }

    /// The next whole record from an offset on, wherever it begins.
    static func search(in bytes: UnsafeRawBufferPointer, from offset: Int) -> (offset: Int, record: Found)? {
        var at = offset
        while at + headerSize <= bytes.count {
            guard let start = bytes.baseAddress,
                let found = memchr(start + at, Int32(mark & 0xFF), bytes.count - at)
            else { return nil }
            let place = UnsafeRawPointer(found) - start
            if let record = find(in: bytes, at: place) { return (place, record) }
            at = place + 1
        }
        return nil
    }
}
