import Foundation
import Glibc
import Synchronization

/// An HTTP server that answers what it is told to, a thread a connection; it keeps what it was asked.
final class AnsweringServer: Sendable {
    struct Answer: Sendable {
        var status = 200
        var headers: [String] = []
        var body = ""
        /// Nothing is said, for as long as the client has patience.
        var isSilent = false
    }

    let port: UInt16
    private let listener: BlockingSocket
    private let taken = Mutex<[String]>([])
    private let answer: @Sendable (_ path: String) -> Answer

    init(_ answer: @escaping @Sendable (_ path: String) -> Answer) throws {
        self.answer = answer
        listener = BlockingSocket(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var address = BlockingSocket.address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener.descriptor
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | listen(descriptor, 64) | getsockname(descriptor, $0, &size)
            }
        }
        guard code == 0 else { throw WireFailure(description: "listen: \(String(cString: strerror(errno)))") }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [weak self] in
            while case let client = accept(descriptor, nil, nil), client >= 0 {
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                let socket = BlockingSocket(descriptor: client)
                guard let self else { return }
                Thread.detachNewThread { self.serve(socket) }
            }
        }
    }

    /// Heads and bodies of the requests.
    var requests: [String] { taken.withLock { $0 } }
    func close() { shutdown(listener.descriptor, Int32(SHUT_RDWR)) }

    private func serve(_ socket: BlockingSocket) {
        var bytes: [UInt8] = []
        while true {
            while let request = HTTPText(bytes), request.body.count >= request.length {
                bytes = Array(request.body.dropFirst(request.length))
                taken.withLock { $0.append("\(request.head)\n\(String(decoding: request.body.prefix(request.length), as: UTF8.self))") }
                let answer = answer(request.head.split(separator: " ").dropFirst().first.map(String.init) ?? "")
                if answer.isSilent {
                    while !socket.receive().isEmpty {}
                    return
                }
                let headers = answer.headers.map { "\($0)\r\n" }.joined()
                socket.send(
                    Array("HTTP/1.1 \(answer.status) X\r\n\(headers)Content-Length: \(answer.body.utf8.count)\r\n\r\n\(answer.body)".utf8))
            }
            let more = socket.receive()
            guard !more.isEmpty else { return }
            bytes += more
        }
    }
}
