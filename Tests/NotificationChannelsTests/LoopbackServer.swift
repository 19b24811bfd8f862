import Glibc
import Synchronization

/// A small HTTP/1.1 server on a free loopback port, a thread a connection: records requests, answers as it is told.
final class LoopbackServer: Sendable {
    struct Request: Sendable {
        var head: String
        var body: [UInt8]
        /// Number of the connection it came on.
        var connection: Int
    }
    enum Answer: Sendable {
        case status(Int, headers: String = "")
        case content(Int, String, headers: String = "")
        /// Reads and never answers.
        case silence
        /// Reads and closes.
        case close
        /// Answers 200 only when so many requests are there at once.
        case together(Int)
    }

    let port: UInt16
    private let listener: Int32
    private let answer: @Sendable (Request) -> Answer
    private let state = Mutex(State())
    private struct State {
        var requests: [Request] = []
        var connections = 0
        var present = 0
        var sockets: Set<Int32> = []
    }

    init(_ answer: @escaping @Sendable (Request) -> Answer) {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var length = size
        let fd = listener
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = bind(fd, address, size)
                _ = getsockname(fd, address, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        _ = listen(listener, 512)
        spawn { [self] in accepting() }
    }

    var requests: [Request] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }
    var url: String { "http://127.0.0.1:\(port)/hook" }

    func stop() {
        // The accepting thread closes it: a number that is given back here could be another server's by the time that thread uses it.
        shutdown(listener, Int32(SHUT_RDWR))
        state.withLock { for socket in $0.sockets { shutdown(socket, Int32(SHUT_RDWR)) } }
    }

    private func accepting() {
        while true {
            let socket = accept(listener, nil, nil)
            guard socket >= 0 else {
                close(listener)
                return
            }
            let number = state.withLock { state in
                state.connections += 1
                state.sockets.insert(socket)
                return state.connections
            }
            spawn { [self] in
                serve(socket, number)
                state.withLock { _ = $0.sockets.remove(socket) }
                close(socket)
            }
        }
    }

    private func serve(_ socket: Int32, _ number: Int) {
        var buffer: [UInt8] = []
        while let request = read(socket, &buffer, number) {
            state.withLock { $0.requests.append(request) }
            switch answer(request) {
            case .silence:
                var byte: UInt8 = 0
                while recv(socket, &byte, 1, 0) > 0 {}
                return
            case .close: return
            case .together(let count):
                state.withLock { $0.present += 1 }
                while state.withLock({ $0.present < count }) { usleep(500) }
                send(socket, 200, "")
            case .status(let status, let headers): send(socket, status, headers)
            case .content(let status, let content, let headers): send(socket, status, headers, content)
            }
        }
    }

    private func send(_ socket: Int32, _ status: Int, _ headers: String, _ content: String = "ok") {
        // RFC 9110 §15.3.5: 204 has no content.
        let body = status == 204 ? "" : content
        let text = Array("HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)".utf8)
        var sent = 0
        while sent < text.count {
            let count = text.withUnsafeBytes { Glibc.send(socket, $0.baseAddress! + sent, text.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            sent += count
        }
    }

    private func read(_ socket: Int32, _ buffer: inout [UInt8], _ number: Int) -> Request? {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let text = String(decoding: buffer, as: UTF8.self)
            if let end = text.utf8Offset(of: "\r\n\r\n") {
                let head = String(decoding: buffer[..<end], as: UTF8.self)
                let length =
                    head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }.flatMap {
                        Int($0.dropFirst(15).filter(\.isNumber))
                    } ?? 0
                if buffer.count >= end + 4 + length {
                    let body = Array(buffer[(end + 4)..<(end + 4 + length)])
                    buffer.removeFirst(end + 4 + length)
                    return Request(head: head, body: body, connection: number)
                }
            }
            let count = recv(socket, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            buffer += chunk[..<count]
        }
    }
}

extension String {
    fileprivate func utf8Offset(of mark: String) -> Int? {
        let (bytes, wanted) = (Array(utf8), Array(mark.utf8))
        guard bytes.count >= wanted.count else { return nil }
        return (0...(bytes.count - wanted.count)).first { Array(bytes[$0..<($0 + wanted.count)]) == wanted }
    }
}

private func spawn(_ body: @escaping @Sendable () -> Void) {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
        &thread, nil,
        { box in
            if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
            return nil
        }, box)
    pthread_detach(thread)
}
