import DurableFiles
import Foundation
import Glibc

/// How far the inputs of a journal were handed to scripts, in a file beside it: written before they are handed over, so that no crash hands one over twice.
///
/// Not thread safe: one owner at a time.
public final class HandoverMark {
    public struct Standing: Equatable, Sendable {
        /// Everything up to here was handed over.
        public var begun: UInt64
        /// Everything up to here was dealt with; what lies between was in hand.
        public var ended: UInt64
        /// The server ended as it should.
        public var isClosed: Bool

        public init(begun: UInt64, ended: UInt64, isClosed: Bool) {
            self.begun = begun
            self.ended = ended
            self.isClosed = isClosed
        }
    }

    // Two slots are written in turn, so that one is always whole: mark, number, begun, ended, closed, checksum.
    private static let magic: UInt64 = 0x3144_4E41_4853_534E
    private static let slotSize = 44
    private static let stride = 4096

    private let descriptor: Int32
    private var number: UInt64 = 0
    private var standing: Standing

    private static func path(_ folder: String) -> String { folder + "/handover" }

    /// What the last run left; nil when there is nothing that can be read.
    public static func read(in folder: String) -> Standing? {
        guard let bytes = FileManager.default.contents(atPath: path(folder)) else { return nil }
        return [0, stride].compactMap { slot(Array(bytes.dropFirst($0).prefix(slotSize))) }.max { $0.number < $1.number }?.standing
    }

    private static func slot(_ bytes: [UInt8]) -> (number: UInt64, standing: Standing)? {
        guard bytes.count == slotSize else { return nil }
        return bytes.withUnsafeBytes { bytes in
            func word(_ place: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)) }
            let checksum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 40, as: UInt32.self))
            guard word(0) == magic, Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<40])) == checksum else { return nil }
            return (word(1), Standing(begun: word(2), ended: word(3), isClosed: word(4) == 1))
        }
    }

    /// Begins anew from where things stand.
    public init(in folder: String, at position: UInt64) throws(JournalFailure) {
        descriptor = open(Self.path(folder), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unusable("'\(Self.path(folder))' cannot be written: \(String(cString: strerror(errno)))") }
        standing = Standing(begun: position, ended: position, isClosed: false)
        // Behind both slots of an earlier run.
        number = 1 + ([0, Self.stride].compactMap { slotNumber(at: $0) }.max() ?? 0)
        guard write(), write() else { throw .unusable("'\(Self.path(folder))' cannot be written: \(String(cString: strerror(errno)))") }
    }

    deinit { Glibc.close(descriptor) }

    private func slotNumber(at offset: Int) -> UInt64? {
        var bytes = [UInt8](repeating: 0, count: Self.slotSize)
        guard pread(descriptor, &bytes, bytes.count, off_t(offset)) == bytes.count else { return nil }
        return Self.slot(bytes)?.number
    }

    /// Everything up to a position is handed over next. False: it is not on the disk.
    public func begin(upTo position: UInt64) -> Bool {
        standing.begun = position
        return write()
    }

    /// What was handed over is dealt with. A crash of the machine may lose this, one of the process does not.
    public func end() {
        standing.ended = standing.begun
        _ = write(synchronized: false)
    }

    /// There is nobody to hand anything over to: what comes counts as dealt with.
    public func rest() {
        (standing.begun, standing.ended) = (.max, .max)
        _ = write()
    }

    /// The server ends, and has dealt with everything up to a position.
    public func close(at position: UInt64) {
        standing = Standing(begun: position, ended: position, isClosed: true)
        _ = write()
    }

    private func write(synchronized: Bool = true) -> Bool {
        number += 1
        var bytes: [UInt8] = []
        for word in [Self.magic, number, standing.begun, standing.ended, standing.isClosed ? 1 : 0] {
            withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
        }
        let checksum = bytes.withUnsafeBytes { Checksum.of($0) }
        withUnsafeBytes(of: checksum.littleEndian) { bytes.append(contentsOf: $0) }
        guard pwrite(descriptor, bytes, bytes.count, off_t(number % 2 == 0 ? 0 : Self.stride)) == bytes.count else { return false }
        return !synchronized || fdatasync(descriptor) == 0
    }
}
