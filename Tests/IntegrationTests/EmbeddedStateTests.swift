import Foundation
import Logging
import RuleEngine
import Synchronization
import TestSupport
import Testing

@testable import EmbeddedState

/// A folder for one test, removed with the value, and what is open in it.
final class DataFolder: Sendable {
    let path: String
    private let database = Mutex<EmbeddedDatabase?>(nil)

    init() {
        path = NSTemporaryDirectory() + "nodesphere-\(UUID().uuidString)"
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Opens the folder's database, after closing the one that was open.
    func open() async throws -> EmbeddedDatabase {
        await database.withLock { $0 }?.close()
        let opened = try EmbeddedDatabase(folder: path)
        database.withLock { $0 = opened }
        return opened
    }
}

@Suite struct InMemoryContractTests {
    @Test(arguments: StateStoreContract.clauses)
    func `the state store in memory keeps the contract`(_ clause: StateStoreClause) async throws {
        let store = InMemoryStateStore()
        try await clause.check(StateStoreBench { store })
    }

    @Test(arguments: DeviceDirectoryContract.clauses)
    func `the directory in memory keeps the contract`(_ clause: DeviceDirectoryClause) async throws {
        let directory = InMemoryDeviceDirectory()
        try await clause.check(DeviceDirectoryBench { directory })
    }
}

@Suite struct EmbeddedStateTests {
    let folder = DataFolder()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test(arguments: StateStoreContract.clauses)
    func `the embedded state store keeps the contract`(_ clause: StateStoreClause) async throws {
        try await clause.check(StateStoreBench { [folder] in EmbeddedStateStore(try await folder.open()) })
    }

    @Test(arguments: DeviceDirectoryContract.clauses)
    func `the embedded directory keeps the contract`(_ clause: DeviceDirectoryClause) async throws {
        try await clause.check(
            DeviceDirectoryBench { [folder, logger] in EmbeddedDeviceDirectory(try await folder.open(), logger: logger) })
    }

    @Test func `the writer syncs every commit`() async throws {
        let database = try await folder.open()
        #expect(database.writerSynchronous() == 2)
    }

    @Test func `the files of a running server hold all that was committed, as after a kill`() async throws {
        let store = EmbeddedStateStore(try await folder.open())
        for n in 0..<200 { try await store.commit([StateWrite(.alerts, id: "\(1000 + n)", ["n": .int(Int64(n))])]) }
        // What the system's files hold at this instant is what a killed process leaves: no checkpoint, nothing closed.
        let copy = DataFolder()
        try FileManager.default.createDirectory(atPath: copy.path, withIntermediateDirectories: true)
        for name in ["nodesphere.sqlite", "nodesphere.sqlite-wal"] {
            try FileManager.default.copyItem(atPath: folder.path + "/" + name, toPath: copy.path + "/" + name)
        }
        let found = try await EmbeddedStateStore(try await copy.open()).documents(in: .alerts)
        #expect(found.map(\.id) == (0..<200).map { "\(1000 + $0)" })
        #expect(found.last?.document == ["n": 199])
    }

    @Test func `a commit cut off in the log is not there, those before it are`() async throws {
        let store = EmbeddedStateStore(try await folder.open())
        for n in 0..<20 { try await store.commit([StateWrite(.alerts, id: "\(1000 + n)", ["n": .int(Int64(n))])]) }
        let copy = DataFolder()
        try FileManager.default.createDirectory(atPath: copy.path, withIntermediateDirectories: true)
        let log = try #require(FileManager.default.contents(atPath: folder.path + "/nodesphere.sqlite-wal"))
        try FileManager.default.copyItem(atPath: folder.path + "/nodesphere.sqlite", toPath: copy.path + "/nodesphere.sqlite")
        try log.dropLast(1000).write(to: URL(fileURLWithPath: copy.path + "/nodesphere.sqlite-wal"))
        let found = try await EmbeddedStateStore(try await copy.open()).documents(in: .alerts)
        #expect(found.map(\.id) == (0..<19).map { "\(1000 + $0)" })
    }

    @Test func `a second server on a folder is refused, naming the folder`() async throws {
        let database = try await folder.open()
        let failure = #expect(throws: StoreFailure.self) { try EmbeddedDatabase(folder: folder.path) }
        guard case .refused(let reason) = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(reason.contains("'\(folder.path)' is in use by another server (process \(getpid()))"))
        await database.close()
        _ = try await folder.open()
    }

    @Test func `a file of a newer format is refused`() async throws {
        try await folder.open().configureWriter("PRAGMA user_version = 2")
        let failure = await #expect(throws: StoreFailure.self) { try await folder.open() }
        #expect(failure?.description.contains("has format 2, written by a newer version") == true)
    }

    @Test func `a file that is no database is refused`() async throws {
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        try Data(repeating: 0x41, count: 8192).write(to: URL(fileURLWithPath: folder.path + "/nodesphere.sqlite"))
        let failure = await #expect(throws: StoreFailure.self) { try await folder.open() }
        guard case .refused(let reason) = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(reason.contains("is damaged or no database"))
    }

    @Test func `a full disk is told and writing goes on when there is room`() async throws {
        let database = try await folder.open()
        let store = EmbeddedStateStore(database)
        try await store.commit([StateWrite(.alerts, id: "before", ["n": 1])])
        // SQLite answers SQLITE_FULL at its page limit as it does when the disk has no room.
        try await database.configureWriter("PRAGMA max_page_count = 40")
        let large = StateWrite(.alerts, id: "large", ["text": .string(String(repeating: "x", count: 1 << 20))])
        let failure = await #expect(throws: StoreFailure.self) { try await store.commit([large]) }
        guard case .unavailable(let reason) = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(reason == "no room to write '\(database.path)': the disk is full")
        #expect(try await store.documents(in: .alerts).map(\.id) == ["before"])
        try await database.configureWriter("PRAGMA max_page_count = 100000")
        #expect(await store.unreadyReason() == nil)
        try await store.commit([large])
        #expect(try await store.documents(in: .alerts).map(\.id) == ["before", "large"])
    }

    @Test func `the installation id is made once`() async throws {
        let first = EmbeddedStateStore(try await folder.open())
        #expect(try await first.installationID(proposed: "one") == "one")
        #expect(try await first.installationID(proposed: "two") == "one")
        #expect(try await EmbeddedStateStore(try await folder.open()).installationID(proposed: "three") == "one")
    }

    @Test func `a closed database is unavailable`() async throws {
        let database = try await folder.open()
        await database.close()
        let store = EmbeddedStateStore(database)
        let failure = await #expect(throws: StoreFailure.self) { try await store.commit([StateWrite(.alerts, id: "a", 1)]) }
        #expect(failure?.description == "'\(database.path)' is closed")
        #expect(await store.unreadyReason() == "'\(database.path)' is closed")
    }

    @Test func `instants are kept to the nanosecond`() async throws {
        let store = EmbeddedStateStore(try await folder.open())
        let document: Document = [
            .instant(Instant(nanoseconds: 1_790_000_000_123_456_789)), .instant(.distantPast), .instant(.distantFuture),
        ]
        try await store.commit([StateWrite(.alerts, id: "a", document)])
        #expect(try await store.documents(in: .alerts).first?.document == document)
    }

    @Test func `a damaged document is refused, naming it`() async throws {
        let database = try await folder.open()
        let store = EmbeddedStateStore(database)
        try await store.commit([StateWrite(.alerts, id: "good", ["n": 1]), StateWrite(.alerts, id: "bad", ["n": 1])])
        try await database.configureWriter("UPDATE alerts SET document = x'0108' WHERE id = x'626164'")
        let failure = await #expect(throws: StoreFailure.self) { try await store.documents(in: .alerts) }
        #expect(failure?.description.contains("the document 'bad' in 'alerts' is damaged") == true)
    }
}
