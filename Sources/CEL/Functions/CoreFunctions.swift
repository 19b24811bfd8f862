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

    private static func search(_ test: StringTest) -> StandardFunction {
        StandardFunction(
            test.rawValue, .member, [.of(.string, .string, to: .bool)],
            .binary { (text, part, frame, span) throws(Fault) in .bool(try test.apply(text, part, &frame, span)) })
    }

    static let contains = search(.contains)
    static let startsWith = search(.startsWith)
    static let endsWith = search(.endsWith)

    static let type = StandardFunction(
        "type", .global, [.of(.dyn, to: .type)], .unary { (value, _, _) throws(Fault) in .type(value.typeName) })

    static let dyn = StandardFunction(
        "dyn", .global, [.of(.dyn, to: .dyn)], .unary { (value, _, _) throws(Fault) in value })
}

/// The three questions about one string in another.
enum StringTest: String, Sendable {
    case contains, startsWith, endsWith

    @inline(__always)
    func apply(_ text: Value, _ part: Value, _ frame: inout Frame, _ span: Span) throws(Fault) -> Bool {
        guard case .string(let text) = text, case .string(let part) = part else {
            throw Fault(noOverload: rawValue, [text.kind, part.kind], span)
        }
        if text.utf8.count > 64 { try frame.charge(self == .contains ? searchSteps(text, part) : part.utf8.count / 64, span) }
        return text.withBytes { text in
            part.withBytes { part in
                switch self {
                case .contains: Bytes.find(part, in: text) != nil
                case .startsWith: part.count <= text.count && Bytes.areEqual(UnsafeBufferPointer(rebasing: text[..<part.count]), part)
                case .endsWith:
                    part.count <= text.count && Bytes.areEqual(UnsafeBufferPointer(rebasing: text[(text.count - part.count)...]), part)
                }
            }
        }
    }
}

/// `text.startsWith(part)` and its like, without a call through a closure.
final class StringTestOperation: Operation, @unchecked Sendable {
    let test: StringTest
    let text: Operation, part: Operation
    private let constant: Value?

    init(_ test: StringTest, _ text: Operation, _ part: Operation, span: Span) {
        self.test = test
        self.text = text
        self.part = part
        constant = (part as? ConstantOperation)?.constant
        super.init(span: span)
    }

    override var operands: [Operation] { [text, part] }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        do throws(Fault) {
            return try holds(&frame) ? .yes : .no
        } catch {
            return error.truth
        }
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value { .bool(try holds(&frame)) }

    @inline(__always)
    private func holds(_ frame: inout Frame) throws(Fault) -> Bool {
        if let constant { return try test.apply(try text.value(&frame), constant, &frame, span) }
        let (a, b) = try bothValues(text, part, &frame)
        return try test.apply(a, b, &frame, span)
    }
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
