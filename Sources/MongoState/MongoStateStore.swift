import Dispatch
public import RuleEngine

/// Rule state in MongoDB: a collection each, documents `{_id, document}`. The content is a member of its own, so that any value and any member name can be
/// kept (`_id`, `$set`).
public final class MongoStateStore: StateStore {
    private let connection: MongoConnection
    private let reader = DispatchQueue(label: "nodesphere.mongodb.reader")
    private let group: GroupCommit<Encoded>

    private struct Encoded: Sendable {
        var collection: StateCollection
        var id: [UInt8]
        /// nil removes.
        var document: [UInt8]?
        var filter: [UInt8]
    }

    public init(_ connection: MongoConnection) {
        self.connection = connection
        group = GroupCommit(queue: DispatchQueue(label: "nodesphere.mongodb.writer")) { [connection] in Self.write($0, connection) }
    }

    public func documents(in collection: StateCollection) async throws(StoreFailure) -> [StoredDocument] {
        var found = try await connection.run(on: reader) { client throws(StoreFailure) in
            var found: [StoredDocument] = []
            var mistake: StoreFailure?
            try client.find(collection.rawValue) { bytes in
                do throws(StoreFailure) {
                    found.append(try Self.stored(bytes, in: collection))
                } catch {
                    mistake = error
                }
            }
            if let mistake { throw mistake }
            return found
        }
        found.sort { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
        return found
    }

    private static func stored(_ bytes: UnsafeRawBufferPointer, in collection: StateCollection) throws(StoreFailure) -> StoredDocument {
        let content: Document
        do {
            content = .object(try BSON.decode(bytes))
        } catch {
            throw .refused("a document in '\(collection.rawValue)' \(error)")
        }
        guard let id = content["_id"]?.string, let document = content["document"] else {
            throw .refused(
                "the document \((content["_id"] ?? .null).json) in '\(collection.rawValue)' was not written by this server: it has no '_id' of text or no 'document'"
            )
        }
        return StoredDocument(id: id, document: document)
    }

    public func commit(_ writes: [StateWrite]) async throws(StoreFailure) {
        guard !writes.isEmpty else { return }
        var encoded: [Encoded] = []
        encoded.reserveCapacity(writes.count)
        // Encoded and judged before anything waits: what is refused never reaches the call that others share.
        for write in writes {
            let id = Document.string(write.id)
            var document: [UInt8]?
            if let content = write.document { document = try BSON.encodeForStoring([.init("_id", id), .init("document", content)]) }
            encoded.append(
                Encoded(
                    collection: write.collection, id: Array(write.id.utf8), document: document,
                    filter: try BSON.encode([.init("_id", id)])))
        }
        try await group.commit(encoded)
    }

    /// One call a collection; of several writes to one document only the last is sent, because an unordered call may apply them in any order.
    private static func write(_ writes: [Encoded], _ connection: MongoConnection) -> StoreFailure? {
        var last: [StateCollection: [[UInt8]: Int]] = [:]
        for (index, write) in writes.enumerated() { last[write.collection, default: [:]][write.id] = index }
        let result = connection.attempt { client throws(StoreFailure) in
            for collection in StateCollection.allCases {
                guard let places = last[collection] else { continue }
                try client.write(
                    places.values.sorted().map { index in
                        MongoClient.Write(
                            filter: writes[index].filter, change: writes[index].document.map { .replace($0) } ?? .delete)
                    }, to: collection.rawValue)
            }
        }
        var failure: StoreFailure?
        if case .failure(let reason) = result { failure = reason }
        connection.committed(failure)
        return failure
    }

    public func unreadyReason() async -> String? { connection.unreadyReason() }

    /// The id of the installation this database belongs to; `proposed` becomes it when there is none yet.
    public func installationID(proposed: String) async throws(StoreFailure) -> String {
        try await connection.run(on: reader) { client throws(StoreFailure) in
            let filter: [Document.Member] = [.init("_id", "installation")]
            let update = MongoClient.Write(
                filter: try BSON.encode(filter),
                change: .update(
                    try BSON.encode([.init("$setOnInsert", ["document": ["id": .string(proposed)]])]), upsert: true))
            try client.write([update], to: StateCollection.server.rawValue)
        }
        let stored = try await documents(in: .server).first { $0.id == "installation" }
        guard let id = stored?.document["id"]?.string else { throw .refused("the document 'installation' in 'server' has no id") }
        return id
    }
}
