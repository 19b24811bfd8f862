/// The network extension: `ip`, `cidr` and what can be asked of them.
enum NetworkFunctions {
    static let all: [StandardFunction] =
        [
            parse("ip", .string, .opaque("net.IP")) { IPAddress($0) },
            parse("cidr", .string, .opaque("net.CIDR")) { CIDRBlock($0) },
            test("isIP") { IPAddress($0) != nil }, test("isCIDR") { CIDRBlock($0) != nil }, isCanonical,
            question("family") { .int($0.isVersion4 ? 4 : 6) }, question("isUnspecified") { .bool($0.isUnspecified) },
            question("isLoopback") { .bool($0.isLoopback) }, question("isGlobalUnicast") { .bool($0.isGlobalUnicast) },
            question("isLinkLocalMulticast") { .bool($0.isLinkLocalMulticast) },
            question("isLinkLocalUnicast") { .bool($0.isLinkLocalUnicast) }, containsIP, containsCIDR,
            part("ip", .opaque("net.IP")) { .opaque($0.address) }, part("masked", .opaque("net.CIDR")) { .opaque($0.masked) },
            part("prefixLength", .int) { .int(Int64($0.prefix)) },
        ]

    private static func parse(
        _ name: String, _ from: CELType, _ result: CELType, _ make: @escaping @Sendable (String) -> (any OpaqueValue)?
    ) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(from, to: result)],
            .unary { (value, _, span) throws(Fault) in
                guard case .string(let text) = value else { throw Fault(noOverload: name, [value.kind], span) }
                guard let made = make(text) else { throw Fault(.conversion, span, name == "ip" ? "not an IP address" : "not a CIDR block") }
                return .opaque(made)
            })
    }

    private static func test(_ name: String, _ test: @escaping @Sendable (String) -> Bool) -> StandardFunction {
        StandardFunction(
            name, .global, [.of(.string, to: .bool)],
            .unary { (value, _, span) throws(Fault) in
                guard case .string(let text) = value else { throw Fault(noOverload: name, [value.kind], span) }
                return .bool(test(text))
            })
    }

    static let isCanonical = StandardFunction(
        "ip.isCanonical", .global, [.of(.string, to: .bool)],
        .unary { (value, _, span) throws(Fault) in
            guard case .string(let text) = value else { throw Fault(noOverload: "ip.isCanonical", [value.kind], span) }
            guard let address = IPAddress(text) else { throw Fault(.conversion, span, "not an IP address") }
            return .bool(address.canonical.hasSameBytes(as: text))
        })

    private static func question(_ name: String, _ answer: @escaping @Sendable (IPAddress) -> Value) -> StandardFunction {
        let result: CELType = name == "family" ? .int : .bool
        return StandardFunction(
            name, .member, [.of(.opaque("net.IP"), to: result)],
            .unary { (value, _, span) throws(Fault) in
                guard case .opaque(let opaque) = value, let address = opaque as? IPAddress else {
                    throw Fault(noOverload: name, [value.kind], span)
                }
                return answer(address)
            })
    }

    private static func part(_ name: String, _ result: CELType, _ answer: @escaping @Sendable (CIDRBlock) -> Value) -> StandardFunction {
        StandardFunction(
            name, .member, [.of(.opaque("net.CIDR"), to: result)],
            .unary { (value, _, span) throws(Fault) in
                guard case .opaque(let opaque) = value, let block = opaque as? CIDRBlock else {
                    throw Fault(noOverload: name, [value.kind], span)
                }
                return answer(block)
            })
    }

    private static func containment<Inner: OpaqueValue>(
        _ name: String, _ inner: CELType, _ make: @escaping @Sendable (String) -> Inner?,
        _ test: @escaping @Sendable (CIDRBlock, Inner) -> Bool
    ) -> StandardFunction {
        StandardFunction(
            name, .member, [.of(.opaque("net.CIDR"), inner, to: .bool), .of(.opaque("net.CIDR"), .string, to: .bool)],
            .binary { (block, other, _, span) throws(Fault) in
                guard case .opaque(let opaque) = block, let block = opaque as? CIDRBlock else {
                    throw Fault(noOverload: name, [block.kind, other.kind], span)
                }
                switch other {
                case .string(let text):
                    guard let made = make(text) else { throw Fault(.conversion, span, "not an address") }
                    return .bool(test(block, made))
                case .opaque(let opaque):
                    guard let made = opaque as? Inner else { throw Fault(noOverload: name, [.opaque, .opaque], span) }
                    return .bool(test(block, made))
                default: throw Fault(noOverload: name, [.opaque, other.kind], span)
                }
            })
    }

    static let containsIP = containment("containsIP", .opaque("net.IP"), { IPAddress($0) }, { $0.contains($1) })
    static let containsCIDR = containment("containsCIDR", .opaque("net.CIDR"), { CIDRBlock($0) }, { $0.contains($1) })
}

/// An IPv4 or IPv6 address. Zones and dotted IPv4 addresses inside IPv6 ones are refused.
final class IPAddress: OpaqueValue {
    /// 4 or 16, in network order.
    let octets: [UInt8]

    init(octets: [UInt8]) { self.octets = octets }

    convenience init?(_ text: String) {
        guard text.utf8.count <= 64 else { return nil }
        let bytes = Array(text.utf8)
        guard let octets = bytes.contains(UInt8(ascii: ":")) ? IPAddress.version6(bytes) : IPAddress.version4(bytes)
        else {
            return nil
        }
        self.init(octets: octets)
    }

    private static func version4(_ text: [UInt8]) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var octets: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(Lexer.isDigit), part.count == 1 || part.first != UInt8(ascii: "0") else {
                return nil
            }
            let value = part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            guard let octet = UInt8(exactly: value) else { return nil }
            octets.append(octet)
        }
        return octets
    }

    private static func version6(_ text: [UInt8]) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        var halves: [[UInt8]] = [[], []]
        var half = 0
        var rest = text[...]
        if rest.starts(with: [colon, colon]) {
            half = 1
            rest = rest.dropFirst(2)
        } else if rest.first == colon {
            return nil
        }
        while !rest.isEmpty {
            let group = rest.prefix { $0 != colon }
            rest = rest.dropFirst(group.count)
            guard (1...4).contains(group.count) else { return nil }
            var value: UInt16 = 0
            for digit in group {
                guard let digit = Lexer.hexValue(digit) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            halves[half] += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
            if rest.isEmpty { break }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard half == 0 else { return nil }
                half = 1
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        let missing = 16 - halves[0].count - halves[1].count
        guard half == 0 ? missing == 0 : missing >= 2 else { return nil }
        return halves[0] + [UInt8](repeating: 0, count: missing) + halves[1]
    }

    var isVersion4: Bool { octets.count == 4 }

    /// RFC 5952: lower case, the longest run of zero groups shortened.
    var canonical: String {
        if isVersion4 { return octets.map { String($0) }.joined(separator: ".") }
        let groups = (0..<8).map { UInt16(octets[2 * $0]) << 8 | UInt16(octets[2 * $0 + 1]) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start >= 2 { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
    }

    var isUnspecified: Bool { octets.allSatisfy { $0 == 0 } }
    var isLoopback: Bool { isVersion4 ? octets[0] == 127 : octets[..<15].allSatisfy { $0 == 0 } && octets[15] == 1 }
    var isMulticast: Bool { isVersion4 ? octets[0] & 0xF0 == 0xE0 : octets[0] == 0xFF }
    var isLinkLocalMulticast: Bool {
        isVersion4 ? octets[0] == 224 && octets[1] == 0 && octets[2] == 0 : octets[0] == 0xFF && octets[1] & 0x0F == 2
    }
    var isLinkLocalUnicast: Bool {
        isVersion4 ? octets[0] == 169 && octets[1] == 254 : octets[0] == 0xFE && octets[1] & 0xC0 == 0x80
    }
    var isGlobalUnicast: Bool {
        let isBroadcast = isVersion4 && octets.allSatisfy { $0 == 255 }
        return !isBroadcast && !isUnspecified && !isLoopback && !isMulticast && !isLinkLocalUnicast
    }

    var typeName: CELTypeName { CELTypeName("net.IP") }
    var text: String? { canonical }
    func isEqual(to other: any OpaqueValue) -> Bool { (other as? IPAddress)?.octets == octets }
}

/// An address and the length of its network's prefix.
final class CIDRBlock: OpaqueValue {
    let address: IPAddress
    let prefix: Int

    init(address: IPAddress, prefix: Int) {
        self.address = address
        self.prefix = prefix
    }

    convenience init?(_ text: String) {
        guard text.utf8.count <= 80 else { return nil }
        let bytes = Array(text.utf8)
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")),
            let address = IPAddress(String(decoding: bytes[..<slash], as: UTF8.self))
        else { return nil }
        let digits = bytes[(slash + 1)...]
        guard (1...3).contains(digits.count), digits.allSatisfy(Lexer.isDigit), digits.count == 1 || digits.first != UInt8(ascii: "0")
        else {
            return nil
        }
        let prefix = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard prefix <= address.octets.count * 8 else { return nil }
        self.init(address: address, prefix: prefix)
    }

    var masked: CIDRBlock { CIDRBlock(address: CIDRBlock.mask(address, prefix), prefix: prefix) }

    private static func mask(_ address: IPAddress, _ prefix: Int) -> IPAddress {
        var octets = address.octets
        for index in octets.indices {
            let kept = min(8, max(0, prefix - index * 8))
            octets[index] &= UInt8(truncatingIfNeeded: 0xFF00 >> UInt16(kept))
        }
        return IPAddress(octets: octets)
    }

    func contains(_ other: IPAddress) -> Bool {
        other.octets.count == address.octets.count && CIDRBlock.mask(other, prefix).octets == CIDRBlock.mask(address, prefix).octets
    }

    func contains(_ other: CIDRBlock) -> Bool { prefix <= other.prefix && contains(other.address) }

    var typeName: CELTypeName { CELTypeName("net.CIDR") }
    var text: String? { address.canonical + "/" + String(prefix) }
    func isEqual(to other: any OpaqueValue) -> Bool {
        guard let other = other as? CIDRBlock else { return false }
        return other.prefix == prefix && other.address.octets == address.octets
    }
}
