internal import Logging
internal import Synchronization

/// Whether the broker is within reach, as several connections see it. Tells the log of the first that is lost and of the last that is back.
final class Outage: Sendable {
    enum Part: Hashable { case publishing, consuming }

    private let downParts = Mutex<[Part: String]>([:])
    private let logger: Logger
    private let broker: String

    init(broker: String, logger: Logger) {
        self.broker = broker
        self.logger = logger
    }

    func isDown(_ part: Part, because reason: String) {
        let isFirst = downParts.withLock { parts in
            defer { parts[part] = reason }
            return parts.isEmpty
        }
        guard isFirst else { return }
        logger.error(
            "RabbitMQ is out of reach: notifications wait until it is back; connecting goes on",
            metadata: ["broker": "\(broker)", "reason": "\(reason)"])
    }

    func isUp(_ part: Part) {
        let isLast = downParts.withLock { parts in
            guard parts.removeValue(forKey: part) != nil else { return false }
            return parts.isEmpty
        }
        if isLast { logger.notice("RabbitMQ is back", metadata: ["broker": "\(broker)"]) }
    }

    /// A part that is no longer wanted is not down.
    func forget(_ part: Part) { downParts.withLock { $0[part] = nil } }

    var reason: String? {
        downParts.withLock { parts in (parts[.publishing] ?? parts[.consuming]).map { "RabbitMQ at \(broker): \($0)" } }
    }
}
