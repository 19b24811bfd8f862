import CEL
import Testing

/// What is said of mistakes: the code, the place, the words and the hint.
@Suite struct DiagnosticsTests {
    private struct Names: NameResolver {
        mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
            switch path.first {
            case .name("temperature"): .slot(0, type: .double, consumed: 1)
            case .name("word"): .slot(1, type: .string, consumed: 1)
            case .name("any"): .slot(2, consumed: 1)
            default: .unknown(nearest: nil, known: ["any", "temperature", "word"])
            }
        }
    }

    /// One line a diagnostic: the marked text, then code, message and hint.
    private func diagnose(_ source: String) -> String {
        var environment = Environment(arithmetic: .promoting)
        environment.add(Function("either", .global, [.int], .int) { $0[0] })
        environment.add(Function("either", .global, [.string], .string) { $0[0] })
        environment.add(Function("boolOrInt", .global, [.int], .int) { $0[0] })
        environment.add(Function("boolOrInt", .global, [.bool], .bool) { $0[0] })
        environment.add(Function("anything", .global, [.dyn], .dyn) { $0[0] })
        let parsed = environment.parse(source)
        var diagnostics = parsed.diagnostics
        if let expression = parsed.expression {
            var names = Names()
            diagnostics += environment.compile(expression, names: &names, strings: InternedStrings(), expecting: .bool).diagnostics
        }
        let bytes = Array(source.utf8)
        return diagnostics.map { diagnostic in
            let marked = String(decoding: bytes[diagnostic.span.start..<diagnostic.span.end], as: UTF8.self)
            let severity = diagnostic.severity == .warning ? "warning " : ""
            return "\(severity)\(diagnostic.code) [\(marked)] \(diagnostic.message)" + (diagnostic.hint.map { " | \($0)" } ?? "")
        }.joined(separator: "\n")
    }

    @Test(arguments: [
        ("temperature > 30.0", ""),
        ("temperatur > 30.0", "unknown-name [temperatur] unknown name 'temperatur' | did you mean 'temperature'?"),
        ("word > 3u", ""),
        ("word > true", "no-such-overload [word > true] no such overload: string > bool"),
        (
            "temperature && true",
            "no-such-overload [temperature] '&&' needs a bool, and this is a double | compare it with something, by '>' or '=='"
        ),
        (
            "temperature + 1.0",
            "wrong-type [temperature + 1.0] a bool is needed here, and this is a double | compare it with something, by '>' or '=='"
        ),
        ("1 + 2", "wrong-type [1 + 2] a bool is needed here, and this is an int | compare it with something, by '>' or '=='"),
        ("3u", "wrong-type [3u] a bool is needed here, and this is a uint | compare it with something, by '>' or '=='"),
        ("[any]", "wrong-type [[any]] a bool is needed here, and this is a list(dyn)"),
        ("temperature == true", "warning never-equal [temperature == true] a double never equals a bool"),
        (
            "temperature > 9 / 5",
            "warning integer-division [9 / 5] both sides are ints, so the quotient is cut to an int | write 9.0 / 5.0 for a fraction"
        ),
        ("word.startWith('a')", "unknown-function [startWith] unknown function 'startWith' | did you mean 'startsWith'?"),
        ("math.abz(1) > 0", "unknown-function [math.abz] unknown function 'math.abz' | did you mean 'math.abs'?"),
        ("math.max(1, any) > 0", "unknown-function [math.max] unknown function 'math.max' | did you mean 'math.greatest'?"),
        (
            "math.frobnicate(1) > wrd",
            "unknown-function [math.frobnicate] unknown function 'math.frobnicate'\nunknown-name [wrd] unknown name 'wrd' | did you mean 'word'?"
        ),
        ("any.matchs('a')", "unknown-function [matchs] unknown function 'matchs' | did you mean 'matches'?"),
        ("word.startsWith(1)", "no-such-overload [word.startsWith(1)] no such overload: startsWith(string, int)"),
        ("word.matches('(')", "bad-pattern ['('] bad regular expression: missing ): ("),
        ("any.all(1, true)", "bad-macro [1] 'all' needs a simple name here"),
        ("has(1)", "bad-macro [1] 'has' takes a field selection | write has(a.b) or has(name)"),
        ("Foo{a: 1}", "unknown-type [Foo{a: 1}] message 'Foo' cannot be built: this CEL has no protocol buffers"),
        ("", "syntax [] the expression ends where an operand should stand"),
        ("temperature >", "syntax [] the expression ends where an operand should stand"),
        ("temperature = 3.0", "syntax [=] '=' is not an operator | write '==' to compare"),
        ("word =~ 'a'", "syntax [=~] '=~' is not an operator | write text.matches('pattern')"),
        ("not any", "syntax [any] 'any' stands where an operator or the end should | write '!' for 'not'"),
        ("any > duration('1h30m')", ""),
        (
            "any > duration('1d')",
            "conversion ['1d'] '1d' is not a duration such as '1h30m', or one too long | the longest unit is the hour: write '24h'"
        ),
        ("any > duration('5 min')", "conversion ['5 min'] '5 min' is not a duration such as '1h30m', or one too long"),
        (
            "any > timestamp('2026-01-31')",
            "conversion ['2026-01-31'] '2026-01-31' is not an RFC 3339 timestamp between the years 1 and 9999, such as '2026-01-31T12:00:00Z'"
        ),
        ("any and any", "syntax [and] 'and' stands where an operator or the end should | write '&&'"),
        ("(temperature > 1.0", "syntax [(] this parenthesis is never closed"),
        ("word == 'abc", "syntax ['abc] a string has no closing quote"),
        ("word == '\\d'", "syntax [\\d] an unknown escape in a string | write a pattern as r'…'"),
        ("9223372036854775808 > 1", "syntax [9223372036854775808] a whole number too large for 64 bits | write it as a double: add '.0'"),
        ("!-any", "syntax [-] '!' and '-' cannot be mixed | put the inner one in parentheses"),
        ("any.in", "syntax [in] 'in' is a keyword and cannot be a field's name | write ['in']"),
        ("for > 1", "syntax [for] 'for' is a reserved word"),
        ("any + && any >", "syntax [&&] '&&' stands where an operand should\nsyntax [] the expression ends where an operand should stand"),
        (
            "size(any,) > 1 && [1, , 2] == any",
            "syntax [)] ')' stands where an operand should\nsyntax [,] ',' stands where an operand should"
        ),
        (
            "temperatur > 1.0 && wrd == 'a'",
            "unknown-name [temperatur] unknown name 'temperatur' | did you mean 'temperature'?\nunknown-name [wrd] unknown name 'wrd' | did you mean 'word'?"
        ),
        ("size(any, 5m) > 3", "syntax [m] a number runs into a word | a duration stands in quotes: '5m'"),
        ("any > 0XFF", "syntax [X] a number runs into a word"),
        ("any > 3x", "syntax [x] a number runs into a word"),
        (
            "any == größe && wrd2 & any",
            "syntax [größe] a name has only the letters a to z and A to Z, digits and '_' | a field: x['größe']; a text: 'größe'\nsyntax [&] '&' is not an operator | write '&&'"
        ),
        (
            "any § 1 && any >",
            "syntax [§] a character that has no meaning here\nsyntax [] the expression ends where an operand should stand"
        ),
        ("any any, any", "syntax [any] 'any' stands where an operator or the end should"),
        ("any § 1", "syntax [§] a character that has no meaning here"),
    ])
    func `a mistake is reported where it is`(source: String, expected: String) {
        #expect(diagnose(source) == expected)
    }

    @Test(arguments: [
        ("any + 1", "any + 1", "'+'"), ("1 - any", "1 - any", "'-'"), ("any * any", "any * any", "'*'"), ("any / 2", "any / 2", "'/'"),
        ("any % 2", "any % 2", "'%'"), ("-any", "-any", "'-'"), ("math.abs(any)", "math.abs(any)", "'math.abs'"),
        ("math.greatest(any, 1)", "math.greatest(any, 1)", "'math.greatest'"), ("any.reverse()", "any.reverse()", "'reverse'"),
        ("cel.bind(x, any + 1, x)", "cel.bind(x, any + 1, x)", "'+'"), ("either(any)", "either(any)", "'either'"),
        ("any == 1 && any + 1", "any + 1", "'+'"), ("any + 1 || true", "any + 1", "'+'"), ("!(any + 1)", "any + 1", "'+'"),
        ("any * 2 ? true : false", "any * 2", "'*'"), ("[1].exists(x, any + x)", "any + x", "'+'"),
        ("any.all(x, any - x)", "any - x", "'-'"), ("any.exists_one(x, x % 2)", "x % 2", "'%'"),
        ("any.filter(x, x * 2) == []", "x * 2", "'*'"), ("any.map(x, x * 2, x) == []", "x * 2", "'*'"),
        ("any.all(i, v, i + v)", "i + v", "'+'"), ("cel.block([any + 1], cel.index(0) && true)", "cel.index(0)", "'+'"),
        ("any ? any + 1 : any - 1", "any ? any + 1 : any - 1", "neither branch"), ("any ? 1 : 'a'", "any ? 1 : 'a'", "neither branch"),
    ])
    func `what gives a bool with no operand at all is refused as one`(source: String, marked: String, giver: String) {
        let why = giver.first == "'" ? "\(giver) never gives one" : "\(giver) gives one"
        let found = diagnose(source)
        #expect(found.contains(" [\(marked)] ") && found.hasSuffix(", and \(why) | compare it with something, by '>' or '=='"), "\(found)")
    }

    @Test(arguments: [
        "any", "any.f", "any[0]", "any ? any : 1", "any ? any + 1 : any", "dyn(any + 1)", "optional.of(any).orValue(1)",
        "any.?f.orValue(1)",
        "any.value()", "[any + 1, true][1]", "{'a': any + 1}.a", "cel.bind(x, any, x)", "cel.bind(x, any + 1, x > 1)", "anything(any)",
        "boolOrInt(any)", "any.all(x, x)", "[any + 1].exists(x, x == 3)", "any && any", "any.f || any[0]", "bool(any)",
    ])
    func `what may be a bool is not refused`(source: String) {
        #expect(diagnose(source) == "")
    }

    @Test func `a hint is a name that may have been meant`() {
        #expect(nearest("temperatur", ["temperature", "t"]) == "temperature")
        #expect(nearest("a", ["x", "y"]) == nil)
        #expect(nearest("dyn", ["cd", "y"]) == nil)
        #expect(nearest("ab", ["ac"]) == "ac")
    }

    @Test func `operands of an operator are both pointed at`() throws {
        let environment = Environment()
        var names = Names()
        let expression = try #require(environment.parse("word > temperature").expression)
        let result = environment.compile(expression, names: &names, strings: InternedStrings())
        let found = try #require(result.diagnostics.first)
        #expect(found.message == "no such overload: string > double")
        #expect(found.notes.map(\.text) == ["string", "double"])
        #expect(found.notes.map(\.span) == [Span(start: 0, end: 4), Span(start: 7, end: 18)])
    }
}
