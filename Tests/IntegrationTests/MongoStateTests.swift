import Dispatch
import Foundation
import Logging
import RuleEngine
import Synchronization
import TestSupport
import Testing

@testable import MongoState

/// A database for one test on the server of `scripts/services`, dropped with the value.
final class MongoBench: Sendable {
    static let uri = ProcessInfo.processInfo.environment["NODESPHERE_MONGODB_URI"]

    let uri: String
    let connection: MongoConnection

    init() throws {
        let base = try #require(Self.uri)
        var components = try #require(URLComponents(string: base))
        components.path = "/test_\(UUID().uuidString.prefix(12))"
        uri = try #require(components.string)
        connection = try Self.connect(uri)
    }

    deinit { _ = connection.attempt { client throws(StoreFailure) in try client.command([.init("dropDatabase", 1)]) } }

    /// As a server after a restart: nothing but the URI is the same.
    func reconnect() throws -> MongoConnection { try Self.connect(uri) }

    /// With patience for a server that has other work; one that is away refuses at once.
    private static func connect(_ uri: String) throws -> MongoConnection {
        try MongoConnection(MongoConfiguration(uri: uri, socketTimeout: patience))
    }

    /// What another program does to a collection.
    func foreign(_ collection: String, id: Document, _ change: MongoClient.Write.Change) async throws {
        try await connection.run(on: DispatchQueue(label: "test.foreign")) { client throws(StoreFailure) in
            try client.write([MongoClient.Write(filter: try BSON.encode([.init("_id", id)]), change: change)], to: collection)
        }
    }

    func insert(_ collection: String, id: Document, _ members: [Document.Member]) async throws {
        let update: [Document.Member] = [.init("$set", .object(members)), .init("$currentDate", ["updatedAt": true])]
        try await foreign(collection, id: id, .update(try BSON.encode(update), upsert: true))
    }

    /// Kills the server, and brings it back whatever happens meanwhile.
    static func whileServerIsDown(_ body: () async throws -> Void) async throws {
        try await services("stop", "mongodb", "--kill")
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try await services("start", "mongodb")
        try result.get()
    }

    /// Asks until the answer is as wanted; the time it took.
    @discardableResult
    static func time(until isSo: () async -> Bool) async throws -> Duration {
        let start = ContinuousClock.now
        while start.duration(to: .now) < patience {
            if await isSo() { return start.duration(to: .now) }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ContractViolation("not so after \(patience)")
    }

    /// For what is promised within 2 s, and keeps that by intervals and limits that together take less. A busy machine adds seconds of its own to them;
    /// without them it would be half a minute (the driver's own limits) or ten minutes (the comparison of everything).
    static let lateOnABusyMachine = Duration.seconds(20)
}

/// One after the other: some take the server away.
@Suite(.serialized, .usesMongoDB, .enabled(if: MongoBench.uri != nil, "needs scripts/services up mongodb"))
struct MongoStateTests {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test(arguments: StateStoreContract.clauses)
    func `the MongoDB state store keeps the contract`(_ clause: StateStoreClause) async throws {
        let bench = try MongoBench()
        try await clause.check(StateStoreBench { MongoStateStore(try bench.reconnect()) })
    }

    @Test(arguments: DeviceDirectoryContract.clauses)
    func `the MongoDB directory keeps the contract`(_ clause: DeviceDirectoryClause) async throws {
        let bench = try MongoBench()
        try await clause.check(DeviceDirectoryBench { [logger] in MongoDeviceDirectory(try bench.reconnect(), logger: logger) })
    }

    @Test func `the installation id is made once`() async throws {
        let bench = try MongoBench()
        #expect(try await MongoStateStore(bench.connection).installationID(proposed: "one") == "one")
        #expect(try await MongoStateStore(bench.reconnect()).installationID(proposed: "two") == "one")
    }

    @Test func `changes by another program come within 2 s`() async throws {
        let bench = try MongoBench()
        let directory = MongoDeviceDirectory(bench.connection, logger: logger)
        try await directory.put(DeviceRecord(id: "ours", config: ["n": 1], labels: ["a": "b"]))
        _ = try await directory.snapshot()
        let log = ChangeLog(directory.changes())
        let start = ContinuousClock.now
        try await bench.insert("devices", id: "theirs", [.init("config", ["n": 2]), .init("profile", "p"), .init("extra", 1)])
        try await log.await(.device(id: "theirs", DeviceRecord(id: "theirs", profile: "p", config: ["n": 2])), within: patience)
        #expect(MongoDeviceDirectory.pollInterval <= .seconds(1) && start.duration(to: .now) < MongoBench.lateOnABusyMachine)
        try await bench.insert("devices", id: "ours", [.init("config", ["n": 3])])
        try await log.await(.device(id: "ours", DeviceRecord(id: "ours", config: ["n": 3], labels: ["a": "b"])), within: patience)
        try await bench.insert("devices", id: "theirs", [.init("deleted", true)])
        try await log.await(.device(id: "theirs", nil), within: patience)
        try await bench.insert("profiles", id: "p", [.init("config", ["x": 1.5])])
        try await log.await(.profile(name: "p", ProfileRecord(name: "p", config: ["x": 1.5])), within: patience)
        #expect(try await directory.snapshot().devices.map(\.id) == ["ours"])
    }

    @Test func `what other programs keep in a device document stays`() async throws {
        let bench = try MongoBench()
        try await bench.insert("devices", id: "d", [.init("config", ["n": 1]), .init("owner", "them"), .init("profile", "p")])
        let directory = MongoDeviceDirectory(bench.connection, logger: logger)
        try await directory.put(DeviceRecord(id: "d", config: ["n": 2]))
        let found = Mutex<[Document]>([])
        try await bench.connection.run(on: .init(label: "test")) { client throws(StoreFailure) in
            try client.find("devices") { bytes in found.withLock { $0.append(.object((try? BSON.decode(bytes)) ?? [])) } }
        }
        let all = found.withLock { $0 }
        let document = try #require(all.first)
        #expect(document["owner"] == "them" && document["config"] == ["n": 2] && document["profile"] == nil)
        guard case .instant? = document["updatedAt"] else {
            Issue.record("\(document)")
            return
        }
    }

    @Test func `a plain delete is seen by the comparison`() async throws {
        let bench = try MongoBench()
        let directory = MongoDeviceDirectory(bench.connection, comparisonInterval: .seconds(1), logger: logger)
        try await directory.put(DeviceRecord(id: "d"))
        _ = try await directory.snapshot()
        let log = ChangeLog(directory.changes())
        try await bench.foreign("devices", id: "d", .delete)
        try await log.await(.device(id: "d", nil), within: patience)
    }

    @Test func `a document with a wrong shape is left out and told of once`() async throws {
        let bench = try MongoBench()
        let records = LogRecords()
        let directory = MongoDeviceDirectory(bench.connection, logger: Logger(label: "test") { _ in records })
        try await bench.insert("devices", id: "good", [.init("config", ["n": 1])])
        let wrong: [(Document, [Document.Member], String)] = [
            ("text", [.init("config", "x")], "'config' must be an object"),
            ("none", [.init("labels", ["a": "b"])], "it has no 'config'"),
            ("label", [.init("config", .emptyObject), .init("labels", ["floor": 3])], "'labels.floor' must be text"),
            ("profile", [.init("config", .emptyObject), .init("profile", 7)], "'profile' must be text"),
            (7, [.init("config", .emptyObject)], "'_id' must be text"),
        ]
        for (id, members, _) in wrong { try await bench.insert("devices", id: id, members) }
        for _ in 0..<3 { #expect(try await directory.snapshot().devices.map(\.id) == ["good"]) }
        for (id, _, reason) in wrong {
            #expect(records.all.count { $0.id == (id.string ?? id.json) && $0.reason == reason } == 1, "\(id): \(records.all)")
        }
        #expect(records.all.count == wrong.count)
    }

    @Test func `an outage is told within 2 s, commits fail as unavailable, and all goes on afterwards`() async throws {
        let bench = try MongoBench()
        let store = MongoStateStore(try bench.reconnect())
        let directory = MongoDeviceDirectory(bench.connection, logger: logger)
        try await store.commit([StateWrite(.alerts, id: "before", ["n": 1])])
        _ = try await directory.snapshot()
        let log = ChangeLog(directory.changes())
        try await MongoBench.time { await store.unreadyReason() == nil }
        try await MongoBench.whileServerIsDown {
            let told = try await MongoBench.time { await store.unreadyReason() != nil }
            #expect(told < MongoBench.lateOnABusyMachine)
            #expect(MongoConnection.pingInterval + MongoConnection.pingLimit < .seconds(2))
            let reason = await store.unreadyReason() ?? ""
            #expect(reason.hasPrefix("MongoDB at 127.0.0.1:") && reason.contains("cannot be reached: "), "\(reason)")
            let start = ContinuousClock.now
            let failure = await #expect(throws: StoreFailure.self) { try await store.commit([StateWrite(.alerts, id: "during", ["n": 2])]) }
            #expect(start.duration(to: .now) < MongoBench.lateOnABusyMachine)
            guard case .unavailable = try #require(failure) else {
                Issue.record("\(String(describing: failure))")
                return
            }
        }
        try await MongoBench.time { await store.unreadyReason() == nil }
        try await MongoBench.time {
            do { try await store.commit([StateWrite(.alerts, id: "during", ["n": 2])]) } catch { return false }
            return true
        }
        #expect(try await store.documents(in: .alerts).map(\.id) == ["before", "during"])
        try await bench.insert("devices", id: "after", [.init("config", .emptyObject)])
        try await log.await(.device(id: "after", DeviceRecord(id: "after")), within: patience)
    }

    @Test func `a server that takes connections and never answers is told within 2 s`() async throws {
        let silent = LoopbackListener()
        let connection = try MongoConnection(MongoConfiguration(uri: "mongodb://someone:se%63ret@127.0.0.1:\(silent.port)/x"))
        let told = try await MongoBench.time { connection.unreadyReason()?.contains("cannot be reached") == true }
        #expect(told < MongoBench.lateOnABusyMachine)
        let reason = connection.unreadyReason() ?? ""
        #expect(reason.contains("127.0.0.1:\(silent.port)") && !reason.contains("secret") && !reason.contains("someone"), "\(reason)")
    }

    @Test(arguments: [
        ("mongodb://u:hunter2@h:99999/x", "hunter2"), ("http://u:hunter2@h/", "hunter2"),
        ("mongodb://u:hunter%202@h/?w=x&journal=3", "hunter 2"),
        ("mongodb://u:hunter2@h:1:2/", "hunter2"), ("", "\u{1}"),
    ])
    func `a URI that is none is refused without its password`(_ uri: String, _ password: String) throws {
        do {
            _ = try MongoConnection(MongoConfiguration(uri: uri))
        } catch {
            #expect(error.description.hasPrefix("mongodb.uri: ") && !error.description.contains(password), "\(error)")
        }
    }

    @Test func `the database is the path of the URI, or nodesphere`() throws {
        #expect(try MongoConnection(MongoConfiguration(uri: "mongodb://127.0.0.1:1/fleet?w=1")).database == "fleet")
        #expect(try MongoConnection(MongoConfiguration(uri: "mongodb://127.0.0.1:1")).database == "nodesphere")
    }

    @Test func `a closed connection is unavailable`() async throws {
        let store = MongoStateStore(try closed())
        await #expect(throws: StoreFailure.self) { try await store.documents(in: .alerts) }
        #expect(await store.unreadyReason()?.hasSuffix("is closed") == true)
    }

    private func closed() throws -> MongoConnection {
        let connection = try MongoBench().reconnect()
        connection.close()
        return connection
    }
}

/// Keeps id and reason of what is logged.
final class LogRecords: LogHandler {
    private let records = Mutex<[(id: String, reason: String)]>([])
    var all: [(id: String, reason: String)] { records.withLock { $0 } }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    func log(event: LogEvent) {
        let metadata = event.metadata ?? [:]
        records.withLock { $0.append(("\(metadata["id"] ?? "")", "\(metadata["reason"] ?? "")")) }
    }
}
