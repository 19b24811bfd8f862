import Foundation
import RuleEngine
import RuleLanguage

/// Test files of rules.
enum RuleTestFiles {
    /// Those anywhere below a folder, in the order of their paths.
    static func inFolder(_ path: String) -> [String] {
        let inside = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        return inside.filter { RuleTestFile.isTestFile(String($0.split(separator: "/").last ?? "")) }.sorted().map {
            path.hasSuffix("/") ? path + $0 : "\(path)/\($0)"
        }
    }
}

/// Test files among what `check` looks at. They are read with all that they name, and not run.
struct RuleTestCheck {
    private(set) var count = 0
    private(set) var sources: [RuleLoader.Source] = []
    private var found: [Diagnostic] = []

    mutating func add(_ path: String, plugins: PluginSet) {
        count += 1
        do {
            sources += try RuleTestSuite.load(
                path, environment: RuleLanguageEnvironment.standard, compile: CELRegex.compiler, plugins: plugins
            ).sources
        } catch {
            sources += error.sources
            found += error.diagnostics
        }
    }

    /// Mistakes, but for those in files that are looked at for themselves.
    func diagnostics(besides files: [String]) -> [Diagnostic] {
        let looked = Set(files.map(Self.standardized))
        var seen = Set<String>()
        return found.filter { diagnostic in
            let place = diagnostic.location
            return !looked.contains(Self.standardized(place.file))
                && seen.insert("\(place.file):\(place.line):\(place.column) \(diagnostic.message)").inserted
        }
    }

    private static func standardized(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
}
