import Logging

/// Says once that the broker is gone and once that it is back.
struct OutageReport {
    private let logger: Logger
    private let subject: String
    private let broker: String
    private var isOutage = false

    /// `subject` begins the lines: what the connection is for.
    init(_ subject: String, configuration: MQTTConfiguration, logger: Logger) {
        self.subject = subject
        self.logger = logger
        broker = configuration.address
    }

    mutating func lost(_ reason: String) {
        guard !isOutage else { return }
        isOutage = true
        logger.warning(
            "\(subject): no connection to the broker: \(reason); trying again until it is back", metadata: ["broker": "\(broker)"])
    }

    mutating func connected() {
        logger.info("\(subject): connected to the broker\(isOutage ? " again" : "")", metadata: ["broker": "\(broker)"])
        isOutage = false
    }
}
