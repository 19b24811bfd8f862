import RuleEngine

/// A file with `groups:`.
struct RuleFileReader {
    let reading: FileReading

    /// The groups with the rules that are right; what is wrong with the others has been reported.
    func read() -> [RuleGroup] {
        let errors = reading.findings.errorCount
        guard let root = YAMLReader.read(reading.file, into: reading.findings), !root.isNull else {
            if reading.findings.errorCount == errors { reading.warn("empty-file", "the file holds no rules", at: 0..<0) }
            return []
        }
        // Keys that begin with 'x-' are a place for anchors.
        var keys = [KnownKey("groups")]
        if case .mapping(let entries) = root.content { keys += entries.filter { $0.key.hasPrefix("x-") }.map { KnownKey($0.key) } }
        guard let mapping = MappingReader(root, subject: "a rule file", keys: keys, in: reading),
            let groups = mapping.required("groups").flatMap({ reading.list($0, "groups") })
        else { return [] }
        if groups.isEmpty { reading.warn("empty-file", "the file holds no rules", at: mapping.entry("groups")?.keyRange ?? 0..<0) }
        let reader = GroupReader(reading: reading, origin: .file(reading.file.name))
        return groups.compactMap { reader.read($0) }
    }
}
