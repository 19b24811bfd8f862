import RuleEngine
import Synchronization

/// The alerts as they are stored, for those who ask: every active one, and resolved ones for a while.
final class AlertBoard: Sendable {
    private let alerts = Mutex<[String: AlertRecord]>([:])

    func restore(_ records: [AlertRecord]) {
        alerts.withLock { alerts in for record in records { alerts[record.storageID] = record } }
    }

    private let transitions = Mutex<[AlertState: Int]>([:])

    /// Transitions since the start, by the state they led to.
    var transitionCounts: [AlertState: Int] { transitions.withLock { $0 } }

    func apply(_ transitions: [AlertTransition]) {
        guard !transitions.isEmpty else { return }
        self.transitions.withLock { counts in for transition in transitions { counts[transition.alert.state, default: 0] += 1 } }
        alerts.withLock { alerts in
            for transition in transitions {
                alerts[transition.alert.storageID] = transition.alert.state == .inactive ? nil : transition.alert
            }
        }
    }

    /// Changes what is known of an action of an alert's last transition (nil: it is done), and gives what is to be stored. Nil when that transition
    /// is not the last one any more: then nothing of its actions is stored.
    func amend(_ action: ActionRequest.ID, of record: AlertRecord, to next: ActionRequest?) -> AlertRecord? {
        alerts.withLock { alerts in
            guard var current = alerts[record.storageID], current.episode == record.episode, current.transition == record.transition,
                let place = current.pendingActions.firstIndex(where: { $0.id == action })
            else { return nil }
            if let next { current.pendingActions[place] = next } else { current.pendingActions.remove(at: place) }
            alerts[record.storageID] = current
            return current
        }
    }

    func matching(_ isWanted: (AlertRecord) -> Bool) -> [AlertRecord] { alerts.withLock { $0.values.filter(isWanted) } }

    var counts: [(alertname: String, state: AlertState, count: Int)] {
        var counts: [String: [AlertState: Int]] = [:]
        alerts.withLock { alerts in for alert in alerts.values { counts[alert.rule.alert, default: [:]][alert.state, default: 0] += 1 } }
        return counts.flatMap { name, states in states.map { (name, $0.key, $0.value) } }.sorted {
            ($0.0, $0.1.rawValue) < ($1.0, $1.1.rawValue)
        }
    }

    /// Forgets what was resolved before an instant, and gives the ids.
    func removeResolved(before instant: Instant) -> [String] {
        alerts.withLock { alerts in
            let old = alerts.filter { $0.value.state == .resolved && $0.value.changedAt < instant }.keys.sorted()
            for id in old { alerts[id] = nil }
            return old
        }
    }
}
