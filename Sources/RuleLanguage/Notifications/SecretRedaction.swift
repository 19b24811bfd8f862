extension NotificationFileReader {
    /// The text as it may be shown in diagnostics: what stands behind keys that hold secrets is replaced by `*`, and every line keeps its
    /// columns. Works on text, since what has to be shown is most often no YAML yet, or has its keys misspelt.
    public static func redacted(_ source: RuleLoader.Source) -> RuleLoader.Source {
        var shown: [UInt8] = []
        shown.reserveCapacity(source.bytes.count)
        /// The indentation of a key whose secret is a block scalar below it.
        var blockIndentation: Int?
        for line in source.bytes.split(separator: 10, omittingEmptySubsequences: false) {
            if !shown.isEmpty || line.startIndex > source.bytes.startIndex { shown.append(10) }
            let indentation = line.prefix { $0 == 32 }.count
            if let block = blockIndentation {
                if indentation > block || line.allSatisfy({ $0 == 32 || $0 == 13 }) {
                    shown += mask(line[...])
                    continue
                }
                blockIndentation = nil
            }
            let (text, opensBlock) = redacted(line[...])
            shown += text
            if opensBlock { blockIndentation = indentation }
        }
        return RuleLoader.Source(name: source.name, bytes: shown)
    }

    private static let words = ["url", "pass", "credential", "token", "secret", "api_key", "apikey"].map { Array($0.utf8) }

    private static func redacted(_ line: ArraySlice<UInt8>) -> (text: [UInt8], opensBlock: Bool) {
        var text: [UInt8] = []
        var at = line.startIndex
        while at < line.endIndex {
            let word = line[at...].prefix {
                $0 == 95 || $0 == 45 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
            }
            guard !word.isEmpty else {
                text.append(line[at])
                at += 1
                continue
            }
            text += word
            at = word.endIndex
            guard isSecret(word) else { continue }
            let gap = line[at...].prefix { $0 == 32 || $0 == 34 || $0 == 39 }
            guard gap.endIndex < line.endIndex, line[gap.endIndex] == UInt8(ascii: ":") else { continue }
            let space = line[(gap.endIndex + 1)...].prefix { $0 == 32 }
            text += line[at..<space.endIndex]
            let value = value(line[space.endIndex...])
            if let first = value.first, first == UInt8(ascii: "|") || first == UInt8(ascii: ">") {
                return (text + line[space.endIndex...], true)
            }
            text += mask(value)
            at = value.endIndex
        }
        return (text, false)
    }

    private static func isSecret(_ key: ArraySlice<UInt8>) -> Bool {
        let lower = key.map { (65...90).contains($0) ? $0 | 32 : $0 }
        guard !lower.suffix(5).elementsEqual("_file".utf8) else { return false }
        return words.contains { word in lower.indices.contains { lower[$0...].starts(with: word) } }
    }

    /// A quoted value with its quotes, else what stands before a comma, a brace or the end of the line.
    private static func value(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let quote = text.first, quote == 34 || quote == 39 else {
            return text.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}") }
        }
        let inner = text.dropFirst().prefix { $0 != quote }
        return text[text.startIndex..<min(inner.endIndex + 1, text.endIndex)]
    }

    private static func mask(_ text: ArraySlice<UInt8>) -> [UInt8] {
        text.compactMap { byte in
            if byte == 32 || byte == 13 || byte == 34 || byte == 39 { return byte }
            // One '*' a Unicode scalar.
            return byte & 0xC0 == 0x80 ? nil : UInt8(ascii: "*")
        }
    }
}
