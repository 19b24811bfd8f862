public import RuleEngine

/// A file of settings: nested mappings of plain values, each with its place.
public struct SettingsFile: Sendable {
    public struct Setting: Sendable {
        /// Names joined by `.`: `mqtt.url`.
        public var path: String
        public var value: String
        public var location: SourceLocation
    }
    public let settings: [Setting]

    /// Everything that is wrong is told, nothing is guessed: with errors, `settings` holds what could be read.
    ///
    /// - Parameters:
    ///   - lists: settings that may be lists of texts, which are joined with commas.
    ///   - others: mappings that are of another form and are read by somebody else.
    public static func read(name: String, bytes: [UInt8], lists: Set<String> = [], except others: Set<String> = []) -> (
        file: SettingsFile, diagnostics: [Diagnostic]
    ) {
        let findings = Findings()
        let file = SourceFile(name: name, bytes: bytes)
        var settings: [Setting] = []
        func collect(_ node: YAMLNode, _ path: String, at keyRange: Range<Int>) {
            if others.contains(path) { return }
            switch node.content {
            case .mapping(let entries):
                for entry in entries { collect(entry.value, path.isEmpty ? entry.key : "\(path).\(entry.key)", at: entry.keyRange) }
            case .scalar(let text, _):
                if !node.isNull { settings.append(Setting(path: path, value: text, location: file.location(of: keyRange))) }
            case .sequence(let items) where lists.contains(path):
                let texts = items.compactMap { if case .scalar(let text, _) = $0.content, !$0.isNull { text } else { nil } }
                if texts.count < items.count {
                    findings.report("wrong-type", "'\(path)' must be a list of texts", at: file.location(of: node.headRange))
                }
                settings.append(Setting(path: path, value: texts.joined(separator: ", "), location: file.location(of: keyRange)))
            case .sequence:
                findings.report("wrong-type", "a setting must be a single value: '\(path)'", at: file.location(of: node.headRange))
            }
        }
        if let root = YAMLReader.read(file, into: findings) {
            if case .mapping = root.content {
                collect(root, "", at: root.headRange)
            } else if !root.isNull {
                findings.report("wrong-type", "settings must be a mapping", at: file.location(of: root.headRange))
            }
        }
        return (SettingsFile(settings: settings), findings.diagnostics.inOrder)
    }
}
