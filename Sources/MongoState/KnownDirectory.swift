import RuleEngine
import Synchronization

/// What the directory was when it was last looked at, to tell what has changed since.
final class KnownDirectory: Sendable {
    typealias Entries = [DirectoryCollection: [[UInt8]: DirectoryEntry]]

    private struct State {
        /// By the bytes of ids.
        var entries: Entries = [:]
        /// The server's clock at the last poll; nil before the first whole comparison.
        var polledAt: Instant?
        var comparedAt = ContinuousClock.now
        /// Documents that were told of already, with the reason; forgotten when a document is right again.
        var misshapen: [String: String] = [:]
        var isIndexed = false
        var isOut = false
    }

    private let state = Mutex(State())

    var isIndexed: Bool { state.withLock { $0.isIndexed } }
    func setIndexed() { state.withLock { $0.isIndexed = true } }

    /// Returns what it was before.
    func setOut(_ isOut: Bool) -> Bool {
        state.withLock { state in
            defer { state.isOut = isOut }
            return state.isOut
        }
    }

    /// Since when changes are to be asked for; nil when everything has to be compared.
    func pollable(comparisonInterval: Duration) -> Instant? {
        state.withLock { state in state.comparedAt.duration(to: .now) < comparisonInterval ? state.polledAt : nil }
    }

    func polled(at instant: Instant) { state.withLock { $0.polledAt = instant } }

    func sorted(_ collection: DirectoryCollection) -> [DirectoryEntry] {
        let entries = state.withLock { $0.entries[collection] ?? [:] }
        return entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// Takes a whole reading; returns what is different in it.
    func replace(_ all: Entries, polledAt: Instant) -> [DirectoryChange] {
        state.withLock { state in
            var changes: [DirectoryChange] = []
            for collection in DirectoryCollection.allCases {
                let before = state.entries[collection] ?? [:]
                let now = all[collection] ?? [:]
                for (id, entry) in now where before[id] != entry { changes.append(entry.change) }
                for id in before.keys where now[id] == nil { changes.append(collection.removal(of: String(decoding: id, as: UTF8.self))) }
            }
            state.entries = all
            state.polledAt = polledAt
            state.comparedAt = .now
            return changes
        }
    }

    /// Takes one document; returns the change when it is one. What has a wrong shape counts as not there.
    func take(_ reading: DirectoryReading, in collection: DirectoryCollection) -> DirectoryChange? {
        state.withLock { state in
            switch reading {
            case .entry(let id, let entry):
                let before = state.entries[collection, default: [:]].updateValue(entry, forKey: Array(id.utf8))
                return before == entry ? nil : entry.change
            case .deleted(let id), .misshapen(let id?, _, _):
                return state.entries[collection]?.removeValue(forKey: Array(id.utf8)).map { _ in collection.removal(of: id) }
            case .misshapen(nil, _, _): return nil
            }
        }
    }

    func put(_ entry: DirectoryEntry?, id: String, in collection: DirectoryCollection) {
        state.withLock { $0.entries[collection, default: [:]][Array(id.utf8)] = entry }
    }

    /// Name and reason of a document that cannot be understood and has not been told of.
    func untold(_ reading: DirectoryReading, in collection: DirectoryCollection) -> (name: String, reason: String)? {
        state.withLock { state in
            switch reading {
            case .entry(let id, _), .deleted(let id):
                state.misshapen["\(collection)/\(id)"] = nil
                return nil
            case .misshapen(_, let name, let reason):
                // Bounded: a collection full of foreign documents must not fill the memory; some are then told of again.
                if state.misshapen.count >= 10_000 { state.misshapen = [:] }
                return state.misshapen.updateValue(reason, forKey: "\(collection)/\(name)") == reason ? nil : (name, reason)
            }
        }
    }
}
