internal import CRE2
internal import Synchronization

/// A compiled RE2 pattern. Matching takes time linear in the text, whatever the pattern.
final class Pattern: @unchecked Sendable {
    // @unchecked: RE2's matching functions are const and safe to call from many threads; the pointer is freed once, in `deinit`.
    private let handle: OpaquePointer
    let groupCount: Int
    /// Instructions of the compiled pattern, at least 64: RE2 looks at each byte once for small patterns, and at worst once for each
    /// instruction where a pattern is too large for its automaton.
    private let weight: Int

    /// Constant patterns of one expression.
    static let maximumCount = 64

    struct Failure: Error {
        var message: String
    }

    init(_ text: String, maximumMemory: Int) throws(Failure) {
        var message = [CChar](repeating: 0, count: 256)
        let compiled = text.withBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                cre2_compile($0.baseAddress, $0.count, Int64(maximumMemory), &message, message.count)
            }
        }
        guard let compiled else {
            let length = message.firstIndex(of: 0) ?? message.count
            throw Failure(message: String(decoding: message[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        handle = compiled
        groupCount = Int(cre2_group_count(compiled))
        weight = max(64, Int(cre2_program_size(compiled)))
    }

    deinit { cre2_free(handle) }

    /// Whether the pattern matches somewhere in the text.
    func matches(_ text: String) -> Bool {
        text.withBytes { bytes in bytes.withMemoryRebound(to: CChar.self) { cre2_is_match(handle, $0.baseAddress, $0.count) } }
    }

    /// The byte ranges of the first match at or after `offset`, the whole first, nil for groups that took no part; nil when there is none.
    func find(in bytes: UnsafeBufferPointer<UInt8>, from offset: Int) -> [Range<Int>?]? {
        var groups = [cre2_range](repeating: cre2_range(start: -1, end: -1), count: groupCount + 1)
        let isFound = bytes.withMemoryRebound(to: CChar.self) {
            cre2_find(handle, $0.baseAddress, $0.count, offset, &groups, Int32(groups.count))
        }
        guard isFound else { return nil }
        return groups.map { $0.start >= 0 && $0.start <= $0.end && $0.end <= bytes.count ? $0.start..<$0.end : nil }
    }

    /// Steps that reading a text once is charged.
    func steps(reading bytes: Int) -> Int { bytes * weight / 256 }

    /// Steps that the search for one more match is charged: it may have to read all the bytes that are left, as `a(.*b)?` does where no `b`
    /// is. It seldom does, and small patterns read fast.
    func steps(searching bytes: Int) -> Int { 8 + (weight <= 256 ? bytes / 128 : bytes * weight / 1024) }

    /// All matches, none of them an empty one at the end of the match before.
    func forEachMatch(in bytes: UnsafeBufferPointer<UInt8>, _ body: ([Range<Int>?], Range<Int>) throws(Fault) -> Bool) throws(Fault) {
        var offset = 0
        var lastEnd = -1
        while offset <= bytes.count, let groups = find(in: bytes, from: offset), let whole = groups[0] {
            if whole.isEmpty, whole.lowerBound == lastEnd {
                offset += 1
                while offset < bytes.count, bytes[offset] & 0xC0 == 0x80 { offset += 1 }
                continue
            }
            if try !body(groups, whole) { return }
            lastEnd = whole.upperBound
            offset = whole.upperBound
        }
    }
}

/// A call whose second argument is a regular expression; a constant one is compiled once.
final class PatternOperation: Operation, @unchecked Sendable {
    let arguments: [Operation]
    let name: String
    let pattern: Pattern?
    let maximumMemory: Int
    let body: PatternFunctions.Body
    /// The pattern that was compiled last: one that comes from a variable is mostly the same again.
    private let last = Mutex<(source: String, pattern: Pattern)?>(nil)

    init(_ name: String, _ arguments: [Operation], pattern: Pattern?, maximumMemory: Int, body: @escaping PatternFunctions.Body, span: Span)
    {
        self.name = name
        self.arguments = arguments
        self.pattern = pattern
        self.maximumMemory = maximumMemory
        self.body = body
        super.init(span: span)
    }

    override var operands: [Operation] { arguments }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        // The common `text.matches('constant')` without an array of arguments.
        if let pattern, arguments.count == 2 {
            do throws(Fault) {
                if case .string(let text) = try arguments[0].value(&frame), name == "matches" {
                    try frame.charge(pattern.steps(reading: text.utf8.count), span)
                    return pattern.matches(text) ? .yes : .no
                }
            } catch {
                return error.truth
            }
        }
        return super.truth(&frame)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let values = try allValues(arguments, &frame)
        guard case .string(let text) = values[0], case .string(let source) = values[1] else {
            throw Fault(noOverload: name, values.map(\.kind), span)
        }
        let pattern = if let pattern { pattern } else { try compiled(source, &frame) }
        try frame.charge(pattern.steps(reading: text.utf8.count), span)
        return try body(pattern, text, values, &frame, span)
    }

    private func compiled(_ source: String, _ frame: inout Frame) throws(Fault) -> Pattern {
        try frame.charge(8 &+ source.utf8.count / 32, span)
        if let known = last.withLock({ $0 }), known.source.hasSameBytes(as: source) { return known.pattern }
        // The most a pattern within its bound of memory takes is some milliseconds.
        try frame.charge(20_000 &+ source.utf8.count &* 16, span)
        do throws(Pattern.Failure) {
            let pattern = try Pattern(source, maximumMemory: maximumMemory)
            last.withLock { $0 = (source, pattern) }
            return pattern
        } catch {
            throw Fault(.badPattern, span, "bad regular expression: \(error.message)")
        }
    }
}

extension Compiler {
    /// A function with a pattern; nil when the call is none.
    mutating func compilePatternCall(
        _ name: String, isMember: Bool, _ nodes: [Expression.Node], _ node: Expression.Node
    ) -> Compiled? {
        guard let function = PatternFunctions.function(name, isMember: isMember, count: nodes.count, environment.extensions) else {
            return nil
        }
        let arguments = nodes.map { compile($0) }
        let types: [CELType] = [.string, .string] + function.others
        for (index, argument) in arguments.enumerated() where !argument.type.mayBe(types[index]) {
            mismatch(nodes[index].span, "'\(name)' needs \(types[index].withArticle) here, and this is \(argument.type.withArticle)")
        }
        var pattern: Pattern?
        if case .string(let source)? = arguments[1].constant {
            patternCount += 1
            guard patternCount <= Pattern.maximumCount else {
                report(nodes[1].span, "limit", "an expression may have at most \(Pattern.maximumCount) regular expressions")
                return fault(.limit, "too many regular expressions", node.span)
            }
            do throws(Pattern.Failure) {
                pattern = try Pattern(source, maximumMemory: environment.limits.patternMemory)
            } catch {
                if environment.typeChecking == .error { report(nodes[1].span, "bad-pattern", "bad regular expression: \(error.message)") }
                return fault(.badPattern, "bad regular expression: \(error.message)", node.span)
            }
        }
        let operation = PatternOperation(
            name, arguments.map(\.operation), pattern: pattern, maximumMemory: environment.limits.patternMemory, body: function.body,
            span: place(node.span))
        return Compiled(operation: operation, type: function.result)
    }
}
