import Foundation
import Synchronization

/// An HTTP/1.1 server on a free port of the loopback, a thread a connection: keeps what it was asked, answers as it is told.
public final class LoopbackServer: Sendable {
    public typealias Request = HTTPText
    public struct Answer: Sendable {
        enum Conduct: Sendable { case answer, silence, close, together(Int) }
        var status = 200
        var body = ""
        /// Lines that each end with CR LF.
        var headers = ""
        /// Bytes of the body that are not sent, whatever its length was said to be; then the connection is closed.
        var missing = 0
        var conduct = Conduct.answer

        public init(status: Int = 200, body: String = "", missing: Int = 0, headers: String = "") {
            (self.status, self.body, self.missing, self.headers) = (status, body, missing, headers)
        }

        private init(_ conduct: Conduct) { self.conduct = conduct }

        public static func status(_ status: Int, headers: String = "") -> Answer { Answer(status: status, headers: headers) }
        /// Reads and never answers.
        public static let silence = Answer(.silence)
        /// Reads and closes.
        public static let close = Answer(.close)
        /// Answers 200 only when so many requests are there at once.
        public static func together(_ count: Int) -> Answer { Answer(.together(count)) }
    }

    private struct State {
        var requests: [Request] = []
        var accepted = 0
        var present = 0
        var open: [ObjectIdentifier: BlockingSocket] = [:]
    }
    private let listener = LoopbackListener()
    private let answer: @Sendable (Request) -> Answer
    private let state = Mutex(State())
    /// Of requests that wait for each other.
    private let arrival = NSCondition()

    public init(_ answer: @escaping @Sendable (Request) -> Answer) {
        self.answer = answer
        let listener = listener
        Thread.detachNewThread { [weak self] in
            while let client = listener.accept() {
                guard let self else { return }
                greet(client)
            }
        }
    }

    deinit { listener.close() }

    public var port: UInt16 { listener.port }
    public var url: String { "http://127.0.0.1:\(port)" }
    public var requests: [Request] { state.withLock { $0.requests } }
    /// Connections that came so far.
    public var connections: Int { state.withLock { $0.accepted } }

    /// Listens no more, and ends the connections there are.
    public func stop() {
        listener.close()
        for socket in state.withLock({ $0.open.values }) { socket.shutDown() }
    }

    private func greet(_ client: BlockingSocket) {
        state.withLock { state in
            state.accepted += 1
            state.open[ObjectIdentifier(client)] = client
        }
        Thread.detachNewThread {
            self.serve(client)
            self.state.withLock { $0.open[ObjectIdentifier(client)] = nil }
        }
    }

    private func serve(_ client: BlockingSocket) {
        var bytes: [UInt8] = []
        while true {
            while let message = HTTPText(bytes), message.body.count >= message.length {
                bytes = Array(message.body.dropFirst(message.length))
                var request = message
                request.body = Array(message.body.prefix(message.length))
                state.withLock { $0.requests.append(request) }
                guard give(answer(request), to: client) else { return }
            }
            let more = client.receive()
            guard !more.isEmpty else { return }
            bytes += more
        }
    }

    /// False when that was the last answer of the connection.
    private func give(_ answer: Answer, to client: BlockingSocket) -> Bool {
        switch answer.conduct {
        case .answer: break
        case .silence:
            while !client.receive().isEmpty {}
            return false
        case .close: return false
        case .together(let count):
            arrival.lock()
            state.withLock { $0.present += 1 }
            arrival.broadcast()
            while state.withLock({ $0.present < count }) { arrival.wait() }
            arrival.unlock()
        }
        // RFC 9110 §15.3.5: 204 has no content.
        let body = answer.status == 204 ? [] : Array(answer.body.utf8)
        let head = "HTTP/1.1 \(answer.status) X\r\nContent-Length: \(body.count)\r\n\(answer.headers)\r\n"
        client.send(Array(head.utf8) + body.dropLast(answer.missing))
        return answer.missing == 0
    }
}

/// Head and body of a message, as far as they have come.
public struct HTTPText: Sendable {
    public var head: String
    public var body: [UInt8]
    public var text: String { String(decoding: body, as: UTF8.self) }
    /// Of a request.
    public var path: String { head.split(separator: " ").dropFirst().first.map(String.init) ?? "" }

    /// Nil while the head has not come whole.
    public init?(_ bytes: [UInt8]) {
        guard let end = Data(bytes).firstRange(of: Data("\r\n\r\n".utf8)) else { return nil }
        head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        body = Array(bytes[end.upperBound...])
    }

    public func header(_ name: String) -> String? {
        head.split(separator: "\r\n").dropFirst().first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
            .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    /// Of the whole body, as the head says.
    public var length: Int { header("Content-Length").flatMap(Int.init) ?? 0 }
}
