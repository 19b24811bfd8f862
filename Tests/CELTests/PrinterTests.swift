import CEL
import Testing

/// Printing, JSON, and what else becomes text.
@Suite struct PrinterTests {
    @Test func `every conformance expression prints as one that parses to the same`() throws {
        let environment = Environment()
        var count = 0
        for file in ["cel-conformance.jsonl", "cel-supplement-conformance.jsonl"] {
            for line in try Fixture.lines("Conformance/\(file)") {
                guard case .string(let source)? = Value(json: line)?["expr"], let expression = environment.parse(source).expression else {
                    continue
                }
                let printed = expression.description
                let again = environment.parse(printed).expression
                #expect(again?.description == printed && again?.root.shape == expression.root.shape, "\(source) is printed as \(printed)")
                count += 1
            }
        }
        #expect(count > 1000)
    }

    @Test(arguments: [
        ("a+b*c", "a + b * c"), ("(a+b)*c", "(a + b) * c"), ("a-(b-c)", "a - (b - c)"), ("(a-b)-c", "a - b - c"),
        ("a&&(b||c)", "a && (b || c)"), ("(a&&b)||c", "a && b || c"), ("(a||b)||c", "(a || b) || c"), ("!(a&&b)", "!(a && b)"),
        ("--1", "-(-1)"),
        ("-(1)", "-(1)"), ("-(-a)", "--a"), ("(a?b:c)?d:e", "(a ? b : c) ? d : e"), ("a?b:(c?d:e)", "a ? b : c ? d : e"),
        ("a?(b?c:d):e", "a ? (b ? c : d) : e"), ("x.map(y,y+1)", "x.map(y, y + 1)"), ("m.?a[?0].`b-c`", "m.?a[?0].`b-c`"),
        ("{?'a':b,1u:[?c]}", "{?\"a\": b, 1u: [?c]}"), ("'it\\'s \"\\n'", "\"it's \\\"\\n\""), ("b'\\xff'", "b\"\\xff\""), (".a.b", ".a.b"),
        ("1e100", "1e+100"), ("-1.5", "-1.5"), ("(-1).abs()", "(-1).abs()"), ("-1 .abs()", "(-1).abs()"), ("a in [1]", "a in [1]"),
        ("(1 < 2) == true", "1 < 2 == true"), ("1 < (2 == true)", "1 < (2 == true)"),
    ])
    func `an expression is printed in one layout`(source: String, expected: String) throws {
        let environment = Environment()
        let expression = try #require(environment.parse(source).expression)
        #expect(expression.description == expected)
        let again = try #require(environment.parse(expected).expression)
        #expect(again.description == expected && again.root.shape == expression.root.shape)
    }

    @Test(arguments: [
        ("{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\"}}", "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"é😀\"}}"),
        (" [ ] ", "[]"), ("\"a\\n\\\"\"", "\"a\\n\\\"\""), ("1e3", "1000"), ("-0.5", "-0.5"), ("1e400", "\"Infinity\""),
        ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
    ])
    func `JSON is read and written`(text: String, expected: String) throws {
        #expect(try #require(Value(json: text)).json == expected)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\"}", "01", "+1", "1.", ".5", "nul", "\"\\x\"", "\"\\ud800\"", "\"a", "[1] 2", "'a'", "\"\u{1}\"",
        String(repeating: "[", count: 10_000),
    ])
    func `what is not JSON is refused`(text: String) {
        #expect(Value(json: text) == nil)
    }

    @Test(arguments: [
        (1.0, "1"), (1.5, "1.5"), (0.1 + 0.2, "0.30000000000000004"), (123456.0, "123456"), (1_234_567.0, "1.234567e+06"), (1e6, "1e+06"),
        (1e21, "1e+21"), (0.0001, "0.0001"), (0.00001, "1e-05"), (-4.5e-3, "-0.0045"), (0.0, "0"), (-0.0, "-0"), (.infinity, "Infinity"),
        (.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    ])
    func `doubles have the shortest text`(number: Double, expected: String) throws {
        #expect(try Sample.value("string(x)", ["x": .double(number)]).isEqual(to: .string(expected)))
        #expect(try Sample.value("double(string(x)) == x", ["x": .double(number)]).isEqual(to: .bool(true)))
    }

    @Test(arguments: [
        ("%.0f", 0.5, "0"), ("%.0f", 1.5, "2"), ("%.0f", 2.5, "2"), ("%.3f", 1.2345, "1.234"), ("%.2f", 999.995, "1000.00"),
        ("%f", 1e21, "1000000000000000000000.000000"),
        ("%.1f", 0.05, "0.1"), ("%.20f", 0.1, "0.10000000000000000555"), ("%e", 12345.678, "1.234568e+04"), ("%.0e", 9.5, "1e+01"),
        ("%.2e", 0.0, "0.00e+00"),
        ("%.3f", -0.0, "-0.000"), ("%.1e", 9.96, "1.0e+01"), ("%.3f", .leastNonzeroMagnitude, "0.000"), ("%.1f", 0.96, "1.0"),
        ("%.1f", 9.96, "10.0"),
    ])
    func `doubles are formatted exactly`(verb: String, number: Double, expected: String) throws {
        #expect(try Sample.value("f.format([x])", ["f": .string(verb), "x": .double(number)]).isEqual(to: .string(expected)))
    }
}
