import CMongoC
import RuleEngine

extension StoreFailure {
    /// Server codes that mean "not now": no primary, shutting down, time limits, interrupted, write concern not met in time, no room.
    private static let passingCodes: Set<UInt32> = [
        6, 7, 24, 46, 50, 64, 79, 89, 91, 100, 112, 133, 134, 189, 202, 262, 290, 314, 317, 358, 384, 9001, 10_058, 10_107, 11_600, 11_602,
        13_388, 13_435, 13_436, 14_031,
    ]

    /// What the driver's error means for who asked.
    init(_ error: bson_error_t, of place: MongoPlace) {
        let text = place.redacted(error.text)
        switch error.domain {
        case MONGOC_ERROR_SERVER.rawValue, MONGOC_ERROR_QUERY.rawValue, MONGOC_ERROR_COMMAND.rawValue, MONGOC_ERROR_COLLECTION.rawValue:
            self =
                Self.passingCodes.contains(error.code)
                ? .unavailable("MongoDB at \(place.hosts) cannot do it now: \(text) (code \(error.code))")
                : .refused("MongoDB at \(place.hosts) refused: \(text) (code \(error.code))")
        case MONGOC_ERROR_WRITE_CONCERN.rawValue:
            self = .unavailable("MongoDB at \(place.hosts) did not confirm a write: \(text)")
        case MONGOC_ERROR_CLIENT.rawValue where error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue,
            MONGOC_ERROR_SASL.rawValue, MONGOC_ERROR_SCRAM.rawValue:
            self = .refused("MongoDB at \(place.hosts) refused the credentials: \(text)")
        case MONGOC_ERROR_STREAM.rawValue, MONGOC_ERROR_SERVER_SELECTION.rawValue, MONGOC_ERROR_CLIENT.rawValue,
            MONGOC_ERROR_CURSOR.rawValue:
            self = .unavailable("MongoDB at \(place.hosts) cannot be reached: \(text)")
        case MONGOC_ERROR_PROTOCOL.rawValue where error.code != MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION.rawValue:
            self = .unavailable("MongoDB at \(place.hosts) answered wrongly: \(text)")
        default:
            self = .refused("MongoDB at \(place.hosts): \(text)")
        }
    }
}

/// What messages say of the server: its hosts, and nothing that is secret.
struct MongoPlace: Sendable {
    var hosts: String
    var secrets: [String]

    func redacted(_ text: String) -> String {
        secrets.reduce(text) { $0.replacing($1, with: "***") }
    }
}

extension bson_error_t {
    var text: String {
        withUnsafeBytes(of: message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
