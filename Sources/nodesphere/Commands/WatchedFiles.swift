import Foundation
import RuleEngine
import RuleLanguage

/// The files that tests are made of, as they were before they ran: so that nothing is missed that changes while they do.
struct WatchedFiles {
    private struct Stamp: Equatable {
        var modifiedAt: Date?
        var size: Int?
        var file: Int?
    }
    private let stamps: [String: Stamp]

    /// Also those that are named and not there.
    var names: Set<String> { Set(stamps.keys) }

    init(_ tests: [String], plugins: PluginSet) {
        var names = Set(tests)
        for path in tests {
            if PluginTestSuite.isOfPlugin(path) {
                names.formUnion(PluginTestSuite.files(of: path))
                continue
            }
            do {
                let sources = try RuleTestSuite.load(
                    path, environment: RuleLanguageEnvironment.standard, compile: CELRegex.compiler, plugins: plugins
                ).sources
                names.formUnion(sources.map(\.name))
            } catch { names.formUnion(error.files) }
        }
        stamps = Self.stamps(names)
    }

    /// Returns when one of them has changed, or when there is a test file that is none of them. Blocks.
    func waitForChange(tests: () -> [String]) {
        let names = names
        while Self.stamps(names) == stamps, names.isSuperset(of: tests()) { Thread.sleep(forTimeInterval: 0.3) }
    }

    private static func stamps(_ names: Set<String>) -> [String: Stamp] {
        var stamps: [String: Stamp] = [:]
        for name in names {
            let attributes = try? FileManager.default.attributesOfItem(atPath: name)
            stamps[name] = Stamp(
                modifiedAt: attributes?[.modificationDate] as? Date, size: (attributes?[.size] as? NSNumber)?.intValue,
                file: (attributes?[.systemFileNumber] as? NSNumber)?.intValue)
        }
        return stamps
    }
}
