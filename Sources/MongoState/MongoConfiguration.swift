/// Where MongoDB is.
public struct MongoConfiguration: Sendable, CustomStringConvertible {
    /// `mongodb://…`; may hold a password, so it is never printed. The database is its path, `nodesphere` when it has none.
    public var uri: String
    /// How long a call looks for a server that can take it.
    public var serverSelectionTimeout: Duration
    /// How long an answer may take.
    public var socketTimeout: Duration

    public init(uri: String, serverSelectionTimeout: Duration = .seconds(3), socketTimeout: Duration = .seconds(15)) {
        self.uri = uri
        self.serverSelectionTimeout = serverSelectionTimeout
        self.socketTimeout = socketTimeout
    }

    public var description: String { "MongoDB" }

    /// What must never appear in a message: the URI's user information, its password alone, as written and with the percent signs decoded.
    var secrets: [String] {
        guard let scheme = uri.firstRange(of: "://") else { return [] }
        let rest = uri[scheme.upperBound...]
        guard let end = rest.prefix(while: { $0 != "/" }).lastIndex(of: "@") else { return [] }
        let user = rest[..<end]
        var found = [String(user)]
        if let colon = user.firstIndex(of: ":") { found.append(String(user[user.index(after: colon)...])) }
        found += found.map(Self.percentDecoded)
        return found.filter { !$0.isEmpty }.sorted { $0.utf8.count > $1.utf8.count }
    }

    private static func percentDecoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Duration {
    /// Whole milliseconds, at least 1, for the driver's options.
    var driverMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        let clamped = min(max(seconds, 0), 1_000_000)
        return Int32(max(1, clamped * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
