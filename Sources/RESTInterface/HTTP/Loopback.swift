import Glibc

/// A host, as URLs and addresses write it, that means this machine and nothing else.
struct Loopback: Sendable, Hashable {
    /// The address in digits, without brackets.
    let numeric: String

    /// `localhost` and names below it (RFC 6761 §6.3), 127.0.0.0/8, `[::1]`, and IPv4 loopback mapped into IPv6; nil for every other host.
    init?(_ host: some StringProtocol) {
        guard host.utf8.count <= 255, !host.utf8.contains(0) else { return nil }
        let lowered = host.lowercased()
        if lowered.utf8.first == UInt8(ascii: "["), lowered.utf8.last == UInt8(ascii: "]") {
            let inside = String(lowered.dropFirst().dropLast())
            guard Self.isIPv6Loopback(inside) else { return nil }
            numeric = inside
        } else if Self.isIPv4Loopback(lowered) {
            numeric = lowered
        } else {
            let name = lowered.hasSuffix(".") ? String(lowered.dropLast()) : lowered
            guard name == "localhost" || name.hasSuffix(".localhost") else { return nil }
            numeric = "127.0.0.1"
        }
    }

    private static func isIPv4Loopback(_ text: String) -> Bool {
        var address = in_addr()
        // The first byte in memory is the first of the address: s_addr is in network order.
        return inet_pton(AF_INET, text, &address) == 1 && withUnsafeBytes(of: address) { $0.first == 127 }
    }

    private static func isIPv6Loopback(_ text: String) -> Bool {
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return false }
        let bytes = withUnsafeBytes(of: address) { Array($0) }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127]
        return bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 || bytes.starts(with: mapped)
    }
}
