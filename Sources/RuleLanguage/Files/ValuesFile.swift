import CEL
public import RuleEngine

/// A YAML file as one document: the variables of `nodesphere eval --vars`.
public enum ValuesFile {
    /// Nil when there is a mistake in it.
    public static func read(name: String, bytes: [UInt8]) -> (document: Document?, diagnostics: [Diagnostic]) {
        let findings = Findings()
        let reading = FileReading(
            file: SourceFile(name: name, bytes: bytes), findings: findings, environment: RuleLanguageEnvironment.standard)
        let document = YAMLReader.read(reading.file, into: findings).map { reading.document($0) }
        let diagnostics = findings.diagnostics.inOrder
        return (diagnostics.hasErrors ? nil : document ?? .emptyObject, diagnostics)
    }
}
