import Foundation
import Glibc
import RuleEngine
import Synchronization

/// A socket on the loopback whose calls block; closed with the value.
final class BlockingSocket: Sendable {
    let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// Nil when nobody listens there.
    convenience init?(connectingTo port: UInt16) {
        self.init(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        // A timeval on 64-bit Linux: the type itself comes through whichever C module was loaded first, which need not be imported here.
        var limit = (seconds: Int(patience.components.seconds), microseconds: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
        var address = Self.address(port)
        let descriptor = descriptor
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard code == 0 else { return nil }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var at = 0
        while at < bytes.count {
            let sent = bytes[at...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return }
            at += sent
        }
    }

    /// What is there, empty at the end.
    func receive() -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        return Array(chunk.prefix(max(0, count)))
    }
}

/// A head and a body, as far as they have come.
struct HTTPText {
    var head: String
    var body: [UInt8]

    /// Nil while the head has not come whole.
    init?(_ bytes: [UInt8]) {
        guard let end = Data(bytes).firstRange(of: Data("\r\n\r\n".utf8)) else { return nil }
        head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        body = Array(bytes[end.upperBound...])
    }

    func header(_ name: String) -> String? {
        head.split(separator: "\r\n").dropFirst().first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
            .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    var length: Int { header("Content-Length").flatMap(Int.init) ?? 0 }
}

struct HTTPAnswer: Sendable {
    /// 0 when nobody answered.
    var status: Int
    var text: String
    var json: Document { (try? Document(json: text)) ?? .null }
}

func http(_ method: String, port: UInt16, _ path: String, _ body: String? = nil, type: String = "application/json") async -> HTTPAnswer {
    let answer = try? await onThread { () -> HTTPAnswer in
        let none = HTTPAnswer(status: 0, text: "")
        guard let socket = BlockingSocket(connectingTo: port) else { return none }
        let content = body.map { "Content-Type: \(type)\r\nContent-Length: \($0.utf8.count)\r\n" } ?? ""
        socket.send(Array("\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\(content)\r\n\(body ?? "")".utf8))
        var bytes: [UInt8] = []
        while true {
            let more = socket.receive()
            if more.isEmpty { break }
            bytes += more
        }
        guard let text = HTTPText(bytes), let status = text.head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            return none
        }
        let body = text.head.lowercased().contains("transfer-encoding: chunked") ? unchunked(text.body) : Array(text.body)
        return HTTPAnswer(status: status, text: String(decoding: body, as: UTF8.self))
    }
    return answer ?? HTTPAnswer(status: 0, text: "")
}

/// The content of a body in chunks (RFC 9112 §7.1); extensions and trailers are not looked at.
private func unchunked(_ body: some Collection<UInt8>) -> [UInt8] {
    var rest = Array(body)[...]
    var content: [UInt8] = []
    while let end = rest.firstIndex(of: 10), let size = Int(String(decoding: rest[..<end].filter { $0 != 13 }, as: UTF8.self), radix: 16),
        size > 0
    {
        content += rest[(end + 1)...].prefix(size)
        rest = rest[(end + 1)...].dropFirst(size + 2)
    }
    return content
}

/// A receiver of notifications that keeps what it took; `answer` is the status it gives.
final class WebhookReceiver: Sendable {
    struct Delivery: Sendable {
        var id: String
        var document: Document
        var at: ContinuousClock.Instant
    }
    /// One alert of a document, once for each intent.
    struct Alert: Sendable {
        var id: String
        var status: String
        var labels: [String: String]
        var annotations: [String: String]
        var at: ContinuousClock.Instant
        var value: Document
        var startsAt: String
    }

    let port: UInt16
    private let listener: BlockingSocket
    private let status = Mutex<Int?>(200)
    private let taken = Mutex<[Delivery]>([])
    private let attempted = Mutex<Int>(0)

    init() throws {
        let listener = BlockingSocket(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var address = BlockingSocket.address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.descriptor, $0, size) | listen(listener.descriptor, 512) | getsockname(listener.descriptor, $0, &size)
            }
        }
        guard code == 0 else { throw WireFailure(description: "listen: \(String(cString: strerror(errno)))") }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        let descriptor = listener.descriptor
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(descriptor, nil, nil)
                guard client >= 0 else { return }
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                let socket = BlockingSocket(descriptor: client)
                guard let self else { return }
                Thread.detachNewThread { self.serve(socket) }
            }
        }
    }

    func close() { shutdown(listener.descriptor, Int32(SHUT_RDWR)) }

    var url: String { "http://127.0.0.1:\(port)/" }
    var deliveries: [Delivery] { taken.withLock { $0 } }
    /// Requests, whatever was answered.
    var attempts: Int { attempted.withLock { $0 } }
    /// What is answered from now on; nil: nothing, for as long as the client has patience.
    func answer(_ new: Int?) { status.withLock { $0 = new } }

    private func serve(_ socket: BlockingSocket) {
        var bytes: [UInt8] = []
        while true {
            let more = socket.receive()
            guard !more.isEmpty else { return }
            bytes += more
            while let request = HTTPText(bytes), request.body.count >= request.length {
                bytes = Array(request.body.dropFirst(request.length))
                guard let status = answer(to: request) else {
                    while !socket.receive().isEmpty {}
                    return
                }
                socket.send(Array("HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n".utf8))
            }
        }
    }

    private func answer(to request: HTTPText) -> Int? {
        attempted.withLock { $0 += 1 }
        let status = status.withLock { $0 }
        if let status, status < 300, let document = try? Document(json: request.body.prefix(request.length)) {
            let delivery = Delivery(id: request.header("Nodesphere-Notification-Id") ?? "", document: document, at: .now)
            taken.withLock { $0.append(delivery) }
        }
        return status
    }

    func alerts(_ status: String? = nil, _ name: String? = nil, device: String? = nil) -> [Alert] {
        var seen = Set<String>()
        return deliveries.filter { seen.insert($0.id).inserted }.flatMap { delivery in
            let values = delivery.document["nodesphere"]?["alerts"]?.array ?? []
            return (delivery.document["alerts"]?.array ?? []).enumerated().map { index, alert in
                Alert(
                    id: delivery.id, status: alert["status"]?.string ?? "", labels: alert["labels"]?.strings ?? [:],
                    annotations: alert["annotations"]?.strings ?? [:], at: delivery.at,
                    value: values.indices.contains(index) ? values[index]["value"] ?? .null : .null,
                    startsAt: alert["startsAt"]?.string ?? "")
            }
        }.filter { alert in
            (status == nil || alert.status == status) && (name == nil || alert.labels["alertname"] == name)
                && (device == nil || alert.labels["device"] == device)
        }
    }

    /// Waits for the first such alert.
    func first(_ status: String, _ name: String, device: String? = nil) async -> Alert? {
        await eventually { alerts(status, name, device: device).first }
    }
}
