/// A request of a script or plugin.
public struct HTTPCall: Sendable, Equatable {
    public var method: String
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// Of the whole exchange.
    public var timeout: Duration

    public init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        timeout: Duration = .seconds(10)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }

    public static func == (left: HTTPCall, right: HTTPCall) -> Bool {
        left.method == right.method && left.url == right.url && left.body == right.body && left.timeout == right.timeout
            && left.headers.elementsEqual(right.headers) { $0 == $1 }
    }

    public func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
}

/// What came of it.
public enum HTTPReply: Sendable {
    /// Names of headers are lower case.
    case response(status: Int, headers: [(name: String, value: String)], body: [UInt8])
    /// Could not be sent as it is, and would not be another time.
    case refused(reason: String)
    case noResponse(reason: String, mayHaveArrived: Bool)
}

/// Sends HTTP requests.
///
/// Contract: one call is one request, which ends within its time; redirects are not followed; of a body no more than 1 MiB is kept. Reasons name no more of
/// the URL than scheme, host and port. A cancelled call ends soon.
public protocol HTTPRequesting: Sendable {
    func send(_ call: HTTPCall) async -> HTTPReply
}
