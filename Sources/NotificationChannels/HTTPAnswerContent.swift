import OutgoingHTTP
import Synchronization

/// Headers and body of an answer; of a body no more than 1 MiB is kept, and the rest is passed over.
final class HTTPAnswerContent: HTTPContentSink {
    static let limit = 1 << 20
    static let headerLimit = 200

    private struct State {
        var headers: [(name: String, value: String)] = []
        var body: [UInt8] = []
    }
    private let state = Mutex(State())

    /// Names of headers are lower case.
    var taken: (headers: [(name: String, value: String)], body: [UInt8]) { state.withLock { ($0.headers, $0.body) } }

    func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let piece = Array(bytes)
        state.withLock { $0.body += piece.prefix(Self.limit - $0.body.count) }
        return true
    }

    /// A status line begins a new answer (after "100 Continue").
    func takeHeader(_ line: UnsafeRawBufferPointer) {
        let isStatus = line.starts(with: "HTTP/".utf8)
        let header = line.firstIndex(of: UInt8(ascii: ":")).map { colon in
            (name: Self.text(line[..<colon]).lowercased(), value: Self.text(line[(colon + 1)...]))
        }
        state.withLock { state in
            if isStatus { state.headers = [] }
            if let header, !isStatus, state.headers.count < Self.headerLimit { state.headers.append(header) }
        }
    }

    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        let start = bytes.drop { $0 <= 32 }
        let end = start.lastIndex { $0 > 32 }.map { $0 + 1 } ?? start.startIndex
        return String(decoding: start[start.startIndex..<end], as: UTF8.self)
    }
}
