/// Where the server listens: a loopback address and a port.
public struct HTTPAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IP address in digits, without brackets.
    public let host: String
    /// 0 lets the system choose.
    public let port: Int

    /// Why a text is no address to listen on; says what must stand there.
    public struct Mistake: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Reads `HOST:PORT` with HOST an IPv4 address, an IPv6 address in brackets, or `localhost` (127.0.0.1).
    public init(_ text: String) throws(Mistake) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw Mistake(description: "an address to listen on must be HOST:PORT, as in '127.0.0.1:8080', not '\(text)'")
        }
        let host = text[..<colon], digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits),
            port <= 65_535
        else {
            throw Mistake(description: "a port must be a number from 0 to 65535, not '\(digits)'")
        }
        guard !host.isEmpty else {
            throw Mistake(description: "an address to listen on must name its host, as in '127.0.0.1:\(port)': \(Self.whyLoopback)")
        }
        guard !host.utf8.contains(UInt8(ascii: ":")) || host.utf8.first == UInt8(ascii: "[") && host.utf8.last == UInt8(ascii: "]") else {
            throw Mistake(description: "an IPv6 address must stand in brackets, as in '[::1]:8080', not '\(text)'")
        }
        guard let address = Loopback(host) else {
            throw Mistake(
                description:
                    "the server must listen on a loopback address (127.0.0.1, [::1] or localhost), not '\(host)': \(Self.whyLoopback)")
        }
        self.host = address.numeric
        self.port = port
    }

    /// The same host with the port that the system chose.
    init(_ address: HTTPAddress, port: Int) {
        host = address.host
        self.port = port
    }

    static let whyLoopback = "there is no authentication yet, so whoever reaches the port could change rules and devices"

    public var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
