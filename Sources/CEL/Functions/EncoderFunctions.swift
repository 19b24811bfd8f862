/// The encoders extension.
enum EncoderFunctions {
    static let all: [StandardFunction] = [encode, decode]

    static let encode = StandardFunction(
        "base64.encode", .global, [.of(.bytes, to: .string)],
        .unary { (value, frame, span) throws(Fault) in
            guard case .bytes(let octets) = value else { throw Fault(noOverload: "base64.encode", [value.kind], span) }
            try frame.build(octets.count &* 4 / 3 &+ 4, span)
            return .string(Base64.encode(octets))
        })

    static let decode = StandardFunction(
        "base64.decode", .global, [.of(.string, to: .bytes)],
        .unary { (value, frame, span) throws(Fault) in
            guard case .string(let text) = value else { throw Fault(noOverload: "base64.decode", [value.kind], span) }
            try frame.build(text.utf8.count, span)
            guard let octets = Base64.decode(text) else { throw Fault(.conversion, span, "not base64") }
            return .bytes(octets)
        })
}
