import Glibc

/// Ends a `poll` of another thread. One signal is enough for any number of reasons; the reasons themselves lie behind a lock elsewhere.
final class WakeUp: Sendable {
    /// The reading end of a pipe, readable while signalled; -1 when the process has no descriptor left: then waits end by their timeouts alone.
    let descriptor: Int32
    private let writingEnd: Int32

    init() {
        var ends: (reading: Int32, writing: Int32) = (-1, -1)
        let isMade = withUnsafeMutableBytes(of: &ends) { pipe($0.assumingMemoryBound(to: Int32.self).baseAddress) == 0 }
        if isMade {
            for end in [ends.reading, ends.writing] {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
            }
        }
        descriptor = isMade ? ends.reading : -1
        writingEnd = isMade ? ends.writing : -1
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if writingEnd >= 0 { close(writingEnd) }
    }

    func signal() {
        // A full pipe is signalled already.
        var byte: UInt8 = 0
        _ = write(writingEnd, &byte, 1)
    }

    func clear() {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
            while read(descriptor, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }

    /// Sleeps for `duration` or until signalled, whichever comes first. The signal stays.
    func wait(_ duration: Duration) {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&polled, 1, duration.pollTimeout)
    }
}

extension Duration {
    /// Milliseconds for `poll`, rounded up, at least 0 and at most a minute.
    var pollTimeout: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 60 else { return 60_000 }
        return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
