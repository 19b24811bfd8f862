/// `size`, `contains`, `startsWith`, `endsWith`, `type`, `dyn`.
enum CoreFunctions {
    static let all: [StandardFunction] = [size, contains, startsWith, endsWith, type, dyn]

    static let size = StandardFunction(
        "size", .either,
        [.of(.string, to: .int), .of(.bytes, to: .int), .of(.list(.dyn), to: .int), .of(.map(.dyn, .dyn), to: .int)],
        .unary { (value, frame, span) throws(Fault) in
            switch value {
            case .string(let text):
                try frame.charge(text.utf8.count / 64, span)
                return .int(Int64(text.codePointCount))
            case .bytes(let bytes): return .int(Int64(bytes.count))
            case .list(let elements): return .int(Int64(elements.count))
            case .map(let map): return .int(Int64(map.count))
            default: throw Fault(noOverload: "size", [value.kind], span)
            }
        })

    private static func search(
        _ name: String, _ test: @escaping @Sendable (UnsafeBufferPointer<UInt8>, UnsafeBufferPointer<UInt8>) -> Bool
    ) -> StandardFunction {
        StandardFunction(
            name, .member, [.of(.string, .string, to: .bool)],
            .binary { (text, part, frame, span) throws(Fault) in
                guard case .string(let text) = text, case .string(let part) = part else {
                    throw Fault(noOverload: name, [text.kind, part.kind], span)
                }
                if text.utf8.count > 64 { try frame.charge(searchSteps(text, part), span) }
                return .bool(text.withBytes { text in part.withBytes { part in test(text, part) } })
            })
    }

    static let contains = search("contains") { text, part in Bytes.find(part, in: text) != nil }
    static let startsWith = search("startsWith") { text, part in
        part.count <= text.count && Bytes.areEqual(UnsafeBufferPointer(rebasing: text[..<part.count]), part)
    }
    static let endsWith = search("endsWith") { text, part in
        part.count <= text.count && Bytes.areEqual(UnsafeBufferPointer(rebasing: text[(text.count - part.count)...]), part)
    }

    static let type = StandardFunction(
        "type", .global, [.of(.dyn, to: .type)], .unary { (value, _, _) throws(Fault) in .type(value.typeName) })

    static let dyn = StandardFunction(
        "dyn", .global, [.of(.dyn, to: .dyn)], .unary { (value, _, _) throws(Fault) in value })
}

/// Steps that a search of one string in another is charged: its worst case is their product.
func searchSteps(_ text: String, _ part: String) -> Int {
    let (product, isOver) = text.utf8.count.multipliedReportingOverflow(by: max(1, part.utf8.count / 8))
    return isOver ? Int.max / 2 : product / 64
}

extension String {
    var codePointCount: Int {
        withBytes { bytes in
            var count = 0
            for byte in bytes where byte & 0xC0 != 0x80 { count &+= 1 }
            return count
        }
    }
}
