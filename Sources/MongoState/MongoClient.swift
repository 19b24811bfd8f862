import CMongoC
import RuleEngine

/// A client of the pool on the thread that has it: the calls we make of MongoDB.
struct MongoClient {
    let handle: OpaquePointer
    let database: String
    let place: MongoPlace

    /// A change of one document by its id.
    struct Write {
        enum Change {
            case replace([UInt8])
            case update([UInt8], upsert: Bool)
            case delete
        }
        /// `{_id: …}` in BSON.
        var filter: [UInt8]
        var change: Change
    }

    /// Runs a command and gives its answer.
    @discardableResult
    func command(_ content: [Document.Member], database: String? = nil) throws(StoreFailure) -> [Document.Member] {
        let command = try bson(BSON.encode(content))
        defer { bson_destroy(command) }
        // The driver initialises the reply as it would one on the stack, and bson_destroy then leaves the struct itself to us; one of bson_new
        // would leak. A bson_t has 128 bytes, aligned to as many.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
        defer { memory.deallocate() }
        let reply = OpaquePointer(memory)
        defer { bson_destroy(reply) }
        var error = bson_error_t()
        guard mongoc_client_command_simple(handle, database ?? self.database, command, nil, reply, &error) else {
            throw StoreFailure(error, of: place)
        }
        return try members(of: reply)
    }

    /// Gives every document that matches, until `body` says no more.
    func find(
        _ collection: String, _ filter: [Document.Member] = [], batchSize: Int64 = 1_000, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StoreFailure) {
        let handle: OpaquePointer = mongoc_client_get_collection(handle, database, collection)
        defer { mongoc_collection_destroy(handle) }
        let filter = try bson(BSON.encode(filter))
        defer { bson_destroy(filter) }
        let options = try bson(BSON.encode([.init("batchSize", .int(batchSize))]))
        defer { bson_destroy(options) }
        let cursor: OpaquePointer = mongoc_collection_find_with_opts(handle, filter, options, nil)
        defer { mongoc_cursor_destroy(cursor) }
        var document: OpaquePointer?
        while mongoc_cursor_next(cursor, &document) {
            guard let document else { break }
            body(UnsafeRawBufferPointer(start: bson_get_data(document), count: Self.length(document)))
        }
        var error = bson_error_t()
        if mongoc_cursor_error(cursor, &error) { throw StoreFailure(error, of: place) }
    }

    /// Writes in no order; returns when all are as durable as the pool's write concern says.
    func write(_ writes: [Write], to collection: String) throws(StoreFailure) {
        guard !writes.isEmpty else { return }
        let collection: OpaquePointer = mongoc_client_get_collection(handle, database, collection)
        defer { mongoc_collection_destroy(collection) }
        let unordered = try bson(BSON.encode([.init("ordered", false)]))
        defer { bson_destroy(unordered) }
        // Our bytes are well-formed; the driver's own checks would refuse empty member names, which the server takes.
        let upserting = try bson(BSON.encode([.init("upsert", true), .init("validate", false)]))
        defer { bson_destroy(upserting) }
        let plain = try bson(BSON.encode([.init("validate", false)]))
        defer { bson_destroy(plain) }
        let bulk: OpaquePointer = mongoc_collection_create_bulk_operation_with_opts(collection, unordered)
        defer { mongoc_bulk_operation_destroy(bulk) }
        var error = bson_error_t()
        for write in writes {
            let filter = try bson(write.filter)
            defer { bson_destroy(filter) }
            let isTaken: Bool
            switch write.change {
            case .delete: isTaken = mongoc_bulk_operation_remove_one_with_opts(bulk, filter, nil, &error)
            case .replace(let bytes):
                let document = try bson(bytes)
                defer { bson_destroy(document) }
                isTaken = mongoc_bulk_operation_replace_one_with_opts(bulk, filter, document, upserting, &error)
            case .update(let bytes, let upsert):
                let document = try bson(bytes)
                defer { bson_destroy(document) }
                isTaken = mongoc_bulk_operation_update_one_with_opts(bulk, filter, document, upsert ? upserting : plain, &error)
            }
            guard isTaken else { throw StoreFailure(error, of: place) }
        }
        guard mongoc_bulk_operation_execute(bulk, nil, &error) != 0 else { throw StoreFailure(error, of: place) }
    }

    private func bson(_ bytes: [UInt8]) throws(StoreFailure) -> OpaquePointer {
        guard let document = bson_new_from_data(bytes, bytes.count) else { throw .refused("a document cannot be sent to MongoDB") }
        return document
    }

    private func members(of document: OpaquePointer) throws(StoreFailure) -> [Document.Member] {
        do {
            return try BSON.decode(UnsafeRawBufferPointer(start: bson_get_data(document), count: Self.length(document)))
        } catch {
            throw .unavailable("MongoDB at \(place.hosts) answered with a document that \(error)")
        }
    }

    /// A document begins with its length, little-endian, which counts itself (bsonspec.org). libbson has checked it.
    private static func length(_ document: OpaquePointer) -> Int {
        guard let bytes = bson_get_data(document) else { return 0 }
        return Int(Int32(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: Int32.self)))
    }
}
