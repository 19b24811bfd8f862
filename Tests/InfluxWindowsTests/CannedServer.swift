import Glibc
import Synchronization

/// An HTTP/1.1 server on a free loopback port, a thread a connection: keeps what it was asked, answers as it is told, and closes after each answer.
final class CannedServer: Sendable {
    struct Request: Sendable {
        var head: String
        var body: String
    }
    struct Answer: Sendable {
        var status = 200
        var body = ""
        /// Nothing is said at all.
        var isSilent = false
        /// The body is cut off, whatever its length was said to be.
        var missing = 0
        var headers = ""
    }

    let port: UInt16
    private let listener: Int32
    private let answer: @Sendable (Request) -> Answer
    private let taken = Mutex<[Request]>([])

    init(_ answer: @escaping @Sendable (Request) -> Answer) {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, length)
                _ = getsockname(descriptor, $0, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        _ = listen(listener, 128)
        Self.thread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                Self.thread { [self] in serve(client) }
            }
        }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { taken.withLock { $0 } }
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ client: Int32) {
        defer { close(client) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(client, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            bytes += chunk[..<count]
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n") else { continue }
            let head = String(text[..<end.lowerBound])
            let length =
                head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }.flatMap {
                    Int($0.dropFirst(15).filter(\.isNumber))
                } ?? 0
            guard text[end.upperBound...].utf8.count >= length else { continue }
            let request = Request(head: head, body: String(text[end.upperBound...]))
            taken.withLock { $0.append(request) }
            return say(answer(request), to: client, &chunk)
        }
    }

    private func say(_ answer: Answer, to client: Int32, _ chunk: inout [UInt8]) {
        if answer.isSilent {
            while recv(client, &chunk, chunk.count, 0) > 0 {}
            return
        }
        let head = "HTTP/1.1 \(answer.status) X\r\nContent-Length: \(answer.body.utf8.count)\r\nConnection: close\r\n\(answer.headers)\r\n"
        let text = Array(head.utf8) + Array(answer.body.utf8).dropLast(answer.missing)
        var at = 0
        while at < text.count {
            let sent = text[at...].withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return }
            at += sent
        }
    }

    private static func thread(_ body: @escaping @Sendable () -> Void) {
        final class Box {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { box in
                if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
                return nil
            }, Unmanaged.passRetained(Box(body)).toOpaque())
        pthread_detach(thread)
    }
}
