import CMongoC
import Dispatch
public import RuleEngine
import Synchronization

/// The way to one MongoDB server or replica set, shared by store and directory.
///
/// The driver's calls block: each runs on a dispatch queue of the store's or the directory's own, never on the cooperative pool. A ping every
/// second, on a queue and with short time limits of its own, says whether the server can be reached.
public final class MongoConnection: Sendable {
    let database: String
    let place: MongoPlace
    private let pool: ClientPool
    private let pinger: ClientPool
    private let pingQueue = DispatchQueue(label: "nodesphere.mongodb.ping")
    /// An outage has to be told within 2 s: these two together take less.
    static let pingInterval = Duration.seconds(1), pingLimit = Duration.milliseconds(900)
    /// Set once, at the end of `init`.
    private let ticker = Mutex<Ticker?>(nil)
    private let health: Mutex<Health>

    private struct Health {
        var ping: String?
        /// Why the last commit failed; pings may go through all the same (no room, no majority).
        var commit: String?
        var commitFailedAt = ContinuousClock.now
        var isClosed = false
    }

    /// mongoc_init must run once, before anything else.
    private static let driver: Void = {
        mongoc_init()
        // Its own log would go to standard error, past ours; what matters comes back as errors.
        mongoc_log_set_handler({ _, _, _, _ in }, nil)
    }()

    /// Connects at the first call, so the server need not be there yet. Throws `refused` for a URI that is none.
    public init(_ configuration: MongoConfiguration) throws(StoreFailure) {
        Self.driver
        let unknown = MongoPlace(hosts: "?", secrets: configuration.secrets)
        var error = bson_error_t()
        guard let uri = mongoc_uri_new_with_error(configuration.uri, &error) else {
            throw .refused("mongodb.uri: \(unknown.redacted(error.text))")
        }
        defer { mongoc_uri_destroy(uri) }
        place = MongoPlace(hosts: Self.hosts(uri), secrets: configuration.secrets)
        database = mongoc_uri_get_database(uri).map { String(cString: $0) } ?? "nodesphere"
        Self.set(uri, configuration)
        pool = try ClientPool(uri, size: 8, of: place)
        for option in [MONGOC_URI_SERVERSELECTIONTIMEOUTMS, MONGOC_URI_SOCKETTIMEOUTMS, MONGOC_URI_CONNECTTIMEOUTMS] {
            mongoc_uri_set_option_as_int32(uri, option, Self.pingLimit.driverMilliseconds)
        }
        pinger = try ClientPool(uri, size: 1, of: place)
        health = Mutex(Health(ping: "MongoDB at \(place.hosts) has not answered yet"))
        let ticker = Ticker(on: pingQueue, after: .zero, every: Self.pingInterval) { [weak self] in self?.ping() }
        self.ticker.withLock { $0 = ticker }
    }

    private static func set(_ uri: OpaquePointer, _ configuration: MongoConfiguration) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, configuration.serverSelectionTimeout.driverMilliseconds)
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, configuration.socketTimeout.driverMilliseconds)
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, configuration.serverSelectionTimeout.driverMilliseconds)
        mongoc_uri_set_appname(uri, "nodesphere")
        // Whatever the URI says: a commit that returned outlives the loss of a machine, and what was written is read.
        let concern = mongoc_write_concern_new()
        mongoc_write_concern_set_wmajority(concern, 10_000)
        mongoc_write_concern_set_journal(concern, true)
        mongoc_uri_set_write_concern(uri, concern)
        mongoc_write_concern_destroy(concern)
        let preference = mongoc_read_prefs_new(MONGOC_READ_PRIMARY)
        mongoc_uri_set_read_prefs_t(uri, preference)
        mongoc_read_prefs_destroy(preference)
    }

    private static func hosts(_ uri: OpaquePointer) -> String {
        var names: [String] = []
        var next = mongoc_uri_get_hosts(uri)
        while let host = next {
            names.append(
                withUnsafeBytes(of: host.pointee.host_and_port) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
            next = UnsafePointer(host.pointee.next)
        }
        if names.isEmpty, let service = mongoc_uri_get_srv_hostname(uri) { names = [String(cString: service)] }
        return names.joined(separator: ",")
    }

    /// Runs blocking calls of the driver on a queue.
    func run<Value: Sendable>(
        on queue: DispatchQueue, _ body: @escaping @Sendable (MongoClient) throws(StoreFailure) -> Value
    ) async throws(StoreFailure) -> Value {
        let result: Result<Value, StoreFailure> = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.attempt(body)) }
        }
        return try result.get()
    }

    /// The same on the queue that calls.
    func attempt<Value>(_ body: (MongoClient) throws(StoreFailure) -> Value) -> Result<Value, StoreFailure> {
        if health.withLock({ $0.isClosed }) { return .failure(.unavailable("the connection to MongoDB at \(place.hosts) is closed")) }
        return pool.withClient { client in
            do throws(StoreFailure) {
                return .success(try body(MongoClient(handle: client, database: database, place: place)))
            } catch {
                return .failure(error)
            }
        }
    }

    func committed(_ failure: StoreFailure?) {
        health.withLock { health in
            if case .unavailable(let reason) = failure {
                health.commit = reason
                health.commitFailedAt = .now
            } else {
                health.commit = nil
                // It has answered: the next ping need not be awaited.
                if failure == nil { health.ping = nil }
            }
        }
    }

    private func ping() {
        let reason: String? = pinger.withClient { handle in
            do throws(StoreFailure) {
                _ = try MongoClient(handle: handle, database: database, place: place).command([.init("ping", 1)], database: "admin")
                return nil
            } catch {
                return error.description
            }
        }
        health.withLock { health in
            health.ping = reason
            // Nobody may write again for a long time: an old failure says nothing once the server answers.
            if reason == nil, health.commitFailedAt.duration(to: .now) > .seconds(5) { health.commit = nil }
        }
    }

    /// nil while the server can be reached and took the last commit; else the reason, without secrets.
    public func unreadyReason() -> String? {
        health.withLock { $0.isClosed ? "the connection to MongoDB at \(place.hosts) is closed" : $0.ping ?? $0.commit }
    }

    /// Ends the pings; calls after it are `unavailable`.
    public func close() {
        health.withLock { $0.isClosed = true }
        ticker.withLock { $0?.stop() }
    }
}

/// The driver's pool of clients.
///
/// Unchecked: `mongoc_client_pool_t` is made for use from several threads at once; a client is used by the thread that popped it until it is pushed back.
private final class ClientPool: @unchecked Sendable {
    private let handle: OpaquePointer

    /// The pool copies the URI.
    init(_ uri: OpaquePointer, size: UInt32, of place: MongoPlace) throws(StoreFailure) {
        var error = bson_error_t()
        guard let handle = mongoc_client_pool_new_with_error(uri, &error) else {
            throw .refused("mongodb.uri: \(place.redacted(error.text))")
        }
        mongoc_client_pool_max_size(handle, size)
        mongoc_client_pool_set_error_api(handle, MONGOC_ERROR_API_VERSION_2)
        self.handle = handle
    }

    /// All clients are back: `withClient` holds a reference while it lasts.
    deinit { mongoc_client_pool_destroy(handle) }

    func withClient<Value>(_ body: (OpaquePointer) -> Value) -> Value {
        let client: OpaquePointer = mongoc_client_pool_pop(handle)
        defer { mongoc_client_pool_push(handle, client) }
        return body(client)
    }
}
