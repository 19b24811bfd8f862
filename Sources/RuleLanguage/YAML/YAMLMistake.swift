import RuleEngine

/// What libyaml says, in the words of somebody who has to mend the file.
struct YAMLMistake {
    let diagnostic: Diagnostic

    init(_ failure: YAMLEvents.Failure, in file: SourceFile) {
        let offset = failure.byte ?? file.offset(ofScalar: failure.index)
        let line = file.lineRange(at: offset)
        let context = file.location(of: { $0..<$0 }(file.offset(ofScalar: failure.contextIndex)))
        if failure.byte != nil {
            diagnostic = Diagnostic(
                code: "encoding", "a file holds no control characters", at: file.location(of: offset..<offset + 1))
            return
        }
        if let tab = Self.tabInIndentation(file, line) {
            diagnostic = Diagnostic(
                code: "tab", "YAML is indented with spaces: a tab cannot indent", at: file.location(of: tab..<tab + 1))
            return
        }
        let (message, notes) = Self.reword(failure.problem, opened: "\(context.line):\(context.column)", file: file, offset: offset)
        diagnostic = Diagnostic(
            code: "yaml", message, at: file.location(of: offset..<offset + 1),
            notes: notes + (Self.quoting(file, line, context).map { [$0] } ?? []))
    }

    private static func tabInIndentation(_ file: SourceFile, _ line: Range<Int>) -> Int? {
        let indentation = file.bytes[line].prefix { $0 == 32 || $0 == 9 || $0 == UInt8(ascii: "-") }
        return indentation.firstIndex(of: 9)
    }

    private static func reword(_ problem: String, opened: String, file: SourceFile, offset: Int) -> (String, [String]) {
        let found = offset < file.bytes.count ? file.text(offset..<file.offsetAfterScalar(at: offset)) : "the end of the file"
        switch problem {
        case "mapping values are not allowed in this context":
            return ("':' cannot stand here", ["either the line is indented wrongly, or a value that holds ': ' must be quoted"])
        case "did not find expected key":
            return ("this does not belong to the mapping that begins at \(opened)", ["is it indented as its neighbours are?"])
        case "did not find expected '-' indicator":
            return ("an item of the list that begins at \(opened) must begin with '-'", [])
        case "could not find expected ':'": return ("a key must be followed by ':'", [])
        case "found unexpected end of stream": return ("the quote opened at \(opened) is not closed", [])
        case "found unexpected document indicator": return ("the quote opened at \(opened) is not closed", [])
        case "did not find expected ',' or ']'": return ("the list opened at \(opened) must go on with ',' or end with ']'", [])
        case "did not find expected ',' or '}'": return ("the mapping opened at \(opened) must go on with ',' or end with '}'", [])
        case "found unknown escape character":
            return ("double quotes know no such escape", ["single quotes take a backslash as it is"])
        case "found character that cannot start any token":
            return ("a value cannot begin with '\(found)'", ["quote it"])
        case "did not find expected node content": return ("a value is missing here, found '\(found)'", [])
        case "did not find expected <document start>":
            return ("the document has ended before this", ["is the line indented less than the first one?"])
        case "block sequence entries are not allowed in this context":
            return ("'-' cannot stand here", ["a list begins on a line of its own"])
        default: return ("this is no YAML: \(problem)", [])
        }
    }

    /// The three values that everybody forgets to quote once.
    private static func quoting(_ file: SourceFile, _ line: Range<Int>, _ context: SourceLocation) -> String? {
        let text = file.text(line)
        guard let colon = text.firstRange(of: ": ") else { return nil }
        let value = text[colon.upperBound...].drop { $0 == " " }
        if value.hasPrefix("{{") { return "a value that begins with '{{' must be quoted" }
        if value.hasPrefix("{") { return "a value that begins with '{' is a mapping; as text it must be quoted" }
        if value.hasPrefix("\"") || value.hasPrefix("'") { return "a value that begins with a quote must be quoted as a whole" }
        return nil
    }
}

extension SourceFile {
    fileprivate func offsetAfterScalar(at offset: Int) -> Int {
        var end = offset + 1
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        return end
    }
}
