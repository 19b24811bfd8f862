import OutgoingHTTP
import RuleEngine

/// InfluxDB's HTTP interface, as far as 1.x, 2.x and 3 have it alike: `/query`, `/write`, `/ping`.
///
/// Everything goes to the server in the body of a POST: URLs end up in logs.
final class InfluxClient: Sendable {
    let configuration: InfluxConfiguration
    private let http: HTTPClient

    init(_ configuration: InfluxConfiguration) {
        self.configuration = configuration
        // What is more waits for its turn: a server that is asked a thousand things at once answers none of them in time.
        http = HTTPClient(limit: 16)
    }

    /// What the server said, or why it did not.
    enum Reply: Sendable {
        case answer(status: Int, retryAfter: Duration?)
        case none(reason: String, isRefusal: Bool)
    }

    func query(_ text: String, within limit: Duration, into content: any HTTPContentSink) async -> Reply {
        let form = [("db", configuration.database), ("epoch", "ns"), ("chunked", "true"), ("q", text)]
        return await post(
            "/query", Array(form.map { "\($0.0)=\(Self.escaped($0.1))" }.joined(separator: "&").utf8),
            type: "application/x-www-form-urlencoded", limit, content)
    }

    func write(_ lines: [UInt8], retentionPolicy: String?, within limit: Duration, into content: any HTTPContentSink) async -> Reply {
        let policy = retentionPolicy.map { "&rp=\(Self.escaped($0))" } ?? ""
        return await post(
            "/write?db=\(Self.escaped(configuration.database))&precision=ns\(policy)", lines, type: "text/plain; charset=utf-8", limit,
            content)
    }

    func ping(within limit: Duration) async -> Reply {
        reply(
            await http.send(
                HTTPRequest(
                    .get, url: .text(configuration.url.text + "/ping"), configuration: configuration.http, timeout: limit)))
    }

    private func post(_ path: String, _ body: [UInt8], type: String, _ limit: Duration, _ content: any HTTPContentSink) async -> Reply {
        reply(
            await http.send(
                HTTPRequest(
                    url: .text(configuration.url.text + path), configuration: configuration.http,
                    headers: [("Content-Type", type), ("Accept", "application/json")], body: body, timeout: limit, content: content)))
    }

    private func reply(_ answer: HTTPAnswer) -> Reply {
        switch answer {
        case .response(let status, let retryAfter): .answer(status: status, retryAfter: retryAfter)
        case .refused(let reason): .none(reason: "InfluxDB at \(reason)", isRefusal: true)
        case .noResponse(let reason, _): .none(reason: "InfluxDB at \(reason)", isRefusal: false)
        }
    }

    /// Percent encoding of everything but what RFC 3986 calls unreserved.
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: bytes.append(byte)
            default: bytes += [37, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the server said, without what is secret, on one line and not too long.
    func shown(_ text: String) -> String {
        var shown = text
        for secret in configuration.secrets {
            shown = shown.split(separator: secret, omittingEmptySubsequences: false).joined(separator: "***")
        }
        let line = shown.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : Character($0) }
        return String(line.prefix(500)).trimmed
    }

    /// A failure of a status that is no success.
    func failure(_ status: Int, _ said: String) -> HistoryFailure {
        let said = shown(said)
        let text = "InfluxDB answered \(status)\(said.isEmpty ? "" : ": \(said)")"
        switch status {
        case 408, 429, 500...: return .unavailable(text)
        case 300...399: return .refused("\(text): redirects are not followed")
        default: return .refused(text)
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
