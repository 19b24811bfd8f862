import CEL
import RuleEngine

@testable import RuleLanguage

/// Loads one text as the file `rules.yaml`.
func load(_ yaml: String) -> (catalog: RuleCatalog?, diagnostics: [Diagnostic]) { load(Array(yaml.utf8)) }

func load(_ bytes: [UInt8]) -> (catalog: RuleCatalog?, diagnostics: [Diagnostic]) {
    loader.load(files: [RuleLoader.Source(name: "rules.yaml", bytes: bytes)])
}

let loader = RuleLoader(environment: Environment(arithmetic: .promoting, extensions: .all))

/// The only rule of a group with this `on` (and whatever else the group says), or nil when it was refused.
func rule(_ body: String, group: String = "on: a/{device}") -> Rule? {
    let indented = body.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n        ")
    return load("groups:\n  - name: g\n    \(group)\n    rules:\n      - \(indented)\n").catalog?.rules.first
}

extension Diagnostic {
    /// `line:column code`.
    var short: String { "\(location.line):\(location.column) \(code)" }
}
