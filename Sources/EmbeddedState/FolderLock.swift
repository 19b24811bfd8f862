import DurableFiles
import Foundation
public import RuleEngine
import Synchronization

/// The data folder belongs to one server: an exclusive `flock` on `<folder>/lock`, which the kernel gives back however the process ends.
public final class FolderLock: Sendable {
    /// nil once given back.
    private let descriptor: Mutex<Int32?>

    /// Makes the folder when it is not there. Refused when another server (or another lock of this process) holds it.
    public init(folder: String) throws(StoreFailure) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw .refused("the data folder '\(folder)' cannot be made: \(Self.reason(errno))")
        }
        let path = folder + "/lock"
        // Children must not inherit the lock: it would outlive the server in them.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .refused("'\(path)' cannot be opened: \(Self.reason(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let owner = Self.owner(descriptor)
            close(descriptor)
            guard code == EWOULDBLOCK else { throw .refused("'\(path)' cannot be locked: \(Self.reason(code))") }
            throw .refused("the data folder '\(folder)' is in use by another server\(owner): stop it, or give this one a folder of its own")
        }
        self.descriptor = Mutex(descriptor)
        // For people who wonder who holds it; nothing depends on it.
        let text = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
        Self.synchronize(folder: folder)
    }

    deinit { release() }

    public func release() {
        let held = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let held else { return }
        // Not left to `close`: a child that has been forked and has not begun its program has a copy, which would hold the lock on.
        flock(held, LOCK_UN)
        close(held)
    }

    private static func owner(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0, let id = Int(String(decoding: bytes.prefix(count).prefix { $0 != 10 }, as: UTF8.self)) else { return "" }
        return " (process \(id))"
    }

    /// A new folder's own entry has to be on the disk too.
    private static func synchronize(folder: String) {
        for path in [folder, folder + "/.."] { DurableFile.synchronizeFolder(path) }
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
