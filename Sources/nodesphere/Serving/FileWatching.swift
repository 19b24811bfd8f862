import Foundation
import RuleLanguage

/// Names, sizes and times of the files that rules are read from: differs when a file changed.
struct FileStamps: Equatable {
    private var stamps: [String: [Int]] = [:]

    init(rules: String, notifications: String) {
        add(notifications)
        guard let names = FileManager.default.enumerator(atPath: rules) else { return }
        for case let name as String in names where RuleFolder.isRuleFile((name as NSString).lastPathComponent) { add(rules + "/" + name) }
    }

    private mutating func add(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        stamps[path] = [Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec, Int(status.st_ino)]
    }
}
