import Dispatch
public import Logging
public import RuleEngine
import Synchronization

/// Devices and profiles in MongoDB, where other programs may write them too.
///
/// What changed is asked for every second by the indexed `updatedAt`, with 10 s of overlap for writers that are slow to commit; everything is compared at
/// the start and every 10 minutes, which shows plain deletes and documents without `updatedAt`. It begins with the first `snapshot` or `changes`.
public final class MongoDeviceDirectory: DeviceDirectory {
    private let connection: MongoConnection
    private let logger: Logger
    private let feed = DirectoryChangeFeed()
    /// Reads, writes and comparisons are done here one after the other: a poll never brings back what one of our writes has just replaced.
    private let queue: DispatchQueue
    private let group: GroupCommit<DirectoryWrite>
    private let known: KnownDirectory
    private let ticker = Mutex<Ticker?>(nil)
    private let comparisonInterval: Duration

    /// What changed is to be seen within 2 s.
    static let pollInterval = Duration.seconds(1)
    /// The overlap of two polls, nanoseconds.
    private static let overlap: Int64 = 10_000_000_000

    /// `comparisonInterval`: how often everything is compared.
    public init(_ connection: MongoConnection, comparisonInterval: Duration = .seconds(600), logger: Logger) {
        self.connection = connection
        self.logger = logger
        self.comparisonInterval = comparisonInterval
        let queue = DispatchQueue(label: "nodesphere.mongodb.directory")
        self.queue = queue
        let known = KnownDirectory()
        self.known = known
        group = GroupCommit(queue: queue) { [feed] in Self.write($0, connection, known, feed) }
    }

    // MARK: Reading

    public func snapshot() async throws(StoreFailure) -> (devices: [DeviceRecord], profiles: [ProfileRecord]) {
        beginPolling()
        try await connection.run(on: queue) { client throws(StoreFailure) in try self.compareEverything(client) }
        return (
            known.sorted(.devices).compactMap { if case .device(let device) = $0 { device } else { nil } },
            known.sorted(.profiles).compactMap { if case .profile(let profile) = $0 { profile } else { nil } }
        )
    }

    public func changes() -> AsyncStream<[DirectoryChange]> {
        beginPolling()
        return feed.stream()
    }

    private func beginPolling() {
        ticker.withLock { ticker in
            if ticker != nil { return }
            ticker = Ticker(on: queue, after: Self.pollInterval, every: Self.pollInterval) { [weak self] in self?.poll() }
        }
    }

    /// On `queue`.
    private func poll() {
        let result = connection.attempt { client throws(StoreFailure) in
            if let polledAt = known.pollable(comparisonInterval: comparisonInterval) {
                try takeUpdates(client, since: polledAt)
            } else {
                try compareEverything(client)
            }
        }
        let isOut = if case .failure = result { true } else { false }
        let wasOut = known.setOut(isOut)
        switch result {
        case .failure(let failure) where !wasOut:
            logger.warning("devices cannot be read: changes come when the store is back", metadata: ["reason": "\(failure)"])
        case .success where wasOut: logger.info("devices can be read again")
        default: break
        }
    }

    /// The server's clock, in which `updatedAt` is written.
    private func serverTime(_ client: MongoClient) throws(StoreFailure) -> Instant {
        let hello = Document.object(try client.command([.init("hello", 1)], database: "admin"))
        guard let time = hello["localTime"]?.instant else {
            throw .refused("MongoDB at \(client.place.hosts) does not tell its time")
        }
        return time
    }

    private func makeIndexes(_ client: MongoClient) throws(StoreFailure) {
        if known.isIndexed { return }
        for collection in DirectoryCollection.allCases {
            try client.command([
                .init("createIndexes", .string(collection.rawValue)),
                .init("indexes", [["key": ["updatedAt": 1], "name": "updatedAt_1"]]),
            ])
        }
        known.setIndexed()
    }

    private func compareEverything(_ client: MongoClient) throws(StoreFailure) {
        try makeIndexes(client)
        let time = try serverTime(client)
        var all: [DirectoryCollection: [[UInt8]: DirectoryEntry]] = [:]
        for collection in DirectoryCollection.allCases {
            all[collection] = [:]
            try client.find(collection.rawValue) { bytes in
                if case .entry(let id, let entry) = read(bytes, in: collection) { all[collection]?[Array(id.utf8)] = entry }
            }
        }
        feed.publish(known.replace(all, polledAt: time))
    }

    private func takeUpdates(_ client: MongoClient, since polledAt: Instant) throws(StoreFailure) {
        let time = try serverTime(client)
        let since = polledAt + -Self.overlap
        var changes: [DirectoryChange] = []
        for collection in DirectoryCollection.allCases {
            try client.find(collection.rawValue, [.init("updatedAt", ["$gte": .instant(since)])]) { bytes in
                let reading = read(bytes, in: collection)
                if let change = known.take(reading, in: collection) { changes.append(change) }
            }
        }
        known.polled(at: time)
        feed.publish(changes)
    }

    /// Reads a document and tells once of one that cannot be understood.
    private func read(_ bytes: UnsafeRawBufferPointer, in collection: DirectoryCollection) -> DirectoryReading {
        let reading = DirectoryReading(bytes, in: collection)
        if let (name, reason) = known.untold(reading, in: collection) {
            logger.error(
                "document left out: it has a wrong shape",
                metadata: ["collection": "\(collection.rawValue)", "id": "\(name)", "reason": "\(reason)"])
        }
        return reading
    }

    // MARK: Writing

    public func put(_ device: DeviceRecord) async throws(StoreFailure) {
        guard device.config.members != nil else { throw .refused("the configuration of device '\(device.id)' must be an object") }
        try await group.commit([DirectoryWrite(.devices, id: device.id, .device(device))])
    }

    public func removeDevice(id: String) async throws(StoreFailure) {
        try await group.commit([DirectoryWrite(.devices, id: id, nil)])
    }

    public func put(_ profile: ProfileRecord) async throws(StoreFailure) {
        guard profile.config.members != nil else { throw .refused("the configuration of profile '\(profile.name)' must be an object") }
        try await group.commit([DirectoryWrite(.profiles, id: profile.name, .profile(profile))])
    }

    public func removeProfile(name: String) async throws(StoreFailure) {
        try await group.commit([DirectoryWrite(.profiles, id: name, nil)])
    }

    /// On `queue`. An unordered call may apply its writes in any order, so of several to one document only the last is sent.
    private static func write(
        _ writes: [DirectoryWrite], _ connection: MongoConnection, _ known: KnownDirectory, _ feed: DirectoryChangeFeed
    ) -> StoreFailure? {
        for collection in DirectoryCollection.allCases {
            var last: [[UInt8]: Int] = [:]
            for (index, write) in writes.enumerated() where write.collection == collection { last[Array(write.id.utf8)] = index }
            let sent = last.values.sorted().map { writes[$0] }
            let result = connection.attempt { client throws(StoreFailure) in
                try client.write(sent.map(\.encoded), to: collection.rawValue)
            }
            if case .failure(let failure) = result {
                connection.committed(failure)
                return failure
            }
            for write in sent { known.put(write.entry, id: write.id, in: collection) }
            feed.publish(sent.map { $0.entry?.change ?? collection.removal(of: $0.id) })
        }
        connection.committed(nil)
        return nil
    }
}
