import Logging

/// Says once that the broker is gone and once that it is back.
struct OutageReport {
    private let logger: Logger
    private let subject: String
    private let broker: String
    private let level: Logger.Level
    private var isOutage = false

    /// `subject` begins the lines: what the connection is for. `level` is that of an outage: of two connections to one broker only one need tell.
    init(_ subject: String, configuration: MQTTConfiguration, level: Logger.Level = .warning, logger: Logger) {
        self.subject = subject
        self.logger = logger
        self.level = level
        broker = configuration.address
    }

    mutating func lost(_ reason: String) {
        guard !isOutage else { return }
        isOutage = true
        logger.log(
            level: level, "\(subject): no connection to the broker: \(reason); trying again until it is back",
            metadata: ["broker": "\(broker)"])
    }

    mutating func connected() {
        logger.log(
            level: min(level, .info), "\(subject): connected to the broker\(isOutage ? " again" : "")", metadata: ["broker": "\(broker)"])
        isOutage = false
    }
}
