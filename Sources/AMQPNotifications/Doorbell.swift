internal import Glibc

/// Wakes a thread that waits in `poll`. Rings are remembered, not counted.
final class Doorbell: Sendable {
    /// The ends of a pipe; -1 when the system has no descriptor left: `poll` passes over it, and the thread looks at its next tick.
    private let readEnd: Int32
    private let writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        if readEnd >= 0 { close(readEnd) }
        if writeEnd >= 0 { close(writeEnd) }
    }

    func ring() {
        var one: UInt8 = 1
        _ = write(writeEnd, &one, 1)
    }

    /// Waits until the bell rings or the other descriptor can be read, at most for so long.
    func wait(alsoFor other: Int32 = -1, atMost limit: Duration) {
        var descriptors = [
            pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0), pollfd(fd: other, events: Int16(POLLIN), revents: 0),
        ]
        poll(&descriptors, 2, limit.pollTimeout)
        guard descriptors[0].revents != 0 else { return }
        var rings = [UInt8](repeating: 0, count: 512)
        while read(readEnd, &rings, rings.count) == rings.count {}
    }
}

extension Duration {
    /// Milliseconds, rounded up, from 0 to a minute.
    fileprivate var pollTimeout: Int32 {
        if self <= .zero { return 0 }
        if self >= .seconds(60) { return 60_000 }
        let (seconds, attoseconds) = components
        return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
