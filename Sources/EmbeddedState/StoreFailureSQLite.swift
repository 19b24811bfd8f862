import GRDB
import RuleEngine

extension StoreFailure {
    /// What SQLite's error means for who asked: room and locks come back, damage and limits do not.
    init(_ error: any Error, path: String) {
        guard let error = error as? DatabaseError else {
            self = (error as? StoreFailure) ?? .refused("'\(path)': \(error)")
            return
        }
        let text = error.message ?? error.resultCode.description
        switch error.resultCode {
        case .SQLITE_FULL: self = .unavailable("no room to write '\(path)': the disk is full")
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .unavailable("'\(path)' is locked by another program")
        case .SQLITE_IOERR, .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_NOMEM, .SQLITE_INTERRUPT, .SQLITE_ABORT:
            self = .unavailable("'\(path)' cannot be used: \(text)")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .refused("'\(path)' is damaged or no database: \(text)")
        default: self = .refused("'\(path)': \(text)")
        }
    }
}
