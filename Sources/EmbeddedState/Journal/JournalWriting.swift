import Glibc
import RuleEngine

/// The segment that is written: preallocated, so that a full disk is met when it is made and not within a record, and so that writing does not change the file's length.
///
/// Owned by one thread.
final class JournalWriting {
    private let folder: JournalFolder
    private let segmentSize: Int
    private var descriptor: Int32 = -1
    private var offset = 0
    /// Bytes of the segment that are its own, written or not.
    private var reserved = 0
    private var path = ""

    init(_ folder: JournalFolder, segmentSize: Int) {
        self.folder = folder
        self.segmentSize = segmentSize
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    /// Writes records, the first of which has this position, and returns when they are on the disk; why not, when they are not.
    func write(_ records: UnsafeRawBufferPointer, first: UInt64) -> String? {
        if descriptor >= 0, offset + records.count > reserved { finish() }
        if descriptor < 0, let reason = begin(first, atLeast: records.count) { return reason }
        var written = 0
        while written < records.count {
            let count = pwrite(descriptor, records.baseAddress! + written, records.count - written, off_t(offset + written))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return failure("written to") }
            written += count
        }
        guard fdatasync(descriptor) == 0 else {
            // What the disk has of it is not known: the same records go to another segment.
            let reason = failure("synchronized")
            finish()
            return reason
        }
        guard isThere else {
            // What was written is nowhere: the same records go to another segment as soon as one can be made.
            close(descriptor)
            descriptor = -1
            return "'\(path)' was removed while the server runs"
        }
        offset += records.count
        return nil
    }

    /// Whether the segment still has a name.
    private var isThere: Bool {
        var status = stat()
        return fstat(descriptor, &status) != 0 || status.st_nlink > 0
    }

    private func begin(_ first: UInt64, atLeast size: Int) -> String? {
        path = folder.segmentPath(first)
        descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return failure("made") }
        let header = JournalFolder.segmentHeader
        let code = reserve(header.count + size)
        guard code == 0, pwrite(descriptor, header, header.count, 0) == header.count, fsync(descriptor) == 0 else {
            let reason = failure("made", code == 0 ? errno : code)
            close(descriptor)
            descriptor = -1
            unlink(path)
            return reason
        }
        folder.synchronize()
        offset = header.count
        return nil
    }

    /// Where there is no room for a whole segment, a smaller one will do.
    private func reserve(_ needed: Int) -> Int32 {
        var code: Int32 = 0
        for size in [segmentSize, segmentSize / 16] {
            reserved = max(size, needed)
            code = posix_fallocate(descriptor, 0, off_t(reserved))
            if code != ENOSPC { break }
            ftruncate(descriptor, 0)
        }
        return code
    }

    /// Cuts off what was only reserved.
    func finish() {
        guard descriptor >= 0 else { return }
        ftruncate(descriptor, off_t(offset))
        fsync(descriptor)
        close(descriptor)
        descriptor = -1
    }

    private func failure(_ what: String, _ code: Int32 = errno) -> String {
        "'\(path)' cannot be \(what): \(String(cString: strerror(code)))"
    }
}
