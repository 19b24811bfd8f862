import RuleEngine

#if canImport(Glibc)
    import Glibc
#endif

/// One POST.
struct HTTPRequest: Sendable {
    var url: Secret
    var configuration: HTTPConfiguration
    var headers: [(String, String)]
    var body: [UInt8]
    /// Of the whole transfer.
    var timeout: Duration
}

/// What came of it. Reasons name no more of the URL than scheme, host and port.
enum HTTPAnswer: Sendable, Equatable {
    case response(status: Int, retryAfter: Duration?)
    /// Could not be sent as it is, and would not be another time.
    case refused(reason: String)
    case noResponse(reason: String, mayHaveArrived: Bool)
}

/// A URL that may be asked: `http` or `https`, without control characters.
struct WebhookURL {
    let text: String
    /// Scheme, host and port: what may be logged.
    let origin: String

    /// Nil for anything else.
    init?(_ text: String) {
        guard !text.utf8.contains(where: { $0 <= 32 || $0 == 127 }), let mark = text.range(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = text[mark.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" && $0 != "\\" }
        let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        guard !host.isEmpty else { return nil }
        self.text = text
        origin = "\(scheme)://\(host)"
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
    func read() -> String? {
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
