/// A setting that cannot be used. Never quotes the URL, which may hold a password.
public struct AMQPConfigurationMistake: Error, Sendable, Equatable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// Where the broker is and how it is used.
public struct AMQPConfiguration: Sendable, CustomStringConvertible {
    public let host: String
    public let port: Int32
    public let virtualHost: String
    public let isEncrypted: Bool
    let user: Secret
    let password: Secret
    /// Names of all exchanges and queues begin with it.
    public let prefix: String
    /// Certificates (PEM) that the broker's one may be signed by; of use with `amqps` only.
    public let caFile: String
    /// A silent connection is given up after twice this long. Whole seconds.
    public var heartbeat: Duration = .seconds(10)
    public var connectTimeout: Duration = .seconds(5)
    /// A message that is not confirmed after so long takes its connection to be lost.
    public var confirmTimeout: Duration = .seconds(30)
    /// Messages of one queue that may be with the consumer at once.
    public var prefetch: UInt16 = 256
    /// Messages that may wait for the broker; beyond it `schedule` says `unavailable`.
    public var queueLimit = 16_384

    /// - Parameters:
    ///   - url: `amqp://user:password@host:5672/vhost` or `amqps://` (port 5671); user and password `guest`, the virtual host `/` when left out.
    ///   - prefix: letters, digits, `.`, `-`, `_` and `:`.
    ///   - caFile: the system's certificates when nil.
    public init(url: String, prefix: String = "nodesphere", caFile: String? = nil) throws(AMQPConfigurationMistake) {
        let parts = try AMQPURL(url)
        guard (1...64).contains(prefix.utf8.count), prefix.utf8.allSatisfy(Self.mayBeInPrefix), !prefix.hasPrefix("amq.") else {
            throw AMQPConfigurationMistake("amqp.prefix must be 1 to 64 letters, digits, '.', '-', '_' or ':', and not begin with 'amq.'")
        }
        host = parts.host
        port = parts.port
        virtualHost = parts.virtualHost
        isEncrypted = parts.isEncrypted
        user = Secret(value: parts.user)
        password = Secret(value: parts.password)
        self.prefix = prefix
        self.caFile = caFile ?? "/etc/ssl/certs/ca-certificates.crt"
    }

    private static func mayBeInPrefix(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"): true
        default: false
        }
    }

    /// Without the account.
    public var description: String {
        "\(isEncrypted ? "amqps" : "amqp")://\(host.contains(":") ? "[\(host)]" : host):\(port) (virtual host '\(virtualHost)')"
    }
}

/// A text that is neither printed nor shown by `dump`.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let value: String
    var description: String { "***" }
    var debugDescription: String { "***" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// The parts of an AMQP URI (RabbitMQ's URI specification); user, password and virtual host are percent-decoded.
struct AMQPURL {
    var isEncrypted: Bool
    var user = "guest"
    var password = "guest"
    var host: String
    var port: Int32
    var virtualHost = "/"

    init(_ text: String) throws(AMQPConfigurationMistake) {
        var rest: Substring
        if let behind = text.behind("amqp://") {
            (isEncrypted, rest) = (false, behind)
        } else if let behind = text.behind("amqps://") {
            (isEncrypted, rest) = (true, behind)
        } else {
            throw AMQPConfigurationMistake("amqp.url must begin with 'amqp://' or 'amqps://'")
        }
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else {
            throw AMQPConfigurationMistake("amqp.url takes no parameters behind '?' or '#' (in a password they are %3F and %23)")
        }
        if let slash = rest.firstIndex(of: "/") {
            // Strictly an empty path is the virtual host named "", which nobody has; clients differ, this one takes it for the default.
            let path = rest[rest.index(after: slash)...]
            if !path.isEmpty { virtualHost = try Self.decoded(path, "virtual host") }
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let account = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(account[0], "user")
            password = account.count > 1 ? try Self.decoded(account[1], "password") : ""
            rest = rest[rest.index(after: at)...]
        }
        (host, port) = try Self.endpoint(rest, defaultPort: isEncrypted ? 5671 : 5672)
    }

    private static func endpoint(_ text: Substring, defaultPort: Int32) throws(AMQPConfigurationMistake) -> (String, Int32) {
        var host = text
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw AMQPConfigurationMistake("amqp.url: ']' is missing behind the address") }
            host = text[text.index(after: text.startIndex)..<end]
            let behind = text[text.index(after: end)...]
            guard behind.isEmpty || behind.first == ":" else {
                throw AMQPConfigurationMistake("amqp.url: only ':' and a port may stand behind ']'")
            }
            port = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty, !host.utf8.contains(where: { $0 <= 32 || $0 == 127 }) else {
            throw AMQPConfigurationMistake("amqp.url must name a host")
        }
        guard let port else { return (String(host), defaultPort) }
        guard let number = UInt16(port), number > 0 else { throw AMQPConfigurationMistake("amqp.url: the port must be 1 to 65535") }
        return (String(host), Int32(number))
    }

    private static func decoded(_ text: Substring, _ what: String) throws(AMQPConfigurationMistake) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                throw AMQPConfigurationMistake("amqp.url: '%' in the \(what) must be followed by two hexadecimal digits")
            }
            bytes.append(high << 4 | low)
        }
        // A NUL would end the text in the C library.
        guard !bytes.contains(0), let decoded = String(validating: bytes, as: UTF8.self) else {
            throw AMQPConfigurationMistake("amqp.url: the \(what) must be UTF-8 without NUL")
        }
        return decoded
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension String {
    fileprivate func behind(_ prefix: String) -> Substring? { hasPrefix(prefix) ? dropFirst(prefix.count) : nil }
}
