import Foundation
import GRDB
public import RuleEngine

/// Rule state in SQLite.
public struct EmbeddedStateStore: StateStore {
    private let database: EmbeddedDatabase

    public init(_ database: EmbeddedDatabase) { self.database = database }

    public func documents(in collection: StateCollection) async throws(StoreFailure) -> [StoredDocument] {
        try await database.read { try DocumentTable(name: collection.rawValue).all($0) }
    }

    public func commit(_ writes: [StateWrite]) async throws(StoreFailure) {
        guard !writes.isEmpty else { return }
        var encoded: [(table: DocumentTable, id: Data, document: Data?)] = []
        encoded.reserveCapacity(writes.count)
        // Encoded and judged before anything waits: what is refused never reaches the transaction that others share.
        for write in writes {
            var document: Data?
            if let content = write.document { document = Data(try DocumentEncoding.encode(content)) }
            encoded.append((DocumentTable(name: write.collection.rawValue), Data(bytesOf: write.id), document))
        }
        try await database.write { [encoded] db in
            for (table, id, document) in encoded {
                if let document { try table.put(id, document, db) } else { try table.remove(id, db) }
            }
        }
    }

    public func unreadyReason() async -> String? { await database.unreadyReason() }

    /// The id of the installation this file belongs to; `proposed` becomes it when there is none yet.
    public func installationID(proposed: String) async throws(StoreFailure) -> String {
        let document = Data(try DocumentEncoding.encode(["id": .string(proposed)]))
        try await database.write { db in
            try db.execute(
                sql: "INSERT OR IGNORE INTO \(StateCollection.server.rawValue) (id, document) VALUES (?, ?)",
                arguments: [Data(bytesOf: "installation"), document])
        }
        let stored = try await documents(in: .server).first { $0.id == "installation" }
        guard let id = stored?.document["id"]?.string else {
            throw .refused("the document 'installation' in 'server' has no id")
        }
        return id
    }
}
