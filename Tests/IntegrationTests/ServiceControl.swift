import Foundation
import Glibc
import Testing

/// Runs `scripts/services` on a thread that may block. (Not by `Process`, which waits until also the servers that the script leaves behind have ended.)
func services(_ arguments: String...) async throws {
    let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    let script = root.appending(path: "scripts/services").path
    let status: Int32 = await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            let words = [script] + arguments
            var pointers = words.map { strdup($0) } + [nil]
            defer { for pointer in pointers { free(pointer) } }
            // A thread of ours may have signals blocked; a server that inherits this could not be ended.
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            var noSignals = sigset_t()
            sigemptyset(&noSignals)
            posix_spawnattr_setsigmask(&attributes, &noSignals)
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
            var child: pid_t = 0
            var status: Int32 = -1
            if posix_spawn(&child, script, nil, &attributes, &pointers, environ) == 0 {
                while waitpid(child, &status, 0) < 0, errno == EINTR {}
            }
            continuation.resume(returning: status)
        }
    }
    try #require(status == 0, "scripts/services \(arguments.joined(separator: " "))")
}
