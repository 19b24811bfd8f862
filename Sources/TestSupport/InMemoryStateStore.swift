public import RuleEngine
internal import Synchronization

/// A state store that lives as long as the value. It can be made to fail as a real one does.
public final class InMemoryStateStore: StateStore {
    /// Ids as bytes: text that only looks the same is another id.
    private typealias Documents = [[UInt8]: Document]
    private let collections = Mutex<[StateCollection: Documents]>([:])
    private let failure = Mutex<String?>(nil)
    private let commitsSoFar = Mutex(0)

    public init() {}

    /// While a reason is set every call throws `unavailable` with it.
    public func setUnavailable(_ reason: String?) { failure.withLock { $0 = reason } }

    /// How many commits have succeeded.
    public var commits: Int { commitsSoFar.withLock { $0 } }

    public func documents(in collection: StateCollection) async throws(StoreFailure) -> [StoredDocument] {
        try check()
        let found = collections.withLock { $0[collection] ?? [:] }
        return found.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { StoredDocument(id: String(decoding: $0.key, as: UTF8.self), document: $0.value) }
    }

    public func installationID(proposed: String) async throws(StoreFailure) -> String {
        try check()
        let document = collections.withLock { collections in
            if collections[.server]?[Array("installation".utf8)] == nil {
                collections[.server, default: [:]][Array("installation".utf8)] = ["id": .string(proposed)]
            }
            return collections[.server]?[Array("installation".utf8)]
        }
        guard let id = document?["id"]?.string else { throw .refused("the document 'installation' in 'server' has no id") }
        return id
    }

    public func commit(_ writes: [StateWrite]) async throws(StoreFailure) {
        try check()
        for document in writes.lazy.compactMap(\.document) {
            guard document.depth <= 100 else { throw .refused("a document is nested deeper than 100 levels") }
            guard document.json.utf8.count <= 4 << 20 else {
                throw .refused("a document is too large: at most \(4 << 20) bytes can be stored")
            }
        }
        collections.withLock { collections in
            for write in writes { collections[write.collection, default: [:]][Array(write.id.utf8)] = write.document }
        }
        commitsSoFar.withLock { $0 += 1 }
    }

    public func unreadyReason() async -> String? { failure.withLock { $0 } }

    private func check() throws(StoreFailure) {
        if let reason = failure.withLock({ $0 }) { throw .unavailable(reason) }
    }
}

extension Document {
    /// 0 for what holds nothing.
    fileprivate var depth: Int {
        switch self {
        case .array(let elements): 1 + (elements.map(\.depth).max() ?? 0)
        case .object(let members): 1 + (members.map(\.value.depth).max() ?? 0)
        default: 0
        }
    }
}
