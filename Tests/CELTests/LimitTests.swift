import CEL
import TestSupport
import Testing

/// No expression may hang, overflow the stack or exhaust memory: it is refused with a diagnostic or ends with a limit's error.
@Suite struct LimitTests {
    private func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    @Test(arguments: [
        String(repeating: "(", count: 10_000) + "1" + String(repeating: ")", count: 10_000),
        String(repeating: "(", count: 10_000),
        String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000),
        String(repeating: "{1:", count: 10_000),
        String(repeating: "!", count: 10_000) + "true",
        String(repeating: "-", count: 10_000) + "x",
        String(repeating: "f(", count: 10_000),
        String(repeating: "a ? b : ", count: 7_000) + "c",
        "a" + String(repeating: ".b", count: 10_000),
        "a" + String(repeating: "[0]", count: 10_000),
        "1" + String(repeating: " + 1", count: 10_000),
        String(repeating: "a.map(x, ", count: 5_000),
        String(repeating: "x", count: 70_000),
    ])
    func `an expression nested too deep or too long is refused`(source: String) {
        let result = Environment().parse(source)
        #expect(result.expression == nil)
        #expect(result.diagnostics.contains { $0.code == "limit" || $0.code == "syntax" })
    }

    @Test func `hundreds of terms joined by one operator are no deep tree`() throws {
        let source = (0..<800).map { "x == \($0)" }.joined(separator: " || ")
        #expect(try Sample.value(source, ["x": .int(799)]).isEqual(to: .bool(true)))
    }

    @Test func `what the specification asks for fits the limits`() throws {
        #expect(try Sample.value(repeated("(", 32) + "1" + repeated(")", 32)).isEqual(to: .int(1)))
        #expect(try Sample.value("1" + repeated(" + 1", 24)).isEqual(to: .int(25)))
        #expect(try Sample.value(repeated("true ? 1 : ", 24) + "2").isEqual(to: .int(1)))
        #expect(try Sample.value(repeated("[", 32) + repeated("]", 32) + " != []").isEqual(to: .bool(true)))
    }

    @Test(arguments: [
        // Nested comprehensions: 1000 ^ 6 steps.
        "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, lists.range(1000).all(d, a + b + c + d >= 0))))",
        // A string doubled forty times.
        (0..<40).reduce("'x'") { text, _ in "cel.bind(s, \(text), s + s)" } + ".size() > 0",
        // A list doubled forty times.
        (0..<40).reduce("[1]") { text, _ in "cel.bind(s, \(text), s + s)" } + ".size() > 0",
        // A value that shares its parts: 2 ^ 60 when it is compared or written.
        "cel.bind(x, \((0..<60).reduce("[1]") { text, _ in "cel.bind(s, \(text), [s, s])" }), x == x)",
        "'%s'.format([\((0..<60).reduce("[1]") { text, _ in "cel.bind(s, \(text), [s, s])" })]).size() > 0",
        "lists.range(9000000000000000000).size() > 0",
        "lists.range(100000).map(x, lists.range(100000)).size() > 0",
        "'a'.replace('', lists.range(1000000).map(x, 'aaaaaaaaaa').join()).size() > 0",
        "lists.range(1000000).map(x, 'a').join().matches(lists.range(10000).map(x, '(a|aa)+').join())",
        // Each match is found only after all the rest of the text has been looked at.
        "regex.extractAll(\((0..<18).reduce("'a'") { text, _ in "cel.bind(s, \(text), s + s)" }), 'a(?:.*b)?').size() > 0",
        "regex.replace(\((0..<18).reduce("'a'") { text, _ in "cel.bind(s, \(text), s + s)" }), 'a(.*b)?', 'x').size() > 0",
        // A pattern too large for RE2's automaton, over a long text.
        "\((0..<22).reduce("'a'") { text, _ in "cel.bind(s, \(text), s + s)" }).matches(r'(\\pL+\\s*){20}x')",
        // Each name is another one to look for.
        "lists.range(1000000).exists(x, timestamp(0).getHours('A/' + string(x)) > 30)",
        // Sorted by keys that are one long text.
        "cel.bind(t, \((0..<20).reduce("'a'") { text, _ in "cel.bind(s, \(text), s + s)" }), lists.range(20000).sortBy(x, t).size() > 0)",
        "lists.range(3000).map(x, [x]).distinct().size() > 0",
        "sets.equivalent(lists.range(100000), lists.range(100000).reverse())",
        "lists.range(100000).sortBy(x, lists.range(1000).map(y, x)) == []",
    ])
    func `an expression that would take for ever ends with a limit's error`(source: String) throws {
        var result: Program.Outcome?
        let took = try processorTime { result = try Sample.outcome(source) }
        let outcome = try #require(result)
        guard case .error(let error) = outcome else {
            Issue.record("\(source.prefix(100)) gave \(outcome)")
            return
        }
        #expect(error.code == .limit, "\(source.prefix(100)): \(error.message)")
        #expect(took < .seconds(20))
    }

    @Test func `thousands of matches in a long text are within the limits`() throws {
        let text = Value.string(String(repeating: "ab1 ", count: 16_000))
        #expect(try Sample.value("regex.replace(t, '[0-9]+', 'x').size() == t.size()", ["t": text]).isEqual(to: .bool(true)))
        #expect(try Sample.value("regex.extractAll(t, r'\\w+').size() == 16000", ["t": text]).isEqual(to: .bool(true)))
    }

    @Test func `a time zone's name that is far too long is not looked for`() throws {
        let zone = Value.string(String(repeating: "a", count: 1 << 20))
        let outcome = try Sample.outcome("lists.range(100000).exists(x, timestamp(0).getHours(zone) > 1)", ["zone": zone])
        guard case .error(let error) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(error.code == .badArgument && error.message == "unknown time zone")
    }

    @Test func `a regular expression that needs too much memory is refused`() throws {
        let outcome = try Sample.outcome("'a'.matches(p)", ["p": .string("((a{100}){100}){100}")])
        guard case .error(let error) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(error.code == .badPattern)
    }

    @Test func `an expression may not hold any number of patterns`() throws {
        let environment = Environment()
        var names = NoNames()
        let source = (0..<100).map { "'a'.matches('(a{1000}){\($0)}')" }.joined(separator: "||")
        let expression = try #require(environment.parse(source).expression)
        let result = environment.compile(expression, names: &names, strings: InternedStrings())
        #expect(result.diagnostics.contains { $0.code == "limit" })
    }

    @Test func `matching is linear where backtracking would be exponential`() throws {
        let text = String(repeating: "a", count: 50_000) + "b"
        #expect(try Sample.value("t.matches('^(a+)+$')", ["t": .string(text)]).isEqual(to: .bool(false)))
    }

    @Test func `a name defined by itself is refused`() throws {
        struct Endless: NameResolver {
            mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
                Environment().parse("x + x").expression.map { .expression($0) } ?? .unknown(nearest: nil, known: [])
            }
        }
        let environment = Environment()
        let expression = try #require(environment.parse("x").expression)
        var names = Endless()
        let result = environment.compile(expression, names: &names, strings: InternedStrings())
        #expect(result.program == nil)
        #expect(result.diagnostics.contains { $0.code == "recursive-name" || $0.code == "limit" })
    }
}

/// Names that stand for expressions nest, too.
@Suite struct InliningTests {
    private struct Chain: NameResolver {
        var length: Int

        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            guard case .name(let name) = path[0], let number = Int(name.dropFirst()) else { return .unknown(nearest: nil, known: []) }
            guard number < length else { return .constant(.int(1)) }
            let source = String(repeating: "(", count: 30) + "n\(number + 1)" + String(repeating: " + 1)", count: 30)
            return Environment().parse(source).expression.map { .expression($0) } ?? .unknown(nearest: nil, known: [])
        }
    }

    @Test(arguments: [(3, true), (12, false), (40, false)])
    func `names that stand for expressions may nest only so deep`(length: Int, isCompiled: Bool) throws {
        let environment = Environment()
        let expression = try #require(environment.parse("n0").expression)
        var names = Chain(length: length)
        let result = environment.compile(expression, names: &names, strings: InternedStrings())
        #expect((result.program != nil) == isCompiled)
        #expect(isCompiled || result.diagnostics.map(\.code).contains { $0 == "limit" || $0 == "recursive-name" })
    }

    @Test func `a macro of the host may join a single term`() throws {
        var environment = Environment()
        environment.add(
            Macro("allOf", argumentCount: 1) { (call, span) throws(MacroFailure) in
                Expression.Node(.logical(.and, call.arguments), span: span)
            })
        let expression = try #require(environment.parse("allOf(1 < 2)").expression)
        var names = NoNames()
        let program = try #require(environment.compile(expression, names: &names, strings: InternedStrings()).program)
        #expect(Sample.withSlots([], InternedStrings()) { program.truth($0) } == .yes)
    }
}
