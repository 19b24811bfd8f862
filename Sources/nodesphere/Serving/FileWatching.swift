import Foundation
import RuleLanguage

/// Names, sizes and times of the files that rules are read from: differs when a file changed.
struct FileStamps: Equatable {
    private struct Stamp: Equatable {
        var size: Int?
        var modifiedAt: Date?
        var file: Int?
    }
    private var stamps: [String: Stamp] = [:]

    init(rules: String, notifications: String) {
        add(notifications)
        guard let names = FileManager.default.enumerator(atPath: rules) else { return }
        for case let name as String in names where RuleFolder.isRuleFile((name as NSString).lastPathComponent) { add(rules + "/" + name) }
    }

    private mutating func add(_ path: String) {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return }
        stamps[path] = Stamp(
            size: attributes[.size] as? Int, modifiedAt: attributes[.modificationDate] as? Date, file: attributes[.systemFileNumber] as? Int
        )
    }
}
