import Foundation

/// `automations/*.lua` below the folder of rules.
enum AutomationFiles {
    static func read(rulesPath: String) -> [(file: String, text: String)] {
        let folder = rulesPath + "/automations"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".lua") && !$0.hasPrefix(".") }.sorted().compactMap { name in
            guard let bytes = FileManager.default.contents(atPath: "\(folder)/\(name)") else { return nil }
            return ("\(folder)/\(name)", String(decoding: bytes, as: UTF8.self))
        }
    }
}
