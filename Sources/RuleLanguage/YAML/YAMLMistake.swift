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
        let quoting = Self.quoting(file, line, before: offset)
        let mistake = Self.reword(
            failure.problem, opened: "\(context.line):\(context.column)", found: file.character(at: offset), quoting: quoting)
        let start = mistake.isAboutContext ? file.offset(ofScalar: failure.contextIndex) : offset
        diagnostic = Diagnostic(
            code: "yaml", mistake.message, at: file.location(of: start..<start + 1), notes: [mistake.note, quoting].compactMap { $0 })
    }

    private struct Wording {
        var message: String
        var note: String?
        /// The place to show is where the construct began.
        var isAboutContext = false
    }

    private static func tabInIndentation(_ file: SourceFile, _ line: Range<Int>) -> Int? {
        let indentation = file.bytes[line].prefix { $0 == 32 || $0 == 9 || $0 == UInt8(ascii: "-") }
        return indentation.firstIndex(of: 9)
    }

    private static func reword(_ problem: String, opened: String, found: String, quoting: String?) -> Wording {
        switch problem {
        case "mapping values are not allowed in this context":
            Wording(
                message: "':' cannot stand here", note: "either the line is indented wrongly, or a value that holds ': ' must be quoted")
        case "did not find expected key" where quoting != nil: Wording(message: "nothing can follow a value on its line")
        case "did not find expected key":
            Wording(message: "this does not belong to the mapping that begins at \(opened)", note: "is it indented as its neighbours are?")
        case "did not find expected '-' indicator":
            Wording(message: "an item of the list that begins at \(opened) must begin with '-'")
        case "could not find expected ':'": Wording(message: "a key must be followed by ':'")
        case "found unexpected end of stream", "found unexpected document indicator":
            Wording(message: "a quote must be closed", isAboutContext: true)
        case "did not find expected ',' or ']'":
            Wording(
                message: "the list opened at \(opened) must go on with ',' or end with ']'",
                note: "in brackets a value that holds one of , [ ] { } must be quoted")
        case "did not find expected ',' or '}'":
            Wording(
                message: "the mapping opened at \(opened) must go on with ',' or end with '}'",
                note: "in braces a value that holds one of , [ ] { } must be quoted")
        case "found unknown escape character":
            Wording(message: "double quotes know no such escape", note: "single quotes take a backslash as it is")
        case "found character that cannot start any token": Wording(message: "a value cannot begin with '\(found)'", note: "quote it")
        case "did not find expected node content": Wording(message: "a value must stand here instead of '\(found)'")
        case "did not find expected <document start>":
            Wording(message: "the document has ended before this", note: "is the line indented less than the first one?")
        case "block sequence entries are not allowed in this context":
            Wording(message: "'-' cannot stand here", note: "a list begins on a line of its own")
        default: Wording(message: "this is no YAML: \(problem)")
        }
    }

    /// The values that everybody forgets to quote once.
    private static func quoting(_ file: SourceFile, _ line: Range<Int>, before offset: Int) -> String? {
        let text = file.text(line)
        guard let colon = text.firstRange(of: ": ") else { return nil }
        // What is wrong with a line from its key on is no matter of its value.
        guard offset > line.lowerBound + text.utf8.distance(from: text.startIndex, to: colon.lowerBound) else { return nil }
        let value = text[colon.upperBound...].drop { $0 == " " }
        if value.hasPrefix("{{") { return "a value that begins with '{{' must be quoted" }
        if value.hasPrefix("{") { return "a value that begins with '{' is a mapping; as text it must be quoted" }
        if value.hasPrefix("\"") || value.hasPrefix("'") { return "a value that begins with a quote must be quoted as a whole" }
        return nil
    }
}

extension SourceFile {
    fileprivate func character(at offset: Int) -> String {
        guard offset < bytes.count else { return "the end of the file" }
        var end = offset + 1
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        return text(offset..<end)
    }
}
