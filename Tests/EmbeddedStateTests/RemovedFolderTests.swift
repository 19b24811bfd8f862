import Foundation
import RuleEngine
import Testing

@testable import EmbeddedState

/// The data folder is removed while the server runs.
@Suite struct RemovedFolderTests {
    @Test func `a database without a file stores nothing and says so, until it is put back`() async throws {
        let path = NSTemporaryDirectory() + "database-\(UUID().uuidString)"
        let aside = path + "-aside"
        defer { for path in [path, aside] { try? FileManager.default.removeItem(atPath: path) } }
        let database = try EmbeddedDatabase(folder: path)
        let store = EmbeddedStateStore(database)
        let write = StateWrite(.server, id: "a", ["x": 1])
        try await store.commit([write])
        #expect(await store.unreadyReason() == nil)
        try FileManager.default.moveItem(atPath: path, toPath: aside)
        #expect(await store.unreadyReason()?.contains("was removed") == true)
        await #expect(throws: StoreFailure.self) { try await store.commit([write]) }
        try FileManager.default.moveItem(atPath: aside, toPath: path)
        try await store.commit([write])
        #expect(await store.unreadyReason() == nil)
        await database.close()
    }
}
