import Glibc

/// Whether a TCP connection to an address comes about in time.
///
/// libmosquitto's own connect has no time limit (a firewall that swallows packets blocks it for two minutes), and the one that does not block takes no
/// CONNECT properties, which the session expiry needs. So each attempt first tries the address here, where a stop ends the wait.
enum TCPProbe {
    /// Nil when the address answers; else why not. Returns early, with a reason, when `shouldStop` says so, which is asked
    /// at every signal of `wakeUp` and twice a second.
    static func failure(host: String, port: UInt16, limit: Duration, wakeUp: WakeUp, shouldStop: () -> Bool) -> String? {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { return "cannot resolve '\(host)': \(String(cString: gai_strerror(code)))" }
        defer { freeaddrinfo(list) }
        let deadline = ContinuousClock.now + limit
        var reason = "no address for '\(host)'"
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let failure = attempt(entry, deadline: deadline, wakeUp: wakeUp, shouldStop: shouldStop) else { return nil }
            reason = failure
        }
        return reason
    }

    private static func attempt(
        _ address: addrinfo, deadline: ContinuousClock.Instant, wakeUp: WakeUp, shouldStop: () -> Bool
    ) -> String? {
        let kind = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, address.ai_protocol)
        guard descriptor >= 0 else { return text(errno) }
        defer { close(descriptor) }
        if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return nil }
        guard errno == EINPROGRESS else { return text(errno) }
        while true {
            let left = deadline - .now
            guard left > .zero else { return "no answer within the time limit for connecting" }
            if shouldStop() { return "stopped" }
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&polled, 2, min(left, .milliseconds(500)).pollTimeout)
            if polled[1].revents != 0 { wakeUp.clear() }
            guard polled[0].revents != 0 else { continue }
            var failure: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 else { return text(errno) }
            return failure == 0 ? nil : text(failure)
        }
    }

    private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
