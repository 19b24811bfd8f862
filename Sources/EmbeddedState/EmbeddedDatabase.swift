import Dispatch
import Foundation
import GRDB
public import RuleEngine
import Synchronization

/// The one database file of a server without MongoDB: state, devices, scheduled messages. Writes of all of them that wait at the same time
/// become one transaction: a commit costs one sync of the disk, and most of the time is spent in it.
///
/// SQLite's calls block; they run on dispatch queues of this database, never on the cooperative pool.
public final class EmbeddedDatabase: Sendable {
    /// `user_version` of the files this build writes.
    static let formatVersion = 1
    /// Keeps the time a commit can wait for the one before it bounded.
    private static let largestGroup = 1_000

    public let path: String
    private let pool: DatabasePool
    private let folderLock: FolderLock
    private let writer = DispatchQueue(label: "nodesphere.sqlite.writer", qos: .userInitiated)
    /// The scheduler's short reads do not wait behind the reading of a whole collection.
    private let reader = DispatchQueue(label: "nodesphere.sqlite.reader")
    private let scheduleReader = DispatchQueue(label: "nodesphere.sqlite.schedule", qos: .userInitiated)
    private let waiting = Mutex(Waiting())
    private let lastFailure = Mutex<String?>(nil)

    private struct Job: Sendable {
        let apply: @Sendable (Database) throws -> Void
        /// Called on the writer queue, in the order of commits.
        let finish: @Sendable (StoreFailure?) -> Void
    }

    private struct Waiting {
        var jobs: [Job] = []
        var isDraining = false
        var isClosed = false
    }

    enum Reading {
        case collections, schedule
    }

    /// Opens or makes `<folder>/nodesphere.sqlite`. `unavailable`: no room, no permission now; `refused`: the folder is in use, the file is damaged or was
    /// written by a newer version.
    public init(folder: String) throws(StoreFailure) {
        folderLock = try FolderLock(folder: folder)
        path = folder + "/nodesphere.sqlite"
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 3
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { [path] db in
                try Self.refuseNewerFormat(db, path: path)
                // The pool sets NORMAL on its writer after opening, whatever the configuration says: NORMAL loses commits when the power goes.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                try db.execute(sql: "PRAGMA journal_size_limit = 67108864")
                guard try Int.fetchOne(db, sql: "PRAGMA synchronous") == 2, try String.fetchOne(db, sql: "PRAGMA journal_mode") == "wal"
                else {
                    throw StoreFailure.refused("'\(path)' cannot be set to write durably (WAL, synchronous=FULL)")
                }
                try db.inTransaction(.immediate) {
                    try Self.makeTables(db)
                    return .commit
                }
            }
        } catch {
            throw StoreFailure(error, path: path)
        }
    }

    private static func refuseNewerFormat(_ db: Database, path: String) throws {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard version <= formatVersion else {
            throw StoreFailure.refused(
                "'\(path)' has format \(version), written by a newer version; this one reads up to format \(formatVersion)")
        }
    }

    private static func makeTables(_ db: Database) throws {
        for collection in StateCollection.allCases {
            try db.execute(
                sql: "CREATE TABLE IF NOT EXISTS \(collection.rawValue) (id BLOB NOT NULL PRIMARY KEY, document BLOB NOT NULL)")
        }
        // Ids and texts are blobs of UTF-8: exact bytes, NUL included, in the order of bytes.
        try db.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS devices (id BLOB NOT NULL PRIMARY KEY, document BLOB NOT NULL);
                CREATE TABLE IF NOT EXISTS profiles (id BLOB NOT NULL PRIMARY KEY, document BLOB NOT NULL);
                CREATE TABLE IF NOT EXISTS scheduled (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, lane BLOB NOT NULL, due_at INTEGER NOT NULL, asks_first INTEGER NOT NULL,
                    attempt INTEGER NOT NULL, id BLOB NOT NULL, kind BLOB NOT NULL, body BLOB NOT NULL);
                CREATE INDEX IF NOT EXISTS scheduled_by_lane ON scheduled (lane, due_at);
                CREATE TABLE IF NOT EXISTS dead_letters (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, due_at INTEGER NOT NULL, attempt INTEGER NOT NULL, id BLOB NOT NULL,
                    kind BLOB NOT NULL, body BLOB NOT NULL, reason BLOB NOT NULL);
                PRAGMA user_version = \(formatVersion);
                """)
    }

    /// Applies and commits, together with what else waits. `apply` runs inside a transaction that others share, once or (when another's part failed)
    /// twice; `committed` is called on the writer queue in the order of commits, before this returns. Goes on to its end when the task is cancelled.
    func write(
        _ apply: @escaping @Sendable (Database) throws -> Void, committed: @escaping @Sendable () -> Void = {}
    ) async throws(StoreFailure) {
        let failure: StoreFailure? = await withCheckedContinuation { continuation in
            submit(
                Job(apply: apply) { failure in
                    if failure == nil { committed() }
                    continuation.resume(returning: failure)
                })
        }
        if let failure { throw failure }
    }

    private func submit(_ job: Job) {
        enum Next { case drain, wait, refuse }
        let next: Next = waiting.withLock { waiting in
            if waiting.isClosed { return .refuse }
            waiting.jobs.append(job)
            if waiting.isDraining { return .wait }
            waiting.isDraining = true
            return .drain
        }
        switch next {
        case .drain: writer.async { self.drain() }
        case .wait: break
        case .refuse: job.finish(.unavailable("'\(path)' is closed"))
        }
    }

    private func drain() {
        while true {
            let jobs = waiting.withLock { waiting in
                let group = Array(waiting.jobs.prefix(Self.largestGroup))
                waiting.jobs.removeFirst(group.count)
                waiting.isDraining = !group.isEmpty
                return group
            }
            if jobs.isEmpty { return }
            commit(jobs)
        }
    }

    private func commit(_ jobs: [Job]) {
        switch transaction(jobs) {
        case nil:
            for job in jobs { job.finish(nil) }
        case .refused? where jobs.count > 1:
            // One of them is at fault: the others must not suffer.
            for job in jobs { job.finish(transaction([job])) }
        case let failure?:
            for job in jobs { job.finish(failure) }
        }
    }

    /// SQLite would go on writing a file that has no name any more.
    private var removal: StoreFailure? {
        FileManager.default.fileExists(atPath: path) ? nil : .unavailable("'\(path)' was removed while the server runs; put it back")
    }

    private func transaction(_ jobs: [Job]) -> StoreFailure? {
        if let removal {
            lastFailure.withLock { $0 = removal.description }
            return removal
        }
        do {
            try pool.writeWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    for job in jobs { try job.apply(db) }
                    return .commit
                }
            }
            lastFailure.withLock { $0 = nil }
            return nil
        } catch {
            let failure = StoreFailure(error, path: path)
            if case .unavailable(let reason) = failure { lastFailure.withLock { $0 = reason } }
            return failure
        }
    }

    func read<Value: Sendable>(
        _ reading: Reading = .collections, _ value: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreFailure) -> Value {
        let result: Result<Value, StoreFailure> = await withCheckedContinuation { continuation in
            (reading == .schedule ? scheduleReader : reader).async { [pool, path] in
                do {
                    continuation.resume(returning: .success(try pool.read(value)))
                } catch {
                    continuation.resume(returning: .failure(StoreFailure(error, path: path)))
                }
            }
        }
        return try result.get()
    }

    /// nil while writing works. After a failure each call tries a write, so that the answer changes when there is room again.
    func unreadyReason() async -> String? {
        if waiting.withLock({ $0.isClosed }) { return "'\(path)' is closed" }
        guard lastFailure.withLock({ $0 }) != nil || removal != nil else { return nil }
        do {
            try await write { db in
                try db.execute(sql: "CREATE TABLE IF NOT EXISTS probe (at INTEGER); INSERT INTO probe VALUES (1); DELETE FROM probe")
            }
            return nil
        } catch {
            return error.description
        }
    }

    /// Ends what waits, then closes the file. Calls after it are `unavailable`.
    public func close() async {
        waiting.withLock { $0.isClosed = true }
        await withCheckedContinuation { continuation in
            writer.async { [pool, reader, scheduleReader, folderLock] in
                reader.sync {}
                scheduleReader.sync {}
                try? pool.close()
                folderLock.release()
                continuation.resume()
            }
        }
    }

    /// For tests: runs a statement on the writer (limits, settings) outside of any transaction.
    func configureWriter(_ sql: String) async throws(StoreFailure) {
        let failure: StoreFailure? = await withCheckedContinuation { continuation in
            writer.async { [pool, path] in
                do {
                    try pool.writeWithoutTransaction { try $0.execute(sql: sql) }
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: StoreFailure(error, path: path))
                }
            }
        }
        if let failure { throw failure }
    }

    /// The writer's `synchronous`, read back: 2 is FULL.
    func writerSynchronous() -> Int? {
        pool.writeWithoutTransaction { try? Int.fetchOne($0, sql: "PRAGMA synchronous") }
    }
}
