@testable import CEL
import Testing

/// `docs/cel.md` is true: its examples evaluate to what it says, and it leaves nothing out.
@Suite struct DocumentationTests {
    private struct Example {
        var line: Int
        var source: String
        var arithmetic: Arithmetic
        var isError: Bool
    }

    private static func page() throws -> String { try Fixture.text("../../docs/cel.md") }

    private static func examples() throws -> [Example] {
        var found: [Example] = []
        var block: Arithmetic?
        for (index, line) in try page().split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") {
                block = line == "```cel" ? .strict : line == "```cel promoting" ? .promoting : nil
            } else if let block {
                found.append(Example(line: index + 1, source: String(line), arithmetic: block, isError: false))
            } else if line.hasPrefix("| "), let example = cell(line) {
                found.append(Example(line: index + 1, source: example.source, arithmetic: .strict, isError: example.isError))
            }
        }
        return found
    }

    /// The last cell of a table's row: an expression in backticks, perhaps with *error* behind it.
    private static func cell(_ line: Substring) -> (source: String, isError: Bool)? {
        let text = line.replacing("\\|", with: "\u{1}")
        guard var last = text.split(separator: "|").last else { return nil }
        last = last.trimmingPrefix(" ")
        let isError = last.hasSuffix("` *error* ")
        guard last.hasPrefix("`"), isError || last.hasSuffix("` ") else { return nil }
        let source = last.dropFirst().dropLast(isError ? "` *error* ".count : 2)
        return (String(source.replacing("\u{1}", with: "|")), isError)
    }

    @Test func `every example of the page holds`() throws {
        let examples = try DocumentationTests.examples()
        #expect(examples.count > 150)
        for example in examples {
            let outcome = try Sample.outcome(example.source, [:], example.arithmetic)
            switch outcome {
            case .value(let value):
                #expect(!example.isError && value.isEqual(to: .bool(true)), "docs/cel.md:\(example.line): \(example.source) is \(value)")
            case .error(let error): #expect(example.isError, "docs/cel.md:\(example.line): \(example.source): \(error.message)")
            case .missing(let name): Issue.record("docs/cel.md:\(example.line): missing \(name)")
            }
        }
    }

    @Test func `the page names every function and macro`() throws {
        let page = try DocumentationTests.page()
        let members = Set(StandardLibrary.names(.all) + Compiler.macroNames)
        for name in members {
            #expect(page.contains("`\(name)(") || page.contains(".\(name)("), "docs/cel.md does not tell of \(name)")
        }
    }

    @Test func `the page names every code of an error`() throws {
        let page = try DocumentationTests.page()
        for code in EvaluationError.Code.allCases { #expect(page.contains("`\(code.rawValue)`"), "docs/cel.md does not tell of \(code)") }
    }
}
