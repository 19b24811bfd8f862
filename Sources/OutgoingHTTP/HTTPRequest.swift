public import RuleEngine

#if canImport(Glibc)
    import Glibc
#endif

/// Takes the content of an answer as it comes. Called on the client's thread, one call at a time, so it must not block.
public protocol HTTPContentSink: AnyObject, Sendable {
    /// False when enough has come: the transfer is cut off.
    func take(_ bytes: UnsafeRawBufferPointer) -> Bool
    /// A line of the answer's head.
    func takeHeader(_ line: UnsafeRawBufferPointer)
}

extension HTTPContentSink {
    public func takeHeader(_ line: UnsafeRawBufferPointer) {}
}

public struct HTTPRequest: Sendable {
    public enum Method: Sendable, Equatable { case get, post, other(String) }

    public var method: Method
    public var url: Secret
    public var configuration: HTTPConfiguration
    public var headers: [(String, String)]
    /// Of a POST.
    public var body: [UInt8]
    /// Of the whole transfer.
    public var timeout: Duration
    /// Nil: the content of the answer is of no interest.
    public var content: (any HTTPContentSink)?

    public init(
        _ method: Method = .post, url: Secret, configuration: HTTPConfiguration, headers: [(String, String)] = [], body: [UInt8] = [],
        timeout: Duration, content: (any HTTPContentSink)? = nil
    ) {
        self.method = method
        self.url = url
        self.configuration = configuration
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.content = content
    }
}

/// What came of it. Reasons name no more of the URL than scheme, host and port.
public enum HTTPAnswer: Sendable, Equatable {
    case response(status: Int, retryAfter: Duration?)
    /// Could not be sent as it is, and would not be another time.
    case refused(reason: String)
    case noResponse(reason: String, mayHaveArrived: Bool)
}

/// A URL that may be asked: `http` or `https`, without control characters.
public struct RequestURL: Sendable {
    public let text: String
    /// Scheme, host and port: what may be logged.
    public let origin: String

    /// Nil for anything else.
    public init?(_ text: String) {
        guard !text.utf8.contains(where: { $0 <= 32 || $0 == 127 }), let mark = text.range(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = text[mark.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" && $0 != "\\" }
        // What stands before an `@` are credentials.
        let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        guard !host.isEmpty, Self.hasGoodPort(host) else { return nil }
        self.text = text
        origin = "\(scheme)://\(host)"
    }

    /// Behind the last colon, unless that stands in an IPv6 address.
    private static func hasGoodPort(_ host: Substring) -> Bool {
        guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") else { return true }
        let port = host[host.index(after: colon)...]
        return colon != host.startIndex && (port.isEmpty || UInt16(port).map { $0 > 0 } ?? false)
    }
}

extension String {
    fileprivate func range(of mark: String) -> Range<Index>? {
        let (text, wanted) = (utf8, Array(mark.utf8))
        var start = text.startIndex
        while start != text.endIndex {
            if text[start...].starts(with: wanted) { return start..<text.index(start, offsetBy: wanted.count) }
            start = text.index(after: start)
        }
        return nil
    }
}

extension Secret {
    /// Reads the file where there is one; blocks. Nil when it cannot be read, is no UTF-8 or longer than 64 KiB.
    public func read() -> String? {
        guard case .file(let path) = self else {
            if case .text(let text) = self { return text }
            return nil
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= 65_536 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { return nil }
            if count == 0 {
                while let last = bytes.last, last == 10 || last == 13 { bytes.removeLast() }
                return String(validating: bytes, as: UTF8.self)
            }
            bytes.append(contentsOf: chunk[..<count])
        }
        return nil
    }
}
