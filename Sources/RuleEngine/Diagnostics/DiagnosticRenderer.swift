/// Diagnostics as people read them: place, message and code, the source line with carets, notes and hint.
public struct DiagnosticRenderer: Sendable {
    /// Lines of a file by its name; none when it cannot be shown.
    let lines: @Sendable (String) -> [String]?

    public init(lines: @escaping @Sendable (String) -> [String]?) { self.lines = lines }

    public func render(_ diagnostic: Diagnostic) -> String {
        let place = diagnostic.location
        var text =
            "\(place.file):\(place.line):\(place.column): \(diagnostic.severity.rawValue): \(diagnostic.message) [\(diagnostic.code)]\n"
        let number = String(place.line)
        let margin = String(repeating: " ", count: number.count)
        if let all = lines(place.file), all.indices.contains(place.line - 1) {
            let line = all[place.line - 1]
            let scalars = Array(line.unicodeScalars)
            let before = scalars.prefix(place.column - 1).map { $0 == "\t" ? "\t" : " " }.joined()
            let width = max(1, min(place.length, scalars.count - place.column + 1))
            let carets = String(repeating: "^", count: width)
            text += "\(margin) |\n\(number) | \(line)\n\(margin) | \(before)\(carets)"
            text += diagnostic.label.map { " \($0)\n" } ?? "\n"
        }
        for note in diagnostic.notes { text += "\(margin) = \(note)\n" }
        if let hint = diagnostic.hint { text += "\(margin) = hint: \(hint)\n" }
        return text
    }
}
