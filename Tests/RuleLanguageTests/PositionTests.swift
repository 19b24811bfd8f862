import RuleEngine
import Testing

@testable import RuleLanguage

@Suite struct PositionTests {
    /// A value of a mapping, in one style, whose text holds the letters a–z once each, some of them behind what the style changes.
    static let scalars: [(style: String, yaml: String)] = [
        ("plain", "k: ab c d\n"),
        ("plain, folded", "k: ab\n  c   d\n\n\n  e f  \n  g\n"),
        ("plain, behind an anchor and a tag", "k: &x !!str ab c\n"),
        ("single quotes", "k: 'a''b ''''c'\n"),
        ("single quotes, folded", "k: 'a\n  b  \n\n\n  ''c''  d\n  '\n"),
        ("double quotes", #"k: "a\"b\\c \x41 \u00e6d \U0001F600e\t\n\/f""# + "\n"),
        ("double quotes, folded", "k: \"a \\\n   b\n  c\n\n  d\\  \n  e\"\n"),
        ("literal", "k: |\n  ab\n\n    c\n  d\n"),
        ("literal with indicators", "k: |2-  # ab\n    c\n  d\n\n"),
        ("folded", "k: >\n  ab\n  c\n\n  d\n    e\n     f\n  g\n\n\n  h\n"),
        ("folded with CRLF", "k: >-\r\n  ab\r\n  c\r\n\r\n  d\r\n"),
        ("letters of other scripts before", "'æ': 'å€😀a''😀b'\n"),
        ("plain in a list in a list", "k: [[æ, ab c], d]\n"),
    ]

    @Test(arguments: scalars.indices) func `every letter of a scalar is found where it stands`(_ index: Int) throws {
        let (style, yaml) = Self.scalars[index]
        let file = SourceFile(name: "f", bytes: Array(yaml.utf8))
        let findings = Findings()
        let root = try #require(YAMLReader.read(file, into: findings))
        #expect(findings.diagnostics == [])
        var letters = 0
        visit(root) { text, style_, range in
            let source = file.sourceText(text, style_, at: range)
            for (offset, byte) in text.utf8.enumerated() where (97...122).contains(byte) {
                let place = source.location(of: offset..<offset + 1)
                let line = Array(file.lines[place.line - 1].unicodeScalars)
                let found = line.indices.contains(place.column - 1) ? line[place.column - 1] : "?"
                #expect(found == UnicodeScalar(byte), "\(style): at \(place.line):\(place.column)")
                #expect(source.part(offset..<text.utf8.count).location(of: 0..<1) == place)
                letters += 1
            }
        }
        #expect(letters > 1, "\(style)")
    }

    private func visit(_ node: YAMLNode, _ body: (String, YAMLNode.Style, Range<Int>) -> Void) {
        switch node.content {
        case .scalar(let text, let style): body(text, style, node.range)
        case .sequence(let items): for item in items { visit(item, body) }
        case .mapping(let entries): for entry in entries { visit(entry.value, body) }
        }
    }

    @Test func `a span covers its escapes and ends with its line`() {
        let file = SourceFile(name: "f", bytes: Array(#"k: "a == \"b\" || c""#.utf8))
        let source = file.sourceText(#"a == "b" || c"#, .doubleQuoted, at: 3..<20)
        #expect(source.location(of: 5..<8) == SourceLocation(file: "f", line: 1, column: 10, length: 5))
        let folded = SourceFile(name: "f", bytes: Array("k: >\n  a &&\n  bcd\n".utf8))
        let text = folded.sourceText("a && bcd\n", .folded, at: 3..<18)
        #expect(text.location(of: 0..<8) == SourceLocation(file: "f", line: 2, column: 3, length: 4))
        #expect(text.location(of: 5..<8) == SourceLocation(file: "f", line: 3, column: 3, length: 3))
    }

    @Test func `columns count Unicode scalars, and a byte order mark counts for nothing`() throws {
        let yaml = "\u{FEFF}groups:\n  - {name: '🏭🏭', on: 'é/{device}', fro: 1, rules: [{alert: A, expr: 'true'}]}\n"
        #expect(load(yaml).diagnostics.map(\.short) == ["2:36 unknown-key"])
    }

    @Test func `places in a file of one long line are exact`() {
        let text = String(repeating: "æø€😀x", count: 5000)
        let file = SourceFile(name: "f", bytes: Array(text.utf8))
        var offset = 0
        for (index, scalar) in text.unicodeScalars.enumerated() {
            #expect(file.offset(ofScalar: index) == offset)
            #expect(file.location(of: offset..<offset).column == index + 1)
            offset += UTF8.width(scalar)
        }
    }
}
