import DurableFiles
import Foundation
public import Logging
public import RuleEngine
import Synchronization
import Threads

/// What a recorder counts since its start.
public struct RecorderCounts: Sendable {
    /// Points by what became of them.
    public internal(set) var written = 0
    public internal(set) var refused = 0
    public internal(set) var spoolOverflow = 0
    public internal(set) var spoolDamage = 0
    /// Points that no longer fitted in memory while the disk took none.
    public internal(set) var diskDropped = 0
    public internal(set) var requestsAnswered = 0
    public internal(set) var requestsFailed = 0
    /// Messages that came while the queue was full.
    public internal(set) var queueDropped = 0
    /// Bytes of messages that are not taken up yet.
    public internal(set) var queueBytes = 0
    /// Points that wait in memory, and on the disk.
    public internal(set) var waitingPoints = 0
    public internal(set) var spoolPoints = 0
    public internal(set) var spoolBytes: Int64 = 0
    var leftOut = PointLines.LeftOut()

    /// Readings that gave no point, by reason.
    public var readingsLeftOut: [(reason: String, count: Int)] {
        [
            ("undecodable", leftOut.undecodable), ("retained", leftOut.retained), ("tag", leftOut.tag), ("no_field", leftOut.noField),
        ]
    }
    /// Fields that a point went without, by reason.
    public var fieldsLeftOut: [(reason: String, count: Int)] {
        [
            ("name", leftOut.fieldName), ("out_of_range", leftOut.outOfRange), ("too_long", leftOut.tooLong),
            ("too_many", leftOut.tooMany),
        ]
    }
}

/// Records readings in InfluxDB, in line protocol.
///
/// Contract
/// * `add` never waits: what does not fit in the queue is dropped and counted.
/// * What was added reaches InfluxDB in the order in which it came, as often as it takes; while InfluxDB is away or behind it waits in the spool, of which the oldest goes when it is full.
/// * A reading that is added twice with the same instant is one point.
/// * `position` is one of the journal up to which everything is in InfluxDB or safe on the disk: after a crash, what comes behind it is to be added again.
public final class TelemetryRecorder: @unchecked Sendable {
    // @unchecked: `shared` is only touched under `condition`; everything else is constant, and the loop is used by its thread alone.
    struct Incoming {
        var batch: MessageBatch
        var at: Instant
        var position: UInt64?
        var size: Int { batch.bytes.count + batch.count * MemoryLayout<MessageBatch.Entry>.stride }
    }
    private struct Shared {
        var incoming: [Incoming] = []
        var bytes = 0
        var dropped = 0
        var reply: RecorderLoop.Reply?
        var stopAt: ContinuousClock.Instant?
        var hasEnded = false
        var counts = RecorderCounts()
        var reason: String?
    }
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// What sending waits for when it ends.
    private static let patience = Duration.milliseconds(1_500)

    public let settings: RecorderSettings
    private let client: InfluxClient
    private let folder: RecorderFolder
    private let logger: Logger
    /// Called on the recorder's thread when what it counts may have changed.
    private let turned: @Sendable () -> Void
    private let condition = MonotonicCondition()
    private var shared = Shared()

    /// Makes the recorder and starts its thread. `path`: a folder of its own.
    public convenience init(_ settings: RecorderSettings, influx: InfluxConfiguration, path: String, logger: Logger) throws(Failure) {
        try self.init(settings, influx: influx, path: path, logger: logger, turned: {})
    }

    init(
        _ settings: RecorderSettings, influx: InfluxConfiguration, path: String, logger: Logger, turned: @escaping @Sendable () -> Void
    ) throws(Failure) {
        self.settings = settings
        self.turned = turned
        self.logger = logger
        client = InfluxClient(influx)
        folder = RecorderFolder(path: path)
        let spool: Spool
        do throws(DurableFile.Failure) { spool = try Spool(folder: path, maximumSize: settings.spoolSize) } catch {
            throw Failure(description: error.description)
        }
        for remark in spool.remarks { logger.warning("\(remark)") }
        start(spool, influx)
    }

    /// What has to be subscribed.
    public var subscriptions: [Subscription] { settings.measurements.map { Subscription(filter: $0.topic.subscription, qos: 1) } }

    /// As the last run left it; nil when there was none.
    public var position: UInt64? { folder.position }

    /// Says that nothing up to a position is to be recorded.
    public func begin(at position: UInt64) { folder.save(position: position) }

    /// Forgets where an earlier run stood, so that a later one does not begin there.
    public static func forgetPosition(path: String) { RecorderFolder(path: path).forgetPosition() }

    // MARK: From other threads

    /// Takes a batch in, with the instant at which it was received and its position in the journal.
    public func add(_ batch: MessageBatch, at instant: Instant, position: UInt64?) {
        let incoming = Incoming(batch: batch, at: instant, position: position)
        condition.lock()
        defer { condition.unlock() }
        guard hasRoom(for: incoming) else { return shared.dropped += batch.count }
        put(incoming)
    }

    /// The same, waiting for room: for what is read back from the journal.
    public func addWaiting(_ batch: MessageBatch, at instant: Instant, position: UInt64?) {
        let incoming = Incoming(batch: batch, at: instant, position: position)
        condition.lock()
        defer { condition.unlock() }
        while !hasRoom(for: incoming), !shared.hasEnded { condition.wait() }
        put(incoming)
    }

    private func hasRoom(for incoming: Incoming) -> Bool { shared.bytes == 0 || shared.bytes + incoming.size <= settings.queueSize }

    private func put(_ incoming: Incoming) {
        shared.incoming.append(incoming)
        shared.bytes += incoming.size
        if shared.incoming.count == 1 { condition.broadcast() }
    }

    public var counts: RecorderCounts {
        locked {
            var counts = $0.counts
            counts.queueDropped = $0.dropped
            counts.queueBytes = $0.bytes
            return counts
        }
    }

    /// Why readings are not recorded now; nil when they are.
    public var unreadyReason: String? { locked { $0.reason } }

    /// Whether the end was asked for.
    var isStopping: Bool { locked { $0.stopAt != nil } }

    private func locked<Result>(_ body: (Shared) -> Result) -> Result {
        condition.lock()
        defer { condition.unlock() }
        return body(shared)
    }

    /// Writes what there is, as far as InfluxDB takes it within a moment, and keeps the rest on the disk. Blocks.
    public func stop() {
        condition.lock()
        defer { condition.unlock() }
        if shared.stopAt == nil { shared.stopAt = .now + Self.patience }
        condition.broadcast()
        while !shared.hasEnded { condition.wait() }
    }

    // MARK: The thread

    private func start(_ spool: Spool, _ influx: InfluxConfiguration) {
        /// Handed over to the thread, and used by it alone.
        struct Handed: @unchecked Sendable { let spool: Spool }
        let handed = Handed(spool: spool)
        let thread = Thread { [self] in
            run(
                RecorderLoop(
                    settings: settings, spool: handed.spool, folder: folder,
                    report: RecorderReport(logger: logger, address: influx.address),
                    send: { self.send($0) }))
        }
        thread.name = "recorder"
        thread.start()
    }

    private func run(_ loop: RecorderLoop) {
        // The set-up waits for no reading.
        var wake: ContinuousClock.Instant? = .now
        var stopAt: ContinuousClock.Instant?
        while true {
            let (batches, reply) = nextWork(until: wake, stopAt: &stopAt)
            let now = ContinuousClock.now
            wake = loop.turn(batches, reply, at: now, isStopping: stopAt != nil)
            publish(loop)
            guard let stopAt else { continue }
            if loop.isSettled || loop.unreadyReason != nil || stopAt <= now { break }
            wake = min(wake ?? stopAt, stopAt)
        }
        loop.end(at: .now)
        publish(loop)
        condition.lock()
        shared.hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    /// Waits for readings, a reply, a moment, or the end if the caller does not know of it yet.
    private func nextWork(
        until wake: ContinuousClock.Instant?, stopAt: inout ContinuousClock.Instant?
    ) -> ([Incoming], RecorderLoop.Reply?) {
        condition.lock()
        defer { condition.unlock() }
        while shared.incoming.isEmpty, shared.reply == nil, shared.stopAt == stopAt {
            guard let wake else {
                condition.wait()
                continue
            }
            guard wake > .now else { break }
            _ = condition.wait(until: wake)
        }
        defer {
            shared.incoming = []
            shared.bytes = 0
            shared.reply = nil
            condition.broadcast()
        }
        stopAt = shared.stopAt
        return (shared.incoming, shared.reply)
    }

    private func publish(_ loop: RecorderLoop) {
        let (counts, reason) = (loop.present, loop.unreadyReason)
        condition.lock()
        shared.counts = counts
        shared.reason = reason
        condition.unlock()
        turned()
    }

    // MARK: Requests

    private func send(_ request: RecorderLoop.Request) {
        Task {
            let reply = await answer(request)
            condition.withLock {
                shared.reply = reply
                condition.broadcast()
            }
        }
    }

    private func answer(_ request: RecorderLoop.Request) async -> RecorderLoop.Reply {
        let setUp = DatabaseSetUp(settings: settings, client: client)
        switch request {
        case .setUp: return .setUp(await setUp.run())
        case .fill(let from, let to): return .filled(await setUp.fill(from: from, to: to))
        case .write(let batch): return .wrote(await client.verdict(on: batch))
        }
    }
}

extension InfluxClient {
    fileprivate func verdict(on batch: LineBatch) async -> WriteVerdict {
        let answer = QueryAnswer()
        switch await write(batch.lines, retentionPolicy: batch.policy, within: configuration.timeout, into: answer) {
        case .none(let reason, _): return .unavailable(reason: reason, retryAfter: nil)
        case .answer(let status, let retryAfter):
            let said = (200...299).contains(status) ? "" : answer.said
            return WriteVerdict(status: status, said: said, shown: shown(said), points: batch.points, retryAfter: retryAfter)
        }
    }
}
