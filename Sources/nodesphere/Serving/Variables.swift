import RuleEngine
import Synchronization

/// What rules read as `vars.NAME`, for those that look at it or change it: REST and scripts.
final class Variables: Sendable {
    private let values: Mutex<[String: Document]>
    private let store: any StateStore

    init(_ stored: [(name: String, value: Document)], store: any StateStore) {
        values = Mutex(Dictionary(stored.map { ($0.name, $0.value) }) { _, last in last })
        self.store = store
    }

    func value(of name: String) -> Document? { values.withLock { $0[name] } }

    /// Stores a value, nil to remove it, then gives it to the rules; returns when that is in the journal.
    func set(_ name: String, to value: Document?, _ host: EngineHost) async throws(StoreFailure) {
        try await store.commit([StateWrite(.variables, id: name, value.map { Document.object([.init("value", $0)]) })])
        values.withLock { $0[name] = value }
        await host.applyDurably(.variable(name: name, value))
    }
}
