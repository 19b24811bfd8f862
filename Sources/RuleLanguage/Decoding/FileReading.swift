import CEL
import RuleEngine

/// What every reader of a part of a file needs: the text for places, where mistakes go, and the language of expressions.
struct FileReading {
    let file: SourceFile
    let findings: Findings
    let environment: Environment
    /// What decoders, channels and actions of plugins there are.
    var plugins = PluginCatalog.empty

    func report(_ code: String, _ message: String, at range: Range<Int>, label: String? = nil, notes: [String] = [], hint: String? = nil) {
        findings.report(code, message, at: file.location(of: range), label: label, notes: notes, hint: hint)
    }

    func warn(_ code: String, _ message: String, at range: Range<Int>, notes: [String] = []) {
        findings.add(Diagnostic(.warning, code: code, message, at: file.location(of: range), notes: notes))
    }

    /// `file:line:column`, for notes that point elsewhere.
    func place(_ range: Range<Int>) -> String {
        let place = file.location(of: range)
        return "\(place.file):\(place.line):\(place.column)"
    }

    /// The YAML of a block as it would stand at the margin: lines after the first lose its indentation.
    func yaml(_ range: Range<Int>) -> String {
        let indentation = file.location(of: range.lowerBound..<range.lowerBound).column - 1
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var pending = 0
        for byte in file.bytes[range.clamped(to: 0..<file.bytes.count)] {
            if pending > 0, byte == 32 {
                pending -= 1
                continue
            }
            pending = byte == 10 ? indentation : 0
            text.append(byte)
        }
        while let last = text.last, last == 10 || last == 13 || last == 32 { text.removeLast() }
        return String(decoding: text, as: UTF8.self) + "\n"
    }
}
