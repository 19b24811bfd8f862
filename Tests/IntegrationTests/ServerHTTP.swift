import Foundation
import Glibc
import RuleEngine
import Synchronization
import TestSupport

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
        socket.limitReceiving(to: patience)
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

    private let book = Book()
    private let server: LoopbackServer

    /// What is answered, and what was taken.
    private final class Book: Sendable {
        let status = Mutex<Int?>(200)
        let taken = Mutex<[Delivery]>([])

        func answer(to request: LoopbackServer.Request) -> LoopbackServer.Answer {
            guard let status = status.withLock({ $0 }) else { return .silence }
            if status < 300, let document = try? Document(json: request.body) {
                let delivery = Delivery(id: request.header("Nodesphere-Notification-Id") ?? "", document: document, at: .now)
                taken.withLock { $0.append(delivery) }
            }
            return .status(status)
        }
    }

    init() { server = LoopbackServer { [book] in book.answer(to: $0) } }

    func close() { server.stop() }

    var port: UInt16 { server.port }
    var url: String { "\(server.url)/" }
    var deliveries: [Delivery] { book.taken.withLock { $0 } }
    /// Requests, whatever was answered.
    var attempts: Int { server.requests.count }
    /// What is answered from now on; nil: nothing, for as long as the client has patience.
    func answer(_ new: Int?) { book.status.withLock { $0 = new } }

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
