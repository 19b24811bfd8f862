/// Alertmanager's text form of matchers: `severity = critical`, `{site=~"oslo|bergen", team!=""}`.
public enum MatcherText {
    public struct Mistake: Error {
        public var message: String
        /// UTF-8 offsets in the text.
        public var range: Range<Int>
    }

    /// Letters, digits and `_`, no digit first.
    public static func isLabelName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
        return text.utf8.allSatisfy { $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
    }

    /// The matchers and where each stands.
    public static func parse(_ text: String) throws(Mistake) -> [(Matcher, Range<Int>)] {
        var bytes = Array(text.utf8)[...]
        trim(&bytes)
        if bytes.first == UInt8(ascii: "{") {
            guard bytes.last == UInt8(ascii: "}"), bytes.count > 1 else {
                throw Mistake(message: "'{' must be closed with '}'", range: bytes.startIndex..<bytes.startIndex + 1)
            }
            bytes = bytes.dropFirst().dropLast()
            trim(&bytes)
        }
        var found: [(Matcher, Range<Int>)] = []
        while !bytes.isEmpty {
            found.append(try matcher(&bytes))
            trim(&bytes)
            guard let next = bytes.first else { break }
            guard next == UInt8(ascii: ",") else {
                throw Mistake(message: "matchers are separated by ','", range: bytes.startIndex..<bytes.endIndex)
            }
            bytes = bytes.dropFirst()
            trim(&bytes)
        }
        return found
    }

    private static func trim(_ bytes: inout ArraySlice<UInt8>) {
        bytes = bytes.drop { $0 == 32 || (9...13).contains($0) }
        while let last = bytes.last, last == 32 || (9...13).contains(last) { bytes.removeLast() }
    }

    private static func matcher(_ bytes: inout ArraySlice<UInt8>) throws(Mistake) -> (Matcher, Range<Int>) {
        let start = bytes.startIndex
        let nameBytes = bytes.prefix { $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
        let name = String(decoding: nameBytes, as: UTF8.self)
        guard isLabelName(name) else {
            throw Mistake(message: "a matcher must begin with a label's name", range: start..<max(start + 1, nameBytes.endIndex))
        }
        bytes = bytes[nameBytes.endIndex...].drop { $0 == 32 || $0 == 9 }
        let operations: [Matcher.Operation] = [.matches, .doesNotMatch, .notEqual, .equal]
        guard let operation = operations.first(where: { bytes.starts(with: $0.rawValue.utf8) }) else {
            throw Mistake(message: "a matcher needs one of = != =~ !~ after the label's name", range: start..<nameBytes.endIndex)
        }
        bytes = bytes.dropFirst(operation.rawValue.utf8.count).drop { $0 == 32 || $0 == 9 }
        let value = try value(&bytes)
        return (Matcher(name, operation, value), start..<bytes.startIndex)
    }

    private static func value(_ bytes: inout ArraySlice<UInt8>) throws(Mistake) -> String {
        guard bytes.first == UInt8(ascii: "\"") else {
            var plain = bytes.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
            bytes = bytes[plain.endIndex...]
            if bytes.first == UInt8(ascii: "\"") {
                throw Mistake(message: "a value that holds '\"' must be quoted", range: plain.startIndex..<plain.endIndex + 1)
            }
            while let last = plain.last, last == 32 || last == 9 { plain.removeLast() }
            return String(decoding: plain, as: UTF8.self)
        }
        var text: [UInt8] = []
        var at = bytes.startIndex + 1
        while at < bytes.endIndex, bytes[at] != UInt8(ascii: "\"") {
            if bytes[at] == UInt8(ascii: "\\"), at + 1 < bytes.endIndex {
                at += 1
                switch bytes[at] {
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): text.append(bytes[at])
                // As Alertmanager does: a backslash that escapes nothing stands for itself, which suits regular expressions.
                default: text += [UInt8(ascii: "\\"), bytes[at]]
                }
            } else {
                text.append(bytes[at])
            }
            at += 1
        }
        guard at < bytes.endIndex else {
            throw Mistake(message: "a quote must be closed", range: bytes.startIndex..<bytes.startIndex + 1)
        }
        bytes = bytes[(at + 1)...]
        return String(decoding: text, as: UTF8.self)
    }
}
