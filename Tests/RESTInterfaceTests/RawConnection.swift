import Dispatch
import Glibc

/// A bare TCP connection to 127.0.0.1, for requests that no client library would send. Reading waits on a thread of its own, never on
/// one of Swift's pool, nor on the global queue's, which shares its threads with the pool.
struct RawConnection: Sendable {
    struct Failure: Error { var step: String }

    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard status == 0 else { throw Failure(step: "connect") }
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw Failure(step: "write") }
    }

    /// What comes until the other side closes, or until `mark` has come.
    func receive(until mark: String? = nil) async throws -> String {
        let text: String? = await withCheckedContinuation { continuation in
            DispatchQueue(label: "connection").async { continuation.resume(returning: readAll(until: mark)) }
        }
        guard let text else { throw Failure(step: "read") }
        return text
    }

    private func readAll(until mark: String?) -> String? {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count >= 0 || errno == ECONNRESET else { return nil }
            guard count > 0 else { break }
            received += buffer[..<count]
            if let mark, String(decoding: received, as: UTF8.self).hasSuffix(mark) { break }
        }
        return String(decoding: received, as: UTF8.self)
    }

    func close() { _ = Glibc.close(descriptor) }
}
