import Foundation
import GRDB
import RuleEngine

/// Who takes a scheduled message: the wakes together, the deliveries of one receiver together, so that a slow receiver holds up nobody else.
enum LaneName: Hashable {
    case wakes
    /// The receiver's name as bytes: names that only look the same are different receivers.
    case receiver([UInt8])

    init(_ kind: ScheduledMessage.Kind) {
        switch kind {
        case .wake: self = .wakes
        case .delivery(let receiver, _, _): self = .receiver(Array(receiver.utf8))
        }
    }

    /// `w`, or `r` and the receiver's name.
    var key: Data {
        switch self {
        case .wakes: Data([UInt8(ascii: "w")])
        case .receiver(let name): Data([UInt8(ascii: "r")] + name)
        }
    }
}

/// One row of `scheduled`.
struct ScheduledRow: Sendable {
    var seq: Int64
    /// Whether `due` is asked first: the message has waited, or is a wake.
    var asksFirst: Bool
    var message: ScheduledMessage
}

/// What is due in a lane at an instant, and when the next one is.
struct DuePage: Sendable {
    var rows: [ScheduledRow]
    var nextDueAt: Instant?
}

/// The statements on `scheduled` and `dead_letters`.
enum ScheduledRows {
    static func insert(_ message: ScheduledMessage, asksFirst: Bool, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO scheduled (lane, due_at, asks_first, attempt, id, kind, body) VALUES (?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            LaneName(message.kind).key, message.dueAt.nanoseconds, asksFirst, message.attempt, Data(bytesOf: message.id),
            try content(message.kind), Data(message.body),
        ])
    }

    static func remove(_ row: ScheduledRow, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM scheduled WHERE seq = ?").execute(arguments: [row.seq])
    }

    /// The same row later; whatever has waited is put to `due` first.
    static func postpone(_ row: ScheduledRow, to dueAt: Instant, attempt: Int, _ db: Database) throws {
        try db.cachedStatement(sql: "UPDATE scheduled SET due_at = ?, attempt = ?, asks_first = 1 WHERE seq = ?")
            .execute(arguments: [dueAt.nanoseconds, attempt, row.seq])
    }

    static func bury(_ row: ScheduledRow, reason: String, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO dead_letters (due_at, attempt, id, kind, body, reason) VALUES (?, ?, ?, ?, ?, ?)")
        let message = row.message
        try statement.execute(arguments: [
            message.dueAt.nanoseconds, message.attempt, Data(bytesOf: message.id), try content(message.kind), Data(message.body),
            Data(bytesOf: reason),
        ])
        try remove(row, db)
    }

    static func due(in lane: Data, at instant: Instant, limit: Int, _ db: Database) throws -> DuePage {
        let statement = try db.cachedStatement(
            sql: """
                SELECT due_at, attempt, id, kind, body, seq, asks_first FROM scheduled
                WHERE lane = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?
                """)
        var rows: [ScheduledRow] = []
        let cursor = try Row.fetchCursor(statement, arguments: [lane, instant.nanoseconds, limit])
        while let row = try cursor.next() {
            rows.append(ScheduledRow(seq: row[5], asksFirst: row[6], message: try message(row)))
        }
        let next = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT min(due_at) FROM scheduled WHERE lane = ? AND due_at > ?"),
            arguments: [lane, instant.nanoseconds])
        return DuePage(rows: rows, nextDueAt: next.map(Instant.init(nanoseconds:)))
    }

    /// The newest, the newest of them last.
    static func deadLetters(limit: Int, _ db: Database) throws -> [DeadLetter] {
        let rows = try Row.fetchAll(
            db, sql: "SELECT due_at, attempt, id, kind, body, reason FROM dead_letters ORDER BY seq DESC LIMIT ?",
            arguments: [max(0, limit)])
        return try rows.reversed().map { DeadLetter(message: try message($0), reason: try $0.text(5)) }
    }

    private static func message(_ row: Row) throws -> ScheduledMessage {
        let id = try row.text(2)
        guard let content = try row.document(3), let kind = kind(content) else {
            throw StoreFailure.refused("the scheduled message '\(id)' is damaged")
        }
        let body = try row.withUnsafeData(atIndex: 4) { $0.map(Array.init) ?? [] }
        return ScheduledMessage(
            id: id, kind: kind, dueAt: Instant(nanoseconds: row[0]), attempt: row[1], body: body)
    }

    private static func content(_ kind: ScheduledMessage.Kind) throws -> Data {
        let content: Document =
            switch kind {
            case .wake(let groupKey): ["wake": .string(groupKey)]
            case .delivery(let receiver, let severity, let status):
                ["receiver": .string(receiver), "severity": Document(severity), "status": .string(status)]
            }
        return Data(try DocumentEncoding.encode(content))
    }

    private static func kind(_ content: Document) -> ScheduledMessage.Kind? {
        if let groupKey = content["wake"]?.string { return .wake(groupKey: groupKey) }
        guard let receiver = content["receiver"]?.string, let status = content["status"]?.string else { return nil }
        return .delivery(receiver: receiver, severity: content["severity"]?.string, status: status)
    }
}
