import CEL
import Testing

/// What a program says of itself, and how hosts take part.
@Suite struct ProgramTests {
    private func compile(_ source: String, _ names: [String], _ strings: InternedStrings = InternedStrings()) throws -> Program {
        let environment = Environment(arithmetic: .promoting)
        var resolver = Sample.Names(slots: names)
        let parsed = environment.parse(source)
        let expression = try #require(parsed.expression, "\(parsed.diagnostics)")
        let compiled = environment.compile(expression, names: &resolver, strings: strings)
        return try #require(compiled.program, "\(compiled.diagnostics)")
    }

    private func text(_ atoms: [Atom]?, _ names: [String]) -> String {
        guard let atoms else { return "none" }
        return atoms.map { atom in
            let right =
                switch atom.right {
                case .slot(let other): names[other]
                case .constant(let slot): slot.kind == .string ? "text" : slot.value(in: InternedStrings())?.description ?? "?"
                }
            return "\(names[atom.slot]) \(atom.comparison.rawValue) \(right)"
        }.joined(separator: ", ")
    }

    @Test(arguments: [
        ("a > 30.0 && b < 40", "a > 30.0, b < 40", "a > 30.0, b < 40"),
        ("30.0 < a || !(b == c)", "a > 30.0, b == c", "a > 30.0, b == c"),
        ("a && !b", "a == true, b == true", ""),
        ("a == 'x' && duration('5m') <= b", "a == text, b >= duration(\"300s\")", "a == text, b >= duration(\"300s\")"),
        ("a > 1.0 && size(b) > 2", "none", "a > 1.0"),
        ("[1].all(x, a > 2.0)", "none", "a > 2.0"),
        ("a + 1.0 > 2.0", "none", ""),
    ])
    func `conditions are taken apart into comparisons of slots`(source: String, atoms: String, comparisons: String) throws {
        let names = ["a", "b", "c"]
        let program = try compile(source, names)
        #expect(text(program.atoms, names) == atoms)
        #expect(text(program.comparisons, names) == comparisons)
    }

    @Test func `a program says which slots and functions it uses, and its type`() throws {
        let program = try compile("c.startsWith('x') ? a + 1.0 : size(c) * 2.0", ["a", "b", "c"])
        #expect(program.slotsUsed == [0, 2])
        #expect(program.functionsUsed == ["startsWith", "size"])
        #expect(program.constantsUsed.map(\.description) == ["\"x\"", "1.0", "2.0"])
        #expect(try compile("a > 1.0 && (b > 2.0 && !c)", ["a", "b", "c"]).conjuncts.map(\.text) == ["a > 1.0", "b > 2.0", "!c"])
        #expect(program.resultType == .dyn || program.resultType == .double)
    }

    @Test(arguments: [
        ("a > 30.0 && b < 40.0", 31.0, 45.0, "b < 40.0", "45.0 < 40.0 is false"),
        ("a > 30.0 && b < 40.0", 29.0, 45.0, "a > 30.0", "29.0 > 30.0 is false"),
        ("a > 30.0 && b < 40.0", 31.0, 35.0, "b < 40.0", "35.0 < 40.0 is true"),
        ("a > 30.0 || b < 40.0", 31.0, 35.0, "a > 30.0", "31.0 > 30.0 is true"),
        ("a > 30.0 || b < 40.0", 1.0, 45.0, "b < 40.0", "45.0 < 40.0 is false"),
        ("!(a > 30.0)", 31.0, 0.0, "a > 30.0", "31.0 > 30.0 is true"),
        ("a - b > 5.0", 31.0, 1.0, "a - b > 5.0", "30.0 > 5.0 is true"),
        ("[1.0, 50.0].exists(x, x > a)", 31.0, 0.0, "x > a", "50.0 > 31.0 is true"),
    ])
    func `the comparison that decided is known`(source: String, a: Double, b: Double, text: String, shown: String) throws {
        let program = try compile(source, ["a", "b"])
        let found = try #require([Slot(a), Slot(b)].withUnsafeBufferPointer { program.decidingComparison($0.baseAddress!) })
        #expect(found.description == shown)
        #expect("\(found.leftText) \(found.comparison.rawValue) \(found.rightText)" == text)
    }

    @Test func `an explanation shows every part under the source`() throws {
        let program = try compile("temperature > 30.0 && (humidity < 40.0 || size(word) == 2)", ["temperature", "humidity", "word"])
        let strings = InternedStrings()
        let rendered = Sample.withSlots([.double(31), nil, .string("éé")], strings) { program.explain($0).render() }
        #expect(
            rendered == """
                temperature > 30.0 && (humidity < 40.0 || size(word) == 2)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^   true
                ^^^^^^^^^^^^^^^^^^                                          31.0 > 30.0 is true
                ^^^^^^^^^^^                                                 31.0
                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^   true
                                       ^^^^^^^^^^^^^^^                      missing: humidity
                                       ^^^^^^^^                             missing: humidity
                                                          ^^^^^^^^^^^^^^^   2 == 2 is true
                                                          ^^^^^^^^^^        2
                                                               ^^^^         "éé"

                """, "\(rendered)")
    }

    @Test(arguments: [
        ("lists.range(12)", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]"), ("lists.range(13)", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …]"),
        ("[[[[]]]]", "[[[[]]]]"), ("[[[[1]]]]", "[[[[…]]]]"), ("{'a': {'b': [{'c': 1}, {}]}}", "{\"a\": {\"b\": [{…}, {}]}}"),
        ("[optional.of(optional.of(optional.of(1))), optional.none()]", "[optional.of(optional.of(optional.of(…))), optional.none()]"),
        ("lists.range(3).map(x, 'a')", "[\"a\", \"a\", \"a\"]"), ("[1u, 2.0, b'x', null]", "[1u, 2.0, b\"x\", null]"),
    ])
    func `what is left out of a value that is shown is marked`(source: String, shown: String) throws {
        let program = try compile(source, [])
        let step = try #require(Sample.withSlots([nil], InternedStrings()) { program.explain($0).steps.first })
        #expect(step.summary == shown)
    }

    @Test func `an explanation of thousands of parts is cut`() throws {
        let source = Array(repeating: "1 == 1", count: 5000).joined(separator: " && ")
        let program = try compile(source, [])
        let rendered = Sample.withSlots([nil], InternedStrings()) { program.explain($0).render() }
        #expect(rendered.utf8.count < 500_000 && rendered.hasSuffix(" parts more\n"))
    }

    @Test func `numbers come out as slots`() throws {
        let program = try compile("a * 2 + 1", ["a"])
        #expect(withUnsafePointer(to: Slot(2.5)) { program.number($0) }.isIdentical(to: Slot(6.0)))
        #expect(withUnsafePointer(to: Slot.missing) { program.number($0) }.kind == .missing)
        #expect(withUnsafePointer(to: Slot(true)) { program.number($0) }.kind == .error)
        let list = try compile("[a]", ["a"])
        #expect(withUnsafePointer(to: Slot(2.5)) { list.number($0) }.kind == .error)
    }

    // MARK: hosts

    private struct Host: NameResolver {
        var asked: [[PathElement]] = []
        var calls: [HostCall] = []

        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            asked.append(path)
            switch path.first {
            case .name("battery") where path.count > 1: return .slot(1, type: .double, consumed: 2)
            case .name("sensors"): return .slot(2, consumed: min(3, path.count))
            case .name("limit"): return .constant(.double(20))
            case .name("excess"):
                return Environment().parse("battery.level - limit").expression.map { .expression($0) } ?? .unknown(nearest: nil, known: [])
            default: return .unknown(nearest: nil, known: ["battery", "limit"])
            }
        }

        mutating func call(_ call: HostCall) -> CallResolution {
            calls.append(call)
            switch call.name {
            case "previous": return .slot(3, type: .double)
            case "never":
                return .invalid([CELDiagnostic(span: call.argumentSpans.first ?? call.span, code: "no", message: "not here")])
            default: return .notMine
            }
        }
    }

    @Test func `a host names slots, constants, expressions and calls`() throws {
        let environment = Environment(arithmetic: .promoting)
        let strings = InternedStrings()
        var host = Host()
        let source = "excess > 0.0 && sensors[0].value > limit && previous(battery.level + 1.0) < 5.0"
        let expression = try #require(environment.parse(source).expression)
        let compiled = environment.compile(expression, names: &host, strings: strings)
        let program = try #require(compiled.program, "\(compiled.diagnostics)")
        #expect(program.slotsUsed == [1, 2, 3])
        #expect(host.asked.contains([.name("sensors"), .index(0), .name("value")]))
        let call = try #require(host.calls.first { $0.name == "previous" })
        #expect(call.arguments.map(\.text) == ["battery.level + 1.0"])
        #expect(call.arguments[0].freeNames == ["battery"])
        let slots = [Slot.missing, Slot(30.0), Slot(25.0), Slot(4.0)]
        slots.withUnsafeBufferPointer { #expect(program.truth($0.baseAddress!) == .yes) }
        slots.withUnsafeBufferPointer {
            #expect(program.explain($0.baseAddress!).steps.contains { $0.text == "excess" && $0.summary == "10.0" })
        }
    }

    @Test func `presence is asked of the host's whole name`() throws {
        let environment = Environment(arithmetic: .promoting)
        var host = Host()
        let expression = try #require(environment.parse("has(battery.level)").expression)
        let program = try #require(environment.compile(expression, names: &host, strings: InternedStrings()).program)
        for (slot, expected) in [(Slot(1.0), Program.Truth.yes), (.missing, .no)] {
            [Slot.missing, slot].withUnsafeBufferPointer { #expect(program.truth($0.baseAddress!) == expected) }
        }
    }

    @Test func `a host refuses a call with its own words`() throws {
        let environment = Environment()
        var host = Host()
        let expression = try #require(environment.parse("true && never(1)").expression)
        let result = environment.compile(expression, names: &host, strings: InternedStrings())
        #expect(result.program == nil)
        #expect(result.diagnostics.map(\.code) == ["no"])
        #expect(result.diagnostics.first?.span == Span(start: 14, end: 15))
    }

    @Test func `a host adds functions and macros`() throws {
        var environment = Environment()
        environment.unknownNames = .runtime
        environment.add(
            Function("geo.twice", .global, [.int], .int) { (values) throws(FunctionFailure) in
                guard case .int(let number) = values[0], number < 1000 else { throw FunctionFailure("too large") }
                return .int(number * 2)
            })
        environment.add(
            Function(
                "within", .member, [.double, .double], .bool,
                checkArguments: { constants, spans in
                    guard case .double(let bound)? = constants[1], bound < 0 else { return [] }
                    return [CELDiagnostic(span: spans[1], code: "negative", message: "a bound cannot be negative")]
                }
            ) { (values) throws(FunctionFailure) in
                guard case .double(let a) = values[0], case .double(let b) = values[1] else { throw FunctionFailure("kinds") }
                return .bool(a.magnitude <= b)
            })
        environment.add(
            Macro("both", .global, argumentCount: 2) { (call, span) throws(MacroFailure) in
                Expression.Node(.logical(.and, call.arguments), span: span)
            })
        func outcome(_ source: String) throws -> String {
            var names = NoNames()
            let expression = try #require(environment.parse(source).expression)
            let result = environment.compile(expression, names: &names, strings: InternedStrings())
            guard let program = result.program else { return result.diagnostics.map(\.code).joined() }
            return Sample.withSlots([], InternedStrings()) { slots in
                switch program.evaluate(slots) {
                case .value(let value): value.description
                case .missing(let name): name
                case .error(let error): error.message
                }
            }
        }
        #expect(try outcome("geo.twice(4)") == "8")
        #expect(try outcome("geo.twice(4000)") == "too large")
        #expect(try outcome("geo.twice('x')") == "no-such-overload")
        #expect(try outcome("(1.5).within(2.0)") == "true")
        #expect(try outcome("(1.5).within(-2.0)") == "negative")
        #expect(try outcome("both(true, 1 < 2)") == "true")
    }

    @Test func `extensions are switches`() throws {
        for (source, flag) in [
            ("'abc'.charAt(1) == 'b'", Extensions.strings), ("math.abs(-1) == 1", .math), ("[1].distinct() == [1]", .lists),
            ("sets.contains([1], [1])", .sets), ("base64.encode(b'') == ''", .encoders), ("optional.none().hasValue()", .optionals),
            ("cel.bind(x, 1, x) == 1", .bindings), ("[1].all(i, v, v > i)", .twoVariableComprehensions),
            ("regex.extractAll('a', 'a') == ['a']", .regex), ("isIP('::1')", .network), ("{}.?a", .optionals),
        ] {
            for (extensions, isKnown) in [(Extensions.all, true), (Extensions.all.subtracting(flag), false)] {
                let environment = Environment(extensions: extensions)
                var names = NoNames()
                let program = environment.parse(source).expression.flatMap {
                    environment.compile($0, names: &names, strings: InternedStrings()).program
                }
                #expect((program != nil) == isKnown, "\(source)")
            }
        }
    }
}
