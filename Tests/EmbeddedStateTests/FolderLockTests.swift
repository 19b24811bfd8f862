import EmbeddedState
import Foundation
import Testing

@Suite struct FolderLockTests {
    @Test func `a lock that is given back is free, though a child that was just forked has a copy of it`() throws {
        let folder = NSTemporaryDirectory() + "nodesphere-lock-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lock = try FolderLock(folder: folder)
        let path = URL(filePath: folder + "/lock").resolvingSymlinksInPath().path
        let files = FileManager.default
        let descriptor = try files.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }.first {
            (try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
        }
        let copy = dup(try #require(descriptor))
        defer { close(copy) }
        lock.release()
        _ = try FolderLock(folder: folder)
    }
}
