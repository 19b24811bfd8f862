/// The collections of a state store. Names are those of MongoDB's collections and SQLite's tables.
public enum StateCollection: String, CaseIterable, Sendable {
    /// Alert instances that are not inactive, and resolved ones for a while (`AlertRecord`).
    case alerts
    /// Groups of the notification pipeline with the intent under way (`NotificationGroupRecord`).
    case notificationGroups = "notification_groups"
    case silences
    /// Who has taken an alert upon themselves (`Acknowledgement`), under the alert's id.
    case acknowledgements
    /// Rule variables: `vars.<name>`.
    case variables
    /// Rule groups made through the API.
    case ruleGroups = "rule_groups"
    /// State and durable timers of automations.
    case scripts
    /// What the server keeps about itself: installation id, subscribed filters.
    case server
}

public struct StoredDocument: Sendable, Equatable {
    public var id: String
    public var document: Document
    public init(id: String, document: Document) {
        self.id = id
        self.document = document
    }
}

/// One change of one document; a nil document removes.
public struct StateWrite: Sendable, Equatable {
    public var collection: StateCollection
    public var id: String
    public var document: Document?
    public init(_ collection: StateCollection, id: String, _ document: Document?) {
        self.collection = collection
        self.id = id
        self.document = document
    }
}

/// Why a store did not do what it was asked.
public enum StoreFailure: Error, Sendable, CustomStringConvertible {
    /// Out of reach, or too slow: asking again later is right. The text says what was tried and what came back, without secrets.
    case unavailable(String)
    /// It answered and refused: asking again would be refused again (a document too large, a missing permission, data of another version).
    case refused(String)

    public var description: String {
        switch self {
        case .unavailable(let reason): reason
        case .refused(let reason): reason
        }
    }
}

/// Where rule state lives: documents by collection and id.
///
/// Contract
/// * **Durability**: when `commit` returns, the writes outlive a crash of this process and of the store's machine (SQLite: WAL with
///   `synchronous=FULL`; MongoDB: majority, journaled write concern).
/// * **Atomicity**: each document by itself; several documents of one commit may be torn apart by a crash, but a later write of one commit is
///   never there without the earlier ones of the *same document*. What has to change together is one document.
/// * **Order**: commits of one caller that follow each other are applied in that order. Of several writes to one document in a commit the last wins.
/// * **Duplicates**: writing the same again is allowed and changes nothing.
/// * **Failure**: `unavailable` leaves it open which writes were applied; the caller repeats the whole commit.
/// * **Cancellation** of the calling task does not undo anything; the call may go on to its end.
/// * Documents are at most 4 MiB; objects keep the order of their members; int, double, string, instant (to the millisecond), bool, null come back as they were.
public protocol StateStore: Sendable {
    /// Every document of a collection, in the order of ids' bytes.
    func documents(in collection: StateCollection) async throws(StoreFailure) -> [StoredDocument]
    func commit(_ writes: [StateWrite]) async throws(StoreFailure)
    /// The id of the installation that this store belongs to; `proposed` becomes it when there is none yet. Given once, it never changes.
    func installationID(proposed: String) async throws(StoreFailure) -> String
    /// Whether the store can be used now; nil when it can, else the reason for `/readyz`.
    func unreadyReason() async -> String?
}
