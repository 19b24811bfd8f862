import Foundation
import GRDB
import RuleEngine

/// Strings go in and out as blobs of their UTF-8: SQLite's text ends at a NUL.
extension Data {
    init(bytesOf text: String) { self = Data(text.utf8) }
    var text: String { String(decoding: self, as: UTF8.self) }
}

extension Row {
    /// The document in a column; nil when its bytes are damaged.
    func document(_ index: Int) throws -> Document? {
        // Not `?? nil`: that would be `.null`.
        try withUnsafeData(atIndex: index) { data in (data ?? Data()).withUnsafeBytes { DocumentEncoding.decode($0) } }
    }

    func text(_ index: Int) throws -> String {
        try withUnsafeData(atIndex: index) { $0?.text ?? "" }
    }
}

/// The tables of documents by id: all state collections, `devices`, `profiles`.
struct DocumentTable {
    let name: String

    func put(_ id: Data, _ document: Data, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO \(name) (id, document) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document")
        try statement.execute(arguments: [id, document])
    }

    func remove(_ id: Data, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM \(name) WHERE id = ?").execute(arguments: [id])
    }

    /// In the order of ids' bytes.
    func all(_ db: Database) throws -> [StoredDocument] {
        var found: [StoredDocument] = []
        let rows = try Row.fetchCursor(db.cachedStatement(sql: "SELECT id, document FROM \(name) ORDER BY id"))
        while let row = try rows.next() {
            let id = try row.text(0)
            guard let document = try row.document(1) else {
                throw StoreFailure.refused("the document '\(id)' in '\(name)' is damaged")
            }
            found.append(StoredDocument(id: id, document: document))
        }
        return found
    }
}
