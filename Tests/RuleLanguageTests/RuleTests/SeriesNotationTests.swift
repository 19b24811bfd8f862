import RuleEngine
import Testing

@testable import RuleLanguage

@Suite struct SeriesNotationTests {
    /// The samples one by one; `_` for none.
    private func expanded(_ text: String) throws -> [String] {
        try SeriesNotation.read(text).runs.flatMap { run in
            (0..<run.count).map { index -> String in
                switch run.first {
                case .none: "_"
                case .null: "null"
                case .bool(let value): "\(value)"
                case .number(let number): Document.double(run.step == 0 ? number : number + run.step * Double(index)).plainText
                case .text(let text): "'\(text)'"
                }
            }
        }
    }

    @Test(arguments: [
        ("-18 -14x6 _x3 -20", "-18 -14 -14 -14 -14 -14 -14 -14 _ _ _ -20"), ("1+2x5", "1 3 5 7 9 11"), ("10-2.5x2", "10 7.5 5"),
        ("0x2 1", "0 0 0 1"),
        ("1 stale 3", "1 _ 3"), ("_ 5", "_ 5"), ("NaN Inf -Inf +Inf", "NaN Infinity -Infinity Infinity"), ("-1-1x2", "-1 -2 -3"),
        ("1e-3 1e3+1e0x1", "0.001 1000 1001"),
        ("true false nullx1", "true false null null"), ("open 'half open'x1 closed", "'open' 'half open' 'half open' 'closed'"), ("", ""),
        ("  7  ", "7"),
        ("box", "'box'"), ("x5", "'x5'"), ("1+x3", "'1+x3'"),
    ])
    func `promtool's notation is read`(text: String, samples: String) throws {
        guard text != "x5", text != "1+x3" else {
            #expect(throws: SeriesNotation.Mistake.self) { try SeriesNotation.read(text) }
            return
        }
        #expect(try expanded(text).joined(separator: " ") == samples)
    }

    @Test(arguments: [
        ("openx3", "a text that is repeated must be quoted"), ("'open", "a quote must be closed"),
        ("'open'y", "behind a quote stands 'x' and how often, or nothing"), ("1x999999999", "a series has at most 100000000 samples"),
    ])
    func `a mistake says the rule`(text: String, message: String) {
        #expect { try SeriesNotation.read(text) } throws: { ($0 as? SeriesNotation.Mistake)?.message == message }
    }

    @Test func `a series of a year takes no more room than one of an hour`() throws {
        #expect(try SeriesNotation.read("20+0.001x31536000").runs.count == 1)
    }
}
