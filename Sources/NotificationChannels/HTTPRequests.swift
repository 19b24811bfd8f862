public import OutgoingHTTP
public import RuleEngine

/// Requests of scripts and plugins.
public struct HTTPRequests: HTTPRequesting {
    private let client: HTTPClient

    public init(_ client: HTTPClient) { self.client = client }

    private static let methods: [String: HTTPRequest.Method] = [
        "GET": .get, "POST": .post, "PUT": .other("PUT"), "PATCH": .other("PATCH"), "DELETE": .other("DELETE"),
    ]

    public func send(_ call: HTTPCall) async -> HTTPReply {
        guard let method = Self.methods[call.method] else { return .refused(reason: "there is no method '\(call.method)' here") }
        guard call.headers.allSatisfy({ Self.isHeaderName($0.name) }) else {
            return .refused(reason: "a header's name has a character that it cannot have")
        }
        let content = HTTPAnswerContent()
        let answer = await client.send(
            HTTPRequest(
                method, url: .text(call.url), configuration: HTTPConfiguration(), headers: call.headers.map { ($0.name, $0.value) },
                body: call.body, timeout: call.timeout, content: content))
        switch answer {
        case .response(let status, _):
            let (headers, body) = content.taken
            return .response(status: status, headers: headers, body: body)
        case .refused(let reason): return .refused(reason: reason)
        case .noResponse(let reason, let mayHaveArrived): return .noResponse(reason: reason, mayHaveArrived: mayHaveArrived)
        }
    }

    /// RFC 9110 §5.6.2: a token.
    private static func isHeaderName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }
}
