import RuleEngine

extension SourceFile {
    /// A scalar's text with the place of each of its bytes, whatever its style: quotes, escapes, folding and indentation are undone.
    func sourceText(_ text: String, _ style: YAMLNode.Style, at range: Range<Int>) -> SourceText {
        var positions = ScalarPositions(text: Array(text.utf8), raw: bytes[range.clamped(to: 0..<bytes.count)])
        switch style {
        case .plain: positions.alignLines(isBlock: false)
        case .literal, .folded: positions.alignLines(isBlock: true)
        case .singleQuoted: positions.followQuoted(escape: UInt8(ascii: "'"))
        case .doubleQuoted: positions.followQuoted(escape: UInt8(ascii: "\\"))
        }
        let runs = positions.marks.map { mark in
            let place = location(of: mark.raw..<mark.raw)
            return SourceText.Run(offset: mark.text, line: place.line, column: place.column)
        }
        return SourceText(text, file: name, runs: runs)
    }
}

/// Finds where runs of a decoded scalar stand in the YAML it was decoded from.
///
/// The decoded text is at hand, so nothing is decoded here: the text is followed through the raw bytes. Where they do not meet (a line
/// break that only YAML 1.1 knows), no further run is added: places then are those of the last run, never out of the file.
private struct ScalarPositions {
    let text: [UInt8]
    let raw: ArraySlice<UInt8>
    private(set) var marks: [(text: Int, raw: Int)] = []

    init(text: [UInt8], raw: ArraySlice<UInt8>) {
        self.text = text
        self.raw = raw
    }

    private mutating func mark(_ textOffset: Int, _ rawOffset: Int) {
        if marks.last?.text == textOffset { marks.removeLast() }
        marks.append((textOffset, rawOffset))
    }

    /// Plain, literal and folded scalars: the lines of the YAML, less indentation, are found in the text in turn; what lies between them
    /// is made of spaces and line feeds.
    mutating func alignLines(isBlock: Bool) {
        var lines = raw.split(omittingEmptySubsequences: false) { $0 == 10 || $0 == 13 }[...]
        // The header of a block scalar: '|' or '>', indicators, perhaps a comment.
        if isBlock { lines = lines.dropFirst() }
        var indentation: Int?
        var at = 0
        for line in lines {
            guard line.contains(where: { $0 != 32 && $0 != 9 }) else { continue }
            var content = line
            if isBlock {
                if indentation == nil {
                    // An explicit indentation indicator leaves spaces of the first line in the text.
                    let kept = text.drop { $0 == 10 }.prefix { $0 == 32 }.count
                    indentation = max(0, line.prefix { $0 == 32 }.count - kept)
                }
                content = line.dropFirst(indentation ?? 0)
            } else {
                content = line.drop { $0 == 32 || $0 == 9 }
                while let last = content.last, last == 32 || last == 9 { content.removeLast() }
            }
            while at < text.count, !text[at...].starts(with: content), text[at] == 32 || text[at] == 10 || text[at] == 9 { at += 1 }
            guard text[at...].starts(with: content) else { break }
            mark(at, content.startIndex)
            at += content.count
        }
        if marks.isEmpty { mark(0, raw.startIndex) }
    }

    /// Quoted scalars: `escape` is the backslash, or the quote that stands for itself when doubled.
    mutating func followQuoted(escape: UInt8) {
        var from = raw.startIndex + 1
        var at = 0
        let end = raw.endIndex - 1
        mark(0, min(from, raw.endIndex))
        func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }
        while from < end, at < text.count {
            let byte = raw[from]
            if byte == escape, from + 1 < end {
                let next = raw[from + 1]
                if escape == UInt8(ascii: "\\"), next == 10 || next == 13 {
                    // A line break after a backslash is nothing at all, with the indentation that follows.
                    from += 1
                    while from < end, isSpace(raw[from]) { from += 1 }
                } else {
                    let (width, length) = escape == UInt8(ascii: "'") ? (2, 1) : escaped(from, end)
                    from += width
                    at += length
                }
                mark(at, from)
            } else if isSpace(byte) {
                let first = from
                var breaks = 0
                while from < end, isSpace(raw[from]) {
                    if raw[from] == 10 || raw[from] == 13 && !(from + 1 < end && raw[from + 1] == 10) { breaks += 1 }
                    from += 1
                }
                if breaks == 0 {
                    at += from - first
                } else {
                    at += max(1, breaks - 1)
                    mark(at, from)
                }
            } else {
                guard text[at] == byte else { return }
                from += 1
                at += 1
            }
        }
    }

    /// How wide an escape of a double-quoted scalar is, and how many bytes it stands for.
    private func escaped(_ from: Int, _ end: Int) -> (width: Int, length: Int) {
        let digits: Int
        switch raw[from + 1] {
        case UInt8(ascii: "x"): digits = 2
        case UInt8(ascii: "u"): digits = 4
        case UInt8(ascii: "U"): digits = 8
        case UInt8(ascii: "N"), UInt8(ascii: "_"): return (2, 2)
        case UInt8(ascii: "L"), UInt8(ascii: "P"): return (2, 3)
        default: return (2, 1)
        }
        guard from + 2 + digits <= end else { return (end - from, 0) }
        var value: UInt32 = 0
        for byte in raw[from + 2..<from + 2 + digits] {
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { break }
            value = value << 4 | UInt32(digit)
        }
        return (2 + digits, UnicodeScalar(value).map { UTF8.width($0) } ?? 3)
    }
}
