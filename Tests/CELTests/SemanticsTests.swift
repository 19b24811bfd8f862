import CEL
import Testing

/// Missing names, errors and promoted numbers: what the conformance tests do not cover.
@Suite struct SemanticsTests {
    private static let variables: [String: Value?] = [
        "t": .double(31.5), "count": .int(3), "text": .string("21.5"), "word": .string("on"), "yes": .bool(true), "no": .bool(false),
        "gone": nil, "later": nil, "uid": .uint(7),
        "doc": .map(CELMap([(.string("level"), .double(80)), (.string("off"), .null)])!),
    ]

    private func text(_ source: String, _ arithmetic: Arithmetic) throws -> String {
        switch try Sample.outcome(source, SemanticsTests.variables, arithmetic) {
        case .value(let value): value.description
        case .missing(let name): "missing \(name)"
        case .error(let error): error.code.rawValue
        }
    }

    @Test(arguments: [
        ("gone > 1.0", "missing gone"), ("gone > 1.0 || yes", "true"), ("yes || gone > 1.0", "true"), ("gone > 1.0 && no", "false"),
        ("gone > 1.0 && yes", "missing gone"), ("no || gone > 1.0", "missing gone"), ("!(gone > 1.0)", "missing gone"),
        ("yes ? 1 : gone", "1"), ("no ? 1 : gone", "missing gone"), ("gone ? 1 : 2", "missing gone"), ("gone + 1.0", "missing gone"),
        ("[1, 2].exists(x, x > 1 || gone > 1.0)", "true"), ("[1, 2].all(x, x > 0 && gone > 1.0)", "missing gone"),
        ("[1, 2].map(x, gone)", "missing gone"), ("size(gone)", "missing gone"), ("gone == null", "missing gone"),
        // A real error must not hide behind a missing name.
        ("gone > 1.0 && 1 / 0 > 1", "division-by-zero"), ("1 / 0 > 1 && gone > 1.0", "division-by-zero"),
        ("gone > word + 1.0", "no-such-overload"), ("[gone, 1 / 0] == []", "division-by-zero"), ("gone > later", "missing gone"),
        ("doc.nothing > 1.0", "no-such-key"), ("nowhere > 1.0", "unknown-name"), ("nowhere > 1.0 || yes", "true"),
    ])
    func `a missing name is an error of its own kind and absorbed like any other`(source: String, expected: String) throws {
        #expect(try text(source, .strict) == expected)
    }

    @Test(arguments: [
        ("t * 9 / 5 + 32 > 86", "true"), ("count * 1.5", "4.5"), ("count / 2", "1"), ("count / 2.0", "1.5"), ("uid + 0.5", "7.5"),
        ("7.5 % 2", "1.5"), ("count % 2", "1"), ("count + uid", "10.0"), ("text > 20", "true"), ("text == 21.5", "true"),
        ("text + 1", "22.5"), ("1 + text", "22.5"), ("text + '1'", "\"21.51\""), ("text > '3'", "false"), ("word > 1", "no-such-overload"),
        ("word == 1", "false"), ("word != 1", "true"), ("-text", "-21.5"), ("text * 2", "43.0"), ("' 5' == 5", "false"),
        ("'0x10' == 16", "false"), ("'1e2' == 100", "true"), ("'NaN' == 1", "false"), ("text in [21.5]", "false"),
        ("has(t)", "true"), ("has(gone)", "false"), ("has(nowhere)", "false"), ("has(doc.level)", "true"), ("has(doc.off)", "true"),
        ("has(gone) && gone > 1.0", "false"), ("doc['level'] > 70", "true"), ("1 / 0", "division-by-zero"), ("1 / 0.0", "1e999"),
        ("math.ceil(t)", "32.0"), ("-duration('1s')", "duration(\"-1s\")"),
    ])
    func `numbers are promoted`(source: String, expected: String) throws {
        #expect(try text(source, .promoting) == expected)
    }

    @Test(arguments: [
        "t * 9", "7.5 % 2.0", "text > 20", "-text", "has(t)", "count + uid", "count + 0.5", "-duration('1s')",
    ])
    func `strict arithmetic promotes nothing`(source: String) throws {
        let environment = Sample.environment(.strict)
        guard let expression = environment.parse(source).expression else { return }
        var names = Sample.Names(slots: SemanticsTests.variables.keys.sorted())
        guard environment.compile(expression, names: &names, strings: InternedStrings()).program != nil else { return }
        #expect(try text(source, .strict) == "no-such-overload")
    }

    /// Every combination of truths, missing names and errors through the fast table and through the tree.
    @Test(arguments: [
        "a && b", "a || b", "!a && (b || c)", "a ? b : c", "(a || b) && (c || !a)", "a && b && c || !b", "x > 1.0 && a", "has(a) || b",
    ])
    func `the table of decisions and the tree agree`(source: String) throws {
        let environment = Sample.environment(.promoting)
        let expression = try #require(environment.parse(source).expression)
        var names = Sample.Names(slots: ["a", "b", "c", "x"])
        let strings = InternedStrings()
        let program = try #require(environment.compile(expression, names: &names, strings: strings).program)
        let choices: [Slot] = [Slot(true), Slot(false), .missing, .error, Slot(2.0), .null]
        for a in choices {
            for b in choices {
                for c in choices {
                    for x in [Slot(2.0), Slot(Int64(0)), .missing] {
                        let slots = [a, b, c, x]
                        slots.withUnsafeBufferPointer { buffer in
                            let base = buffer.baseAddress!
                            let expected: Program.Truth =
                                switch program.evaluate(base) {
                                case .value(.bool(true)): .yes
                                case .value(.bool(false)): .no
                                case .missing: .missing
                                default: .error
                                }
                            #expect(program.truth(base) == expected, "\(source) over \(slots.map(\.kind))")
                        }
                    }
                }
            }
        }
    }

    @Test func `integers compare with doubles in the table as they do in the tree`() throws {
        let environment = Sample.environment(.strict)
        let strings = InternedStrings()
        for source in ["a > 9007199254740993", "a == 9007199254740992", "a >= 3", "a < 3u", "a != 3", "a <= 2.5"] {
            var names = Sample.Names(slots: ["a"])
            let expression = try #require(environment.parse(source).expression)
            let program = try #require(environment.compile(expression, names: &names, strings: strings).program)
            let values: [Slot] = [
                Slot(Int64(3)), Slot(3.0), Slot(uint: 3), Slot(Int64(9_007_199_254_740_993)), Slot(9_007_199_254_740_992.0), Slot(.nan),
                Slot(Int64.min), Slot(uint: .max), Slot(2.5),
            ]
            for value in values {
                withUnsafePointer(to: value) { slot in
                    guard case .value(.bool(let expected)) = program.evaluate(slot) else {
                        Issue.record("\(source)")
                        return
                    }
                    #expect(program.truth(slot) == (expected ? .yes : .no), "\(source) over \(value.kind) \(value.bits)")
                }
            }
        }
    }

    @Test(arguments: [
        ("'''a\r\nb'''", "a\nb"), ("r'''a\rb\r'''", "a\nb\n"), ("'''a\r\n\r\\r\\n'''", "a\n\n\r\n"),
    ])
    func `ends of lines in a literal are line feeds, however the text was stored`(source: String, expected: String) throws {
        #expect(try Sample.value(source).isIdentical(to: .string(expected)))
        #expect(try Sample.value("b" + source).isIdentical(to: .bytes(Array(expected.utf8))))
    }

    @Test(arguments: [("[,]", "[]"), ("{,}", "{}"), ("[1,]", "[1]"), ("{1: 2,}", "{1: 2}")])
    func `a comma may end a list or a map`(source: String, expected: String) throws {
        #expect(try Sample.value(source).description == expected)
    }

    @Test(arguments: [
        ("word in ['on', 'off']", true), ("word in ['off']", false), ("t in [31.5, 2.0]", true), ("count in [1, 3]", true),
        ("count in [1.0, 3.0]", true), ("uid in [7]", true), ("uid in [7u]", true), ("yes in [true]", true), ("word in [1, 'on']", true),
        ("duration('1s') in [duration('1000ms')]", true), ("timestamp(0) in [timestamp(1)]", false), ("null in [null]", true),
    ])
    func `membership in a constant list is by CEL's equality`(source: String, expected: Bool) throws {
        #expect(try text(source, .strict) == String(expected))
    }

    @Test func `strings are compared by their bytes, interned or not`() throws {
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        #expect(composed == decomposed)
        let strings = InternedStrings()
        #expect(strings.intern(composed) != strings.intern(decomposed))
        #expect(try Sample.value("a == b", ["a": .string(composed), "b": .string(decomposed)]).isEqual(to: .bool(false)))
        #expect(try Sample.value("{a: 1, b: 2}.size()", ["a": .string(composed), "b": .string(decomposed)]).isEqual(to: .int(2)))
        #expect(try Sample.value("'\\r\\n'.size()").isEqual(to: .int(2)))
        #expect(try Sample.value("s == 'not interned yet'", ["s": .string("not interned yet")]).isEqual(to: .bool(true)))
    }

    @Test func `a slot made before its text was interned still equals it`() throws {
        let strings = InternedStrings()
        let early = Slot(retaining: .string("MOW"), strings: strings)
        defer { early.release() }
        #expect(early.kind == .object)
        let environment = Environment(arithmetic: .promoting)
        var names = Sample.Names(slots: ["origin"])
        let expression = try #require(environment.parse("origin == 'MOW'").expression)
        let program = try #require(environment.compile(expression, names: &names, strings: strings).program)
        #expect(withUnsafePointer(to: early) { program.truth($0) } == .yes)
        let late = Slot(retaining: .string("MOW"), strings: strings)
        #expect(late.kind == .string)
        #expect(withUnsafePointer(to: late) { program.truth($0) } == .yes)
    }

    @Test func `slots say whether a value has changed`() {
        let strings = InternedStrings()
        strings.intern("a")
        func slot(_ value: Value) -> Slot { Slot(retaining: value, strings: strings) }
        let list = [
            slot(.list([.double(.nan), .int(1)])), slot(.list([.double(.nan), .int(1)])), slot(.list([.double(.nan), .uint(1)])),
        ]
        defer { for slot in list { slot.release() } }
        #expect(list[0].isIdentical(to: list[1]))
        #expect(!list[0].isIdentical(to: list[2]))
        #expect(Slot(.nan).isIdentical(to: Slot(-.nan)))
        #expect(Slot(0.0).isIdentical(to: Slot(-0.0)))
        #expect(!Slot(1.0).isIdentical(to: Slot(Int64(1))))
        #expect(slot(.string("a")).isIdentical(to: slot(.string("a"))))
        #expect(MemoryLayout<Slot>.size <= 16)
        #expect(Slot(timestampSeconds: .max).kind == .error)
    }
}
