import Glibc

/// How to reach a broker and who we are to it.
public struct MQTTConfiguration: Sendable {
    public enum Version: String, Sendable, CaseIterable {
        case v311 = "3.1.1"
        case v5 = "5"
    }

    /// A setting that cannot work. Holds no secrets.
    public struct Mistake: Error, Equatable, CustomStringConvertible {
        /// `mqtt.url`, `mqtt.ca_file`, …
        public var key: String
        public var message: String
        public var description: String { "\(key): \(message)" }
    }

    public let host: String
    public let port: UInt16
    public let usesTLS: Bool
    public let username: String?
    let password: String?
    public let clientID: String
    public let version: Version
    public let caFile: String?
    public let certFile: String?
    public let keyFile: String?
    public let shareGroup: String?
    /// Whole seconds. The sink gives up a batch it cannot take after half of it, for a held batch also holds the answers to keep-alive.
    public let keepAlive: Duration
    /// How long an MQTT 5 broker holds the session of a client that is away; with 3.1.1 the broker decides.
    public let sessionExpiry: Duration

    /// `url` is `mqtt://` or `mqtts://` with host and, when not 1883 or 8883, port; a name and password in it count where `username` is nil.
    /// Without `caFile`, `mqtts://` trusts the certificate authorities of the system (`/etc/ssl/certs`).
    public init(
        url: String, username: String? = nil, password: String? = nil, clientID: String, version: String = Version.v5.rawValue,
        caFile: String? = nil, certFile: String? = nil, keyFile: String? = nil, shareGroup: String? = nil,
        keepAlive: Duration = .seconds(60), sessionExpiry: Duration = .seconds(7 * 86_400)
    ) throws(Mistake) {
        let address = try Address(url)
        host = address.host
        port = address.port
        usesTLS = address.usesTLS
        self.username = username ?? address.username
        self.password = username == nil ? password ?? address.password : password
        self.clientID = clientID
        self.caFile = caFile
        self.certFile = certFile
        self.keyFile = keyFile
        self.shareGroup = shareGroup
        self.keepAlive = keepAlive
        self.sessionExpiry = sessionExpiry
        guard let known = Version(rawValue: version) else {
            throw Mistake(key: "mqtt.version", message: "must be 3.1.1 or 5, not '\(version)'")
        }
        self.version = known
        try checkIdentity()
        try checkFiles()
        // libmosquitto takes 5 s and more; the wire has 16 bits.
        guard (5...65_535).contains(keepAlive.components.seconds) else {
            throw Mistake(key: "mqtt.keep_alive", message: "must be between 5s and 65535s")
        }
        guard (0...Int64(UInt32.max)).contains(sessionExpiry.components.seconds) else {
            throw Mistake(key: "mqtt.session_expiry", message: "must be between 0s and 4294967295s")
        }
    }

    private func checkIdentity() throws(Mistake) {
        guard !clientID.isEmpty else {
            throw Mistake(key: "mqtt.client_id", message: "cannot be empty: the broker keeps the session under this name")
        }
        let texts = [("mqtt.client_id", clientID), ("mqtt.username", username ?? ""), ("mqtt.password", password ?? "")]
        for (key, text) in texts where text.utf8.count > 65_000 || text.utf8.contains(0) {
            throw Mistake(key: key, message: "cannot hold U+0000 or be longer than 65000 bytes")
        }
        guard password == nil || username != nil else {
            throw Mistake(key: "mqtt.password", message: "needs a username (mqtt.username)")
        }
        if let shareGroup, shareGroup.isEmpty || shareGroup.utf8.contains(where: { "/+#".utf8.contains($0) || $0 == 0 }) {
            throw Mistake(key: "mqtt.share_group", message: "is a name without '/', '+' and '#'")
        }
    }

    private func checkFiles() throws(Mistake) {
        guard (certFile == nil) == (keyFile == nil) else {
            throw Mistake(
                key: certFile == nil ? "mqtt.cert_file" : "mqtt.key_file", message: "a client certificate needs both cert_file and key_file"
            )
        }
        for (key, file) in [("mqtt.ca_file", caFile), ("mqtt.cert_file", certFile), ("mqtt.key_file", keyFile)] {
            guard let file else { continue }
            guard usesTLS else { throw Mistake(key: key, message: "needs an mqtts:// address") }
            guard !file.utf8.contains(0), access(file, R_OK) == 0 else {
                throw Mistake(key: key, message: "'\(file)' cannot be read: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// What is subscribed for a filter: put into the configured share group, unless it names one itself.
    public func effectiveFilter(_ filter: String) -> String {
        guard let shareGroup, !filter.utf8.starts(with: "$share/".utf8) else { return filter }
        return "$share/\(shareGroup)/\(filter)"
    }

    /// `mqtts://host:port`, for logs.
    public var address: String {
        "\(usesTLS ? "mqtts" : "mqtt")://\(host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host):\(port)"
    }
}

extension MQTTConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "\(address) as '\(clientID)' with MQTT \(version.rawValue)\(username.map { ", user '\($0)'" } ?? "")"
    }
    public var debugDescription: String { description }
    /// Keeps the password out of dumps.
    public var customMirror: Mirror { Mirror(self, children: ["configuration": description]) }
}

/// The parts of an `mqtt://` address.
private struct Address {
    var host: String
    var port: UInt16
    var usesTLS: Bool
    var username: String?
    var password: String?

    init(_ url: String) throws(MQTTConfiguration.Mistake) {
        func mistake(_ message: String) -> MQTTConfiguration.Mistake { .init(key: "mqtt.url", message: message) }
        guard let separator = url.firstRange(of: "://") else {
            throw mistake("must begin with mqtt:// or mqtts://")
        }
        switch url[..<separator.lowerBound].lowercased() {
        case "mqtt": usesTLS = false
        case "mqtts": usesTLS = true
        default: throw mistake("must begin with mqtt:// or mqtts://")
        }
        var rest = url[separator.upperBound...]
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(Self.decodingPercents)
            guard let name = parts[0], parts.count == 1 || parts[1] != nil else {
                throw mistake("the name or password has a '%' that is not followed by two hexadecimal digits")
            }
            username = name
            password = parts.count > 1 ? parts[1] : nil
            rest = rest[rest.index(after: at)...]
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.contains(where: { "/?#".contains($0) }) else { throw mistake("takes a host and a port, no path or query") }
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { throw mistake("the IPv6 address lacks its ']'") }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let behind = rest[rest.index(after: end)...]
            guard behind.isEmpty || behind.hasPrefix(":") else { throw mistake("after ']' only a port can follow") }
            portText = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = rest.lastIndex(of: ":") {
            host = String(rest[..<colon])
            portText = rest[rest.index(after: colon)...]
            guard !host.contains(":") else { throw mistake("an IPv6 address stands in brackets: mqtt://[::1]:1883") }
        } else {
            host = String(rest)
        }
        guard !host.isEmpty, !host.utf8.contains(0), !host.contains(where: \.isWhitespace) else { throw mistake("has no host") }
        port = usesTLS ? 8883 : 1883
        if let portText {
            guard let number = UInt16(portText), number > 0 else { throw mistake("the port '\(portText)' is not a number from 1 to 65535") }
            port = number
        }
    }

    private static func decodingPercents(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
