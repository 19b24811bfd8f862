import Logging
import RuleEngine

/// What an operator is told: each thing once when it begins, once when it ends.
final class RecorderReport {
    private let logger: Logger
    private let address: String
    private var toldRefusals: Set<String> = []
    private var toldReasons: Set<String> = []
    private var hasSpooled = false
    private var toldLost = 0
    private var isDropping = false
    private(set) var diskFailure: String?

    init(logger: Logger, address: String) {
        self.logger = logger
        self.address = address
    }

    func isSetUp(_ changes: [String], _ refusals: [String]) {
        for change in changes { logger.notice("InfluxDB: \(change)") }
        for refusal in refusals where toldRefusals.insert(refusal).inserted {
            logger.warning("recording goes on, but InfluxDB is not set up as configured: \(refusal)")
        }
    }

    func filled(_ refusals: [String]) {
        for refusal in refusals where toldRefusals.insert(refusal).inserted {
            logger.warning("what the continuous queries missed while InfluxDB was away is not computed: \(refusal)")
        }
    }

    func wentAway(_ reason: String) {
        hasSpooled = true
        logger.error("readings cannot be recorded and are kept on the disk until they can: \(reason)")
    }

    func cameBack(waiting: Int) {
        logger.notice("readings are recorded again", metadata: ["influxdb": "\(address)", "waiting": "\(waiting)"])
    }

    /// The spool is empty.
    func drained(lost: Int) {
        if isDropping {
            logger.warning("\(lost - toldLost) points were lost while the spool was full", metadata: ["lost": "\(lost - toldLost)"])
        }
        if hasSpooled { logger.notice("what waited on the disk is recorded") }
        toldLost = lost
        isDropping = false
        hasSpooled = false
    }

    /// Points that had to leave a full spool, since the start.
    func dropped(_ points: Int, of size: Int64) {
        guard points > toldLost, !isDropping else { return }
        isDropping = true
        logger.error("the spool is full ('recorder.spool_max_size', \(size) bytes): the oldest points are dropped")
    }

    func refused(_ points: Int, _ reason: String) {
        // The same mistake with other numbers in it is told once; of endlessly many, the first ones.
        let kind = String(reason.filter { !$0.isNumber }.prefix(120))
        guard toldReasons.count < 20, toldReasons.insert(kind).inserted else { return }
        logger.warning("InfluxDB refuses points, which are not recorded: \(reason)", metadata: ["points": "\(points)"])
    }

    func diskFailed(_ reason: String) {
        if diskFailure == nil { logger.error("readings that cannot be recorded cannot be kept on the disk either: \(reason)") }
        diskFailure = reason
    }

    func diskIsNotNeeded() {
        if diskFailure != nil { logger.notice("InfluxDB takes the readings again: nothing waits for the disk") }
        diskFailure = nil
    }

    func diskWorks() {
        if diskFailure != nil { logger.notice("readings are kept on the disk again") }
        diskFailure = nil
    }
}
