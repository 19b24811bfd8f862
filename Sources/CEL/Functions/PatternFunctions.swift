/// `matches`, and the regex extension: `regex.replace`, `regex.extract`, `regex.extractAll`.
enum PatternFunctions {
    /// Gets the compiled pattern, the text, and all arguments.
    typealias Body = @Sendable (Pattern, String, [Value], inout Frame, Span) throws(Fault) -> Value

    struct PatternFunction {
        /// Types behind text and pattern.
        var others: [CELType]
        var result: CELType
        var body: Body
    }

    static let names = ["matches", "regex.replace", "regex.extract", "regex.extractAll"]

    static func function(_ name: String, isMember: Bool, count: Int, _ extensions: Extensions) -> PatternFunction? {
        switch (name, count) {
        case ("matches", 2): return PatternFunction(others: [], result: .bool, body: matches)
        case ("regex.replace", 3) where extensions.contains(.regex) && !isMember:
            return PatternFunction(others: [.string], result: .string, body: replace)
        case ("regex.replace", 4) where extensions.contains(.regex) && !isMember:
            return PatternFunction(others: [.string, .int], result: .string, body: replace)
        case ("regex.extract", 2) where extensions.contains(.regex) && !isMember:
            return PatternFunction(others: [], result: .optional(.string), body: extract)
        case ("regex.extractAll", 2) where extensions.contains(.regex) && !isMember:
            return PatternFunction(others: [], result: .list(.string), body: extractAll)
        default: return nil
        }
    }

    static let matches: Body = { (pattern, text, _, _, _) throws(Fault) in .bool(pattern.matches(text)) }

    // MARK: replace

    static let replace: Body = { (pattern, text, arguments, frame, span) throws(Fault) in
        guard case .string(let replacement) = arguments[2] else { throw Fault(noOverload: "regex.replace", arguments.map(\.kind), span) }
        var count = Int64(-1)
        if arguments.count == 4 {
            guard case .int(let given) = arguments[3] else { throw Fault(noOverload: "regex.replace", arguments.map(\.kind), span) }
            count = given
        }
        let pieces = try pieces(of: replacement, groups: pattern.groupCount, span)
        if count == 0 { return .string(text) }
        try frame.build(text.utf8.count, span)
        var result: [UInt8] = []
        var done = 0
        try withBytes(of: text) { (bytes) throws(Fault) in
            try pattern.forEachMatch(in: bytes) { (groups, whole) throws(Fault) in
                try frame.charge(pattern.steps(searching: bytes.count - whole.upperBound), span)
                result.append(contentsOf: bytes[done..<whole.lowerBound])
                for piece in pieces {
                    switch piece {
                    case .text(let text):
                        try frame.build(text.count, span)
                        result.append(contentsOf: text)
                    case .group(let group):
                        guard let range = groups[group] else { continue }
                        try frame.build(range.count, span)
                        result.append(contentsOf: bytes[range])
                    }
                }
                done = whole.upperBound
                if count > 0 { count -= 1 }
                return count != 0
            }
            result.append(contentsOf: bytes[done...])
        }
        return .string(String(decoding: result, as: UTF8.self))
    }

    private enum Piece {
        case text([UInt8])
        case group(Int)
    }

    /// A replacement taken apart: `\1` to `\9` are groups, `\0` the whole match, `\\` a backslash.
    private static func pieces(of replacement: String, groups: Int, _ span: Span) throws(Fault) -> [Piece] {
        var pieces: [Piece] = []
        var text: [UInt8] = []
        var bytes = Array(replacement.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            guard let next = bytes.popFirst() else { throw Fault(.badArgument, span, "the replacement ends with a backslash") }
            if next == UInt8(ascii: "\\") {
                text.append(next)
                continue
            }
            guard Lexer.isDigit(next) else {
                throw Fault(.badArgument, span, "in a replacement '\\' stands before a digit or another '\\'")
            }
            let group = Int(next - 0x30)
            guard group <= groups else { throw Fault(.badArgument, span, "the pattern has no group \(group)") }
            if !text.isEmpty { pieces.append(.text(text)) }
            text = []
            pieces.append(.group(group))
        }
        if !text.isEmpty { pieces.append(.text(text)) }
        return pieces
    }

    // MARK: extract

    static let extract: Body = { (pattern, text, _, frame, span) throws(Fault) in
        try checkGroups(pattern, "regex.extract", span)
        try frame.build(text.utf8.count, span)
        let found: String? = text.withBytes { bytes in
            guard let groups = pattern.find(in: bytes, from: 0), let range = groups[groups.count - 1] else { return nil }
            return String(decoding: bytes[range], as: UTF8.self)
        }
        return .optional(found.map { OptionalValue(.string($0)) } ?? .none)
    }

    static let extractAll: Body = { (pattern, text, _, frame, span) throws(Fault) in
        try checkGroups(pattern, "regex.extractAll", span)
        var result: [Value] = []
        try withBytes(of: text) { (bytes) throws(Fault) in
            try pattern.forEachMatch(in: bytes) { (groups, whole) throws(Fault) in
                try frame.charge(pattern.steps(searching: bytes.count - whole.upperBound), span)
                // A group that matched nothing, or nothing but emptiness, is left out.
                guard let range = groups[groups.count - 1], groups.count == 1 || !range.isEmpty else { return true }
                try frame.allocate(MemoryLayout<Value>.stride &+ range.count, span)
                result.append(.string(String(decoding: bytes[range], as: UTF8.self)))
                return true
            }
        }
        return .list(result)
    }

    private static func checkGroups(_ pattern: Pattern, _ name: String, _ span: Span) throws(Fault) {
        if pattern.groupCount > 1 { throw Fault(.badArgument, span, "'\(name)' takes a pattern with at most one group") }
    }

    /// The text's bytes, for a body that throws.
    private static func withBytes(of text: String, _ body: (UnsafeBufferPointer<UInt8>) throws(Fault) -> Void) throws(Fault) {
        try Array(text.utf8).withUnsafeBufferPointer { (bytes) throws(Fault) in try body(bytes) }
    }
}
