public import Glibc

/// A TCP socket whose calls block; closed with its last owner.
public final class BlockingSocket: Sendable {
    public let descriptor: Int32

    public init(descriptor: Int32) { self.descriptor = descriptor }

    /// A new one, not connected.
    public convenience init() {
        self.init(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
    }

    /// Nil when nobody listens there.
    public convenience init?(connectingTo port: UInt16) {
        self.init()
        var address = Self.address(port)
        let descriptor = descriptor
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard code == 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// A place on the loopback; port 0: one that is free.
    public static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// Sends it whole, or as far as the other side takes it.
    public func send(_ bytes: [UInt8]) {
        var at = 0
        while at < bytes.count {
            let sent = bytes[at...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return }
            at += sent
        }
    }

    /// Nothing that came within so long counts as the end.
    public func limitReceiving(to limit: Duration) {
        // A `timeval`, whose Swift name belongs to whichever C module was seen first.
        var limit: (seconds: Int, microseconds: Int) = (Int(limit.components.seconds), 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
    }

    /// What is there, empty at the end.
    public func receive() -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        return Array(chunk.prefix(max(0, count)))
    }

    /// Ends both directions: whoever is in a call of it returns.
    public func shutDown() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// Listens on a free port of the loopback. While nobody accepts, the system completes connections, and nobody answers.
public final class LoopbackListener: Sendable {
    public let port: UInt16
    private let socket = BlockingSocket()

    public init() {
        var address = BlockingSocket.address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket.descriptor
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | listen(descriptor, 512) | getsockname(descriptor, $0, &size)
            }
        }
        precondition(code == 0, "no port to listen on: \(String(cString: strerror(errno)))")
        port = UInt16(bigEndian: address.sin_port)
    }

    /// The next client; nil after `close`, or when none came within so many milliseconds (-1: for ever).
    public func accept(withinMilliseconds limit: Int32 = -1) -> BlockingSocket? {
        var polled = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&polled, 1, limit) > 0 else { return nil }
        let client = Glibc.accept(socket.descriptor, nil, nil)
        guard client >= 0 else { return nil }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        return BlockingSocket(descriptor: client)
    }

    /// Nobody gets through any more.
    public func close() { socket.shutDown() }
}
