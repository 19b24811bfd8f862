import Foundation
import DurableFiles
import Glibc
public import RuleEngine

/// A checkpoint on the disk: what was the last input in it, the rules it is of, and the engine's state.
///
/// Form: "NSCHKPNT" and version 1; position, instant (eight bytes each), whether a journal was kept (one byte), the name of the rules (length and UTF-8); the state as `EngineCheckpoint` gives it; CRC-32C of
/// all that (four bytes) and its length (eight).
public struct CheckpointFile: Sendable {
    public var position: UInt64
    public var instant: Instant
    public var isJournaled: Bool
    public var rules: String
    public var state: [UInt8] = []

    private static let mark = Array("NSCHKPNT".utf8) + [1]

    public init(position: UInt64, instant: Instant, isJournaled: Bool, rules: String) {
        self.position = position
        self.instant = instant
        self.isJournaled = isJournaled
        self.rules = rules
    }

    fileprivate var head: [UInt8] {
        var head = Self.mark
        withUnsafeBytes(of: position.littleEndian) { head += $0 }
        withUnsafeBytes(of: instant.nanoseconds.littleEndian) { head += $0 }
        head.append(isJournaled ? 1 : 0)
        head.append(UInt8(truncatingIfNeeded: rules.utf8.count))
        return head + rules.utf8
    }

    /// The newest checkpoint of a folder that is whole; the remarks name those that are not.
    public static func newest(in path: String) throws(JournalFailure) -> (CheckpointFile?, remarks: [String]) {
        let folder = try JournalFolder(path)
        var remarks: [String] = []
        for candidate in folder.checkpoints() {
            if let checkpoint = CheckpointFile(reading: candidate.path) { return (checkpoint, remarks) }
            remarks.append("the checkpoint '\(candidate.path)' is not whole and is passed over")
        }
        return (nil, remarks)
    }

    public init?(reading path: String) {
        guard let file = MappedFile(path), case let bytes = file.bytes, bytes.count >= Self.mark.count + 30,
            bytes.starts(with: Self.mark)
        else { return nil }
        func number<Number: FixedWidthInteger>(_ place: Int, _: Number.Type) -> Number {
            Number(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Number.self))
        }
        let size = bytes.count - 12
        guard number(size + 4, UInt64.self) == UInt64(size),
            number(size, UInt32.self) == Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<size]))
        else { return nil }
        let start = Self.mark.count
        position = number(start, UInt64.self)
        guard position < .max else { return nil }
        instant = Instant(nanoseconds: number(start + 8, Int64.self))
        isJournaled = bytes[start + 16] == 1
        let nameEnd = start + 18 + Int(bytes[start + 17])
        guard nameEnd <= size, let name = String(validating: bytes[start + 18..<nameEnd], as: UTF8.self) else { return nil }
        rules = name
        state = Array(bytes[nameEnd..<size])
    }
}

/// Writes a checkpoint as it comes, into a folder that is there; it is there when `finish` has returned, whole or not at all.
public final class CheckpointWriting {
    private let folder: JournalFolder
    private let target: String
    private let temporary: String
    private var descriptor: Int32
    private var checksum = Checksum()
    private var size = 0

    public init(_ file: CheckpointFile, in path: String) throws(JournalFailure) {
        folder = JournalFolder(existing: path)
        target = folder.checkpointPath(file.position)
        temporary = target + ".part"
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unusable("'\(temporary)' cannot be made: \(String(cString: strerror(errno)))") }
        try write(file.head)
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporary)
    }

    public func write(_ bytes: [UInt8]) throws(JournalFailure) {
        bytes.withUnsafeBytes { checksum.add($0) }
        size += bytes.count
        try put(bytes)
    }

    private func put(_ bytes: [UInt8]) throws(JournalFailure) {
        guard bytes.withUnsafeBytes({ DurableFile.writeAll($0, to: descriptor) }) else {
            throw .unusable("'\(temporary)' cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Puts it in place and removes all but the newest two.
    public func finish() throws(JournalFailure) {
        var end: [UInt8] = []
        withUnsafeBytes(of: checksum.value.littleEndian) { end += $0 }
        withUnsafeBytes(of: UInt64(size).littleEndian) { end += $0 }
        try put(end)
        guard fsync(descriptor) == 0, rename(temporary, target) == 0 else {
            throw .unusable("'\(target)' cannot be put in place: \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        descriptor = -1
        folder.synchronize()
        for old in folder.checkpoints().dropFirst(2) { unlink(old.path) }
    }

    /// Position of the oldest checkpoint that is kept.
    public static func oldestKept(in path: String) -> UInt64? { (try? JournalFolder(path))?.checkpoints().last?.first }
}
