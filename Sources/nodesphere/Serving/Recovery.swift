import EmbeddedState
import Logging
import MQTTTelemetry
import RuleEngine

/// Brings an engine back to where it stood: the newest checkpoint, then every input of the journal after it.
struct Recovery {
    let folder: String
    let archive: RuleArchive
    let isRepairing: Bool
    let logger: Logger

    struct Outcome {
        /// Nil when there is nothing to go on from: the store is.
        var engine: Engine?
        /// Name of the rules that it has.
        var rules = ""
        /// Position of the last input that is known.
        var position: UInt64 = 0
        /// What the replayed inputs decided, stored already or not.
        var decided: [AlertTransition] = []
        var lastInstant = Instant.distantPast
        /// QoS 1 messages whose acknowledgements may not have gone out.
        var unacknowledged: [MQTTTelemetrySource.TakenMessage] = []
        /// Readings that scripts were not given.
        var leftOver: [LeftOver] = []
        /// How many they were given, or may have been, whose handlers did not come to their end.
        var inHand = 0
        /// Whether the last run ended without saying so.
        var isAfterCrash = false
        /// The journal as it was found.
        var journal: JournalReading?
        /// No journal was kept: alerts are as the store has them.
        var storeLeads = false
    }

    struct LeftOver: Sendable {
        var position: UInt64
        var instant: Instant
        var batch: MessageBatch
    }

    /// Records before the checkpoint that are looked at for messages that may come again.
    private static let lookBack: UInt64 = 5_000
    /// How long before the last record a message may have been taken and not acknowledged.
    private static let acknowledgementTime: Int64 = 10_000_000_000

    func run(_ settings: EngineSettings) throws(StartFailure) -> Outcome {
        do {
            return try recover(settings)
        } catch let failure as StartFailure {
            throw failure
        } catch {
            throw StartFailure(description: "the journal cannot be used: \(error)", status: 1)
        }
    }

    private func recover(_ settings: EngineSettings) throws -> Outcome {
        let (checkpoint, remarks) = try CheckpointFile.newest(in: folder)
        for remark in remarks { logger.warning("\(remark)") }
        let reading = try JournalReading(path: folder, from: checkpoint?.position ?? 0, repairing: isRepairing)
        for remark in reading.remarks { logger.warning("\(remark)") }
        var outcome = Outcome(position: reading.last, journal: reading)
        try takeLeftOver(reading, &outcome)
        guard let checkpoint else {
            guard reading.last == 0 || isRepairing else {
                throw StartFailure(
                    description:
                        "'\(folder)' has a journal and no whole checkpoint to begin from. Put the checkpoint back from a copy, or start once with --repair, which goes on from the state store: alerts are kept, windows and last known values begin anew",
                    status: 1)
            }
            return outcome
        }
        outcome.lastInstant = checkpoint.instant
        guard let plan = archive.plan(named: checkpoint.rules),
            let engine = Engine(plan: plan, settings: settings, restoring: checkpoint.state)
        else {
            logger.warning(
                "the checkpoint cannot be taken up (another version wrote it, or its rules are not in '\(folder)' any more): alerts are taken from the state store, windows and last known values begin anew"
            )
            outcome.storeLeads = true
            return outcome
        }
        outcome.engine = engine
        outcome.rules = checkpoint.rules
        outcome.storeLeads = !checkpoint.isJournaled && reading.last <= checkpoint.position
        try replay(reading, after: checkpoint.position, engine, &outcome)
        return outcome
    }

    /// What scripts were not given: they are not replayed, since they have acted on the world.
    private func takeLeftOver(_ reading: JournalReading, _ outcome: inout Outcome) throws {
        guard let standing = HandoverMark.read(in: folder) else { return }
        outcome.isAfterCrash = !standing.isClosed
        var count = 0
        var leftOver: [LeftOver] = []
        try reading.forEach(after: min(standing.ended, standing.begun, reading.last)) { record in
            guard case .input(.readings(let batch))? = EngineInput.decode(record.content) else { return true }
            guard record.position > standing.begun else {
                outcome.inHand += batch.count
                return true
            }
            count += batch.count
            leftOver.append(LeftOver(position: record.position, instant: record.instant, batch: batch))
            while count > ScriptHost.mostReadings { count -= leftOver.removeFirst().batch.count }
            return true
        }
        outcome.leftOver = leftOver
    }

    private func replay(_ reading: JournalReading, after position: UInt64, _ engine: Engine, _ outcome: inout Outcome) throws {
        var count = 0
        var failure: StartFailure?
        var recent = RecentMessages()
        try reading.forEach(after: position - min(position, Self.lookBack)) { record in
            guard let decoded = EngineInput.decode(record.content) else {
                failure = StartFailure(
                    description:
                        "input \(record.position) of the journal is of a kind that this version does not know: start the version that wrote it",
                    status: 1)
                return false
            }
            if case .input(.readings(let batch)) = decoded { recent.add(batch, at: record.instant) }
            guard record.position > position else { return true }
            outcome.lastInstant = max(outcome.lastInstant, record.instant)
            switch decoded {
            case .input(let input): engine.apply(input, at: record.instant)
            case .rules(let name):
                guard let plan = archive.plan(named: name) else {
                    failure = StartFailure(description: "the rules '\(name)' that the journal refers to are not in '\(folder)'", status: 1)
                    return false
                }
                outcome.rules = name
                engine.apply(.rules(plan, catalogue: name), at: record.instant)
            }
            outcome.decided += engine.takeEffects().transitions
            count += 1
            return true
        }
        if let failure { throw failure }
        outcome.unacknowledged = recent.messages(since: outcome.lastInstant + -Self.acknowledgementTime)
        if count > 0 { logger.notice("the journal was replayed: \(count) inputs since the last checkpoint") }
    }
}

/// The last QoS 1 message under each packet id.
private struct RecentMessages {
    private var messages: [UInt16: (at: Instant, message: MQTTTelemetrySource.TakenMessage)] = [:]

    mutating func add(_ batch: MessageBatch, at instant: Instant) {
        for entry in batch.entries where entry.qos == 1 {
            let payload = entry.start + entry.topicLength
            messages[entry.packetID] = (
                instant,
                MQTTTelemetrySource.TakenMessage(
                    packetID: entry.packetID, topic: Array(batch.bytes[entry.start..<payload]),
                    payload: Array(batch.bytes[payload..<payload + entry.payloadLength]))
            )
        }
    }

    func messages(since instant: Instant) -> [MQTTTelemetrySource.TakenMessage] {
        messages.values.filter { $0.at >= instant }.map(\.message)
    }
}
