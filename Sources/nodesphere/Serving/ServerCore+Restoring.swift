import Foundation
import Logging
import RuleEngine
import RuleLanguage

/// What the store holds, at the start.
extension ServerCore {
    struct Restored: Sendable {
        var alerts: [AlertRecord] = []
        var groups: [NotificationGroupRecord] = []
        var silences: [Silence] = []
        var acknowledgements: [Acknowledgement] = []
        var variables: [(name: String, value: Document)] = []
        var storeGroups: [RuleLoader.Source] = []
        var subscriptions: [String] = []
        var scripts: [StoredDocument] = []
        var devices: [DeviceRecord] = []
        var profiles: [ProfileRecord] = []
        var lastInstant = Instant.distantPast
        var installation = ""
    }

    /// Everything the store holds; waits for the store as long as it takes.
    func restore() async throws -> Restored {
        var wait = Duration.milliseconds(100)
        var isAway = false
        while true {
            do {
                return try await read()
            } catch .unavailable(let reason) {
                if !isAway { logger.error("the store is away, the server waits for it: \(reason)") }
                isAway = true
                try await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(2))
            } catch .refused(let reason) {
                throw StartFailure(description: "the state store cannot be used: \(reason)", status: 1)
            }
        }
    }

    private func read() async throws(StoreFailure) -> Restored {
        var restored = Restored()
        restored.installation = try await store.installationID(proposed: Installation.id(in: dataPath) ?? UUID().uuidString.lowercased())
        for stored in try await store.documents(in: .alerts) {
            if let record = AlertRecord(document: stored.document) {
                restored.alerts.append(record)
                restored.lastInstant = max(restored.lastInstant, record.changedAt)
            } else {
                logger.error("a stored alert cannot be understood and is left where it is", metadata: ["id": "\(stored.id)"])
            }
        }
        for stored in try await store.documents(in: .notificationGroups) {
            if let record = NotificationGroupRecord(id: stored.id, document: stored.document) {
                restored.groups.append(record)
            } else {
                logger.error("a stored notification group cannot be understood and is left where it is", metadata: ["id": "\(stored.id)"])
            }
        }
        restored.silences = try await store.documents(in: .silences).compactMap { Silence(id: $0.id, document: $0.document) }
        restored.acknowledgements = try await store.documents(in: .acknowledgements).compactMap {
            Acknowledgement(alert: $0.id, document: $0.document)
        }
        restored.variables = try await store.documents(in: .variables).map { ($0.id, $0.document["value"] ?? .null) }
        restored.storeGroups = try await store.documents(in: .ruleGroups).compactMap { stored in
            stored.document["yaml"]?.string.map { RuleLoader.Source(name: stored.id, bytes: Array($0.utf8)) }
        }
        restored.scripts = try await store.documents(in: .scripts)
        let server = try await store.documents(in: .server)
        restored.subscriptions = (server.first { $0.id == "subscriptions" }?.document["filters"]?.array ?? []).compactMap(\.string)
        (restored.devices, restored.profiles) = try await directory.snapshot()
        return restored
    }
}
