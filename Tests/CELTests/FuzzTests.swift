import CEL
import Testing

/// Nothing that is read, and nothing that is evaluated, may trap or hang. Seeds are fixed, so that a failure can be had again.
@Suite struct FuzzTests {
    /// SplitMix64.
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    private static let limits = Limits(steps: 50_000, memory: 1 << 20)

    private struct Anything: NameResolver {
        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            guard case .name(let name) = path[0] else { return .unknown(nearest: nil, known: []) }
            return switch name.utf8.count % 4 {
            case 0: .unknown(nearest: nil, known: [])
            case 1: .slot(Int(name.utf8.first ?? 0) % 8, consumed: 1)
            case 2: .slot(0, consumed: path.count)
            default: .constant(.int(7), consumed: 1)
            }
        }
    }

    private static let values: [Value?] = [
        .double(.nan), .string("text"), nil, .int(.min), .list([.int(1), .null, .string("é")]),
        .map(CELMap([(.string("a"), .int(1)), (.int(2), .null)])!), .timestamp(Timestamp(seconds: 0)!), .duration(nanoseconds: .min),
    ]

    /// Everything that can be done with a source text; whatever parses is printed and must read back as the same.
    private func exercise(_ source: String) {
        for arithmetic in [Arithmetic.strict, .promoting] {
            var environment = Environment(arithmetic: arithmetic, limits: FuzzTests.limits)
            environment.unknownNames = .runtime
            environment.typeChecking = .runtime
            let parsed = environment.parse(source)
            #expect(parsed.expression != nil || !parsed.diagnostics.isEmpty)
            for diagnostic in parsed.diagnostics {
                #expect(
                    diagnostic.span.start >= 0 && diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= source.utf8.count)
            }
            guard let expression = parsed.expression else { continue }
            let printed = expression.description
            let again = environment.parse(printed).expression
            #expect(again?.description == printed && again?.root.shape == expression.root.shape, "\(source) is printed as \(printed)")
            let strings = InternedStrings()
            var names = Anything()
            let compiled = environment.compile(expression, names: &names, strings: strings)
            guard let program = compiled.program else {
                #expect(!compiled.diagnostics.isEmpty)
                continue
            }
            Sample.withSlots(FuzzTests.values, strings) { slots in
                let outcome = program.evaluate(slots)
                let truth = program.truth(slots)
                check(outcome, truth, source)
                _ = program.number(slots)
                _ = program.decidingComparison(slots)?.description
                _ = program.explain(slots).render()
            }
        }
    }

    /// The fast and the general way must say the same.
    private func check(_ outcome: Program.Outcome, _ truth: Program.Truth, _ source: String) {
        switch outcome {
        case .value(.bool(let flag)): #expect(truth == (flag ? .yes : .no), "\(source)")
        case .value: #expect(truth == .error, "\(source)")
        case .missing: #expect(truth == .missing, "\(source)")
        case .error(let error): #expect(truth == .error || error.code == .limit, "\(source)")
        }
    }

    private static let pieces = [
        "a", "bb", "ccc", "x", "1", "2u", "3.5", "1e400", "'s'", "b'\\xff'", "r'\\'", "null", "true", "(", ")", "[", "]", "{", "}", ".",
        ",",
        "?", ":", "+", "-", "*", "/", "%", "!", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " in ", ".?", "[?", "has(", ".all(x, ",
        ".exists(x, ", ".map(x, ", ".filter(x, ", ".size()", "size(", ".transformMap(k, v, ", "cel.bind(q, ", "optional.of(",
        ".orValue(", "timestamp(", "duration(", "'%s %d %e'.format([", ".matches('", ".split('", "math.greatest(", ".sortBy(x, ", "`f-g`",
        "\n", "//", "'''", "\u{1F600}", "e\u{301}", "-9223372036854775808", "lists.range(", ".flatten()", "ip('::1')", ".replace(",
    ]

    @Test(arguments: 0..<8)
    func `random tokens neither trap nor hang`(seed: Int) {
        var random = Seeded(state: UInt64(seed))
        for _ in 0..<1500 {
            let count = Int.random(in: 1...24, using: &random)
            exercise((0..<count).map { _ in FuzzTests.pieces.randomElement(using: &random)! }.joined())
        }
    }

    @Test(arguments: 8..<12)
    func `random bytes neither trap nor hang`(seed: Int) {
        var random = Seeded(state: UInt64(seed))
        for _ in 0..<1500 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            exercise(String(decoding: bytes, as: UTF8.self))
            _ = bytes.withUnsafeBytes { Value(json: $0) }
        }
    }

    @Test(arguments: 12..<16)
    func `mutated expressions neither trap nor hang`(seed: Int) throws {
        var random = Seeded(state: UInt64(seed))
        let sources = try
            (Fixture.lines("Conformance/cel-conformance.jsonl") + Fixture.lines("Conformance/cel-supplement-conformance.jsonl"))
            .compactMap { line -> String? in
                guard case .string(let source)? = Value(json: line)?["expr"] else { return nil }
                return source
            }
        for _ in 0..<1500 {
            var bytes = Array(sources.randomElement(using: &random)!.utf8)
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes.remove(at: position)
                case 1: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 2: bytes.insert(contentsOf: FuzzTests.pieces.randomElement(using: &random)!.utf8, at: position)
                default:
                    let other = Array(sources.randomElement(using: &random)!.utf8)
                    bytes.replaceSubrange(
                        position..<min(bytes.count, position + 8), with: other.prefix(Int.random(in: 0...20, using: &random)))
                }
            }
            exercise(String(decoding: bytes, as: UTF8.self))
        }
    }

    @Test func `lines of a batch that are no requests are answered with errors`() {
        let evaluator = BatchEvaluator(arithmetic: .strict)
        for line in [
            "", "{", "[]", "{}", "null", "{\"id\":1}", "{\"id\":1,\"expr\":3}",
            "{\"id\":1,\"expr\":\"x\",\"bindings\":{\"x\":{\"int\":\"x\"}}}",
        ] {
            let answer = Value(json: evaluator.answer(line))
            #expect(answer?["error"] != nil, "\(line)")
        }
    }
}
