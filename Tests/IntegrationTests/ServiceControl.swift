import Foundation
import Testing

/// Runs `scripts/services`, which has time limits of its own. (Not by `Process`, which waits until also the servers that the script leaves behind have ended.)
func services(_ arguments: String...) async throws {
    let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    let child = try Child("\(root)/scripts/services", arguments, folder: root, environment: ProcessInfo.processInfo.environment)
    let status = await child.ended(within: .seconds(600))
    try #require(status == 0, "scripts/services \(arguments.joined(separator: " "))")
}
