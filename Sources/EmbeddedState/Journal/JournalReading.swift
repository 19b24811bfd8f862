import DurableFiles
import Glibc
public import RuleEngine

/// Reads a journal back, in order, and mends what a crash has torn.
public struct JournalReading: Sendable {
    let folder: JournalFolder
    /// Position of the last whole record; 0 when there is none.
    public private(set) var last: UInt64 = 0
    /// Position before the first record that is there.
    public private(set) var before: UInt64 = 0
    /// What was found, for the operator's log.
    public private(set) var remarks: [String] = []

    public struct Record {
        public var position: UInt64
        public var instant: Instant
        public var content: UnsafeRawBufferPointer
    }

    /// Looks through the segments.
    ///
    /// A tail that was never safe is cut off. Where something safe is missing the journal is damaged: an error says what can be done, unless `repairing`, which keeps what is whole and tells what was lost.
    /// - Parameter from: records up to this position need not be there.
    public init(path: String, from position: UInt64, repairing: Bool) throws(JournalFailure) {
        folder = try JournalFolder(path)
        let segments = folder.segments()
        // Those that end before the position are not looked at.
        let start = max(0, (segments.firstIndex { $0.first > position + 1 } ?? segments.count) - 1)
        last = position
        before = position
        for (place, segment) in segments[start...].enumerated() {
            if place == 0 {
                before = segment.first - 1
                // Whoever needs nothing in particular begins with what there is.
                if position == 0 { last = before }
            }
            try examine(segment, isLast: start + place == segments.count - 1, repairing: repairing)
        }
    }

    private mutating func examine(_ segment: JournalFolder.Segment, isLast: Bool, repairing: Bool) throws(JournalFailure) {
        guard let file = MappedFile(segment.path) else {
            throw .unusable("'\(segment.path)' cannot be read: \(String(cString: strerror(errno)))")
        }
        let bytes = file.bytes
        guard bytes.count >= JournalFolder.segmentHeader.count,
            bytes.prefix(JournalFolder.segmentHeader.count).elementsEqual(JournalFolder.segmentHeader)
        else {
            // Made, and the crash came before its first record.
            if isLast, JournalRecord.search(in: bytes, from: 0) == nil {
                unlink(segment.path)
                return
            }
            return try damaged(segment, at: 0, lost: last + 1, until: nil, repairing)
        }
        var at = JournalFolder.segmentHeader.count
        var expected = segment.first
        if expected > last + 1 {
            try damaged(segment, at: at, lost: last + 1, until: expected, repairing)
        }
        while at < bytes.count {
            if let record = JournalRecord.find(in: bytes, at: at) {
                // A segment that could not be synchronized was written again as another.
                if record.position > last { last = record.position }
                expected = record.position + 1
                at = record.end
                continue
            }
            let end = JournalRecord.writtenEnd(of: bytes)
            guard at < end else { return try cut(segment, at: at, torn: 0) }
            let written = UnsafeRawBufferPointer(rebasing: bytes[..<end])
            let wasSafe = Self.isProven(in: written, after: at, expected)
            let next = wasSafe || !isLast ? JournalRecord.search(in: written, from: at + 1) : nil
            guard next != nil || !isLast else { return try cut(segment, at: at, torn: end - at) }
            try damaged(segment, at: at, lost: expected, until: next?.record.position, repairing)
            guard let next else { return }
            at = next.offset
        }
    }

    /// Whether a later record calls the missing one safe.
    private static func isProven(in bytes: UnsafeRawBufferPointer, after offset: Int, _ position: UInt64) -> Bool {
        var at = offset + 1
        while let next = JournalRecord.search(in: bytes, from: at) {
            if next.record.safeUpTo >= position { return true }
            at = next.record.end
        }
        return false
    }

    /// What was being written when the crash came was safe for nobody.
    private mutating func cut(_ segment: JournalFolder.Segment, at offset: Int, torn: Int) throws(JournalFailure) {
        if torn > 0 {
            remarks.append(
                "the last \(torn) bytes of '\(segment.path)' were not whole and are cut off (the server ended while it wrote them)")
        }
        guard truncate(segment.path, off_t(offset)) == 0 else {
            throw .unusable("'\(segment.path)' cannot be cut to its last whole record: \(String(cString: strerror(errno)))")
        }
    }

    private mutating func damaged(_ segment: JournalFolder.Segment, at offset: Int, lost: UInt64, until: UInt64?, _ repairing: Bool)
        throws(JournalFailure)
    {
        let span = until.map { $0 == lost + 1 ? "input \(lost) is" : "inputs \(lost) to \($0 - 1) are" } ?? "the inputs from \(lost) on are"
        let place = "'\(segment.path)' is damaged at byte \(offset): \(span) lost"
        guard repairing else {
            throw .damaged(
                "\(place). Put the file back from a copy, or start once with --repair, which goes on with what is whole: what the lost inputs caused may be missing"
            )
        }
        remarks.append("\(place); the journal goes on with what is whole")
    }

    /// Gives every record after a position in order, skipping what is damaged; false from `body` ends it.
    public func forEach(after position: UInt64, _ body: (Record) -> Bool) throws(JournalFailure) {
        let segments = folder.segments()
        let start = max(0, (segments.firstIndex { $0.first > position + 1 } ?? segments.count) - 1)
        var given = position
        for segment in segments[start...] {
            guard let file = MappedFile(segment.path) else { throw .unusable("'\(segment.path)' cannot be read") }
            var at = JournalFolder.segmentHeader.count
            while at < file.bytes.count {
                guard let record = JournalRecord.find(in: file.bytes, at: at) else {
                    guard let next = JournalRecord.search(in: file.bytes, from: at + 1) else { break }
                    at = next.offset
                    continue
                }
                at = record.end
                guard record.position > given, record.position <= last else { continue }
                given = record.position
                let content = UnsafeRawBufferPointer(rebasing: file.bytes[record.content])
                guard body(Record(position: record.position, instant: record.instant, content: content)) else { return }
            }
        }
    }
}
