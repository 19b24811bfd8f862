import DurableFiles
import Logging
import RuleEngine

/// The recorder's side that works: readings become lines, lines batches, batches requests, or records of the spool while InfluxDB is away or behind. Lives on one thread.
final class RecorderLoop {
    typealias Moment = ContinuousClock.Instant

    /// What a request brought.
    enum Reply: Sendable {
        case setUp(DatabaseSetUp.Outcome)
        case filled(DatabaseSetUp.Outcome)
        case wrote(WriteVerdict)
    }
    enum Request: Sendable {
        case setUp
        case fill(from: Instant, to: Instant)
        case write(LineBatch)
    }

    private struct Entry {
        var batch: LineBatch
        /// Where the journal stands when this and everything before it is safe.
        var position: UInt64?
    }
    private struct Flight {
        var entry: Entry
        /// What of it is still to be written, the first one now.
        var parts: [LineBatch]
        /// In the spool, if it is there.
        var spooled: UInt64?
    }

    /// Batches that wait in memory; more go to the disk.
    private static let mostWaiting = 16
    private static let saveInterval = Duration.seconds(2)

    private let settings: RecorderSettings
    private let spool: Spool
    private let folder: RecorderFolder
    private let report: RecorderReport
    private let send: (Request) -> Void

    private let lines: PointLines
    private var sealAt: Moment?
    private var outbox: [Entry] = []
    private var flight: Flight?
    private var delivery = Delivery()
    /// When what was in the spool came in; nil when nothing was since it was last filled in.
    private var gap: (from: Instant, to: Instant)?
    private var spoolRetryAt: Moment?

    /// Position in the journal of the last batch that was taken up, up to which everything is safe, and as saved.
    private var seen: UInt64?
    private var safe: UInt64?
    private var saved: UInt64?
    private var saveAt: Moment?
    private var counts = RecorderCounts()

    init(
        settings: RecorderSettings, spool: Spool, folder: RecorderFolder, report: RecorderReport, send: @escaping (Request) -> Void
    ) {
        self.settings = settings
        self.spool = spool
        self.folder = folder
        self.report = report
        self.send = send
        lines = PointLines(settings.measurements)
        // When those of an earlier run came in is in their records.
        gap = spool.isEmpty ? nil : (.distantFuture, .distantPast)
    }

    /// One turn: takes up what came, then does what is due; when to look again at the latest.
    func turn(_ batches: [TelemetryRecorder.Incoming], _ reply: Reply?, at now: Moment, isStopping: Bool) -> Moment? {
        for batch in batches { take(batch, at: now) }
        if let reply { settle(reply, at: now) }
        if isStopping || (sealAt.map { $0 <= now } ?? false) { seal() }
        spillIfNeeded(at: now)
        let wake = step(at: now, isStopping: isStopping)
        if lines.isEmpty, outbox.isEmpty, flight.map({ $0.spooled != nil }) ?? true { safe = seen ?? safe }
        save(at: now)
        return [sealAt, wake, saveAt, spoolRetryAt].compactMap { $0 }.min()
    }

    /// Nothing is left that a moment more would bring to InfluxDB.
    var isSettled: Bool { outbox.isEmpty && flight.map { $0.spooled != nil } ?? true }

    /// Puts what is left where the next run finds it.
    func end(at now: Moment) {
        seal()
        spoolRetryAt = nil
        spill(at: now)
        if isSettled { safe = seen ?? safe }
        saveAt = nil
        if let safe, safe != saved { folder.save(position: safe) }
    }

    var present: RecorderCounts {
        var present = counts
        present.leftOut = lines.leftOut
        present.spoolOverflow = spool.losses.overflow
        present.spoolDamage = spool.losses.damage
        present.spoolPoints = spool.points
        present.spoolBytes = spool.bytes
        present.waitingPoints = outbox.reduce(0) { $0 + $1.batch.points } + (flight?.spooled == nil ? flight?.entry.batch.points ?? 0 : 0)
        return present
    }

    var unreadyReason: String? { delivery.outage ?? report.diskFailure }

    // MARK: Readings

    private func take(_ incoming: TelemetryRecorder.Incoming, at now: Moment) {
        incoming.batch.bytes.withUnsafeBytes { bytes in
            for (place, entry) in incoming.batch.entries.enumerated() {
                let middle = entry.start + entry.topicLength
                lines.add(
                    topic: UnsafeRawBufferPointer(rebasing: bytes[entry.start..<middle]),
                    payload: UnsafeRawBufferPointer(rebasing: bytes[middle..<middle + entry.payloadLength]),
                    isRetained: entry.flags.contains(.retained), receivedAt: incoming.at + Int64(place))
                let (points, size) = lines.fullness
                if points >= settings.batchSize || size >= RecorderSettings.longestBatch { seal() }
            }
        }
        seen = incoming.position ?? seen
        if sealAt == nil, !lines.isEmpty { sealAt = now + settings.batchInterval }
    }

    private func seal() {
        sealAt = nil
        for (policy, lines) in lines.takeLines() {
            outbox.append(
                Entry(
                    batch: LineBatch(policy: policy, points: lines.points, from: lines.from, to: lines.to, lines: lines.bytes)))
        }
        if !outbox.isEmpty { outbox[outbox.count - 1].position = seen }
    }

    // MARK: The spool

    private func spillIfNeeded(at now: Moment) {
        guard delivery.outage != nil || !spool.isEmpty || outbox.count > Self.mostWaiting else {
            // Everything goes to InfluxDB at once: whatever the disk did the last time, nothing waits for it.
            spoolRetryAt = nil
            return report.diskIsNotNeeded()
        }
        guard !outbox.isEmpty else { return spoolRetryAt = nil }
        spill(at: now)
    }

    /// Moves everything in memory to the disk, what is under way first.
    private func spill(at now: Moment) {
        if let retry = spoolRetryAt, retry > now { return dropBeyondMemory() }
        if let flying = flight, flying.spooled == nil, !store(flying.entry, at: now) { return dropBeyondMemory() }
        while let entry = outbox.first {
            guard store(entry, at: now) else { return dropBeyondMemory() }
            outbox.removeFirst()
        }
    }

    private func store(_ entry: Entry, at now: Moment) -> Bool {
        if let reason = spool.append(entry.batch) {
            spoolRetryAt = now + .seconds(1)
            report.diskFailed(reason)
            return false
        }
        spoolRetryAt = nil
        report.diskWorks()
        report.dropped(spool.losses.overflow, of: settings.spoolSize)
        note(gapOf: entry.batch)
        safe = entry.position ?? safe
        // Nothing was in the spool when it left, so it is the first there.
        if flight != nil, flight?.spooled == nil { flight?.spooled = spool.firstID }
        return true
    }

    private func note(gapOf batch: LineBatch) {
        let known = gap ?? (.distantFuture, .distantPast)
        gap = (min(known.from, batch.from), max(known.to, batch.to))
    }

    private func dropBeyondMemory() {
        var size = outbox.reduce(0) { $0 + $1.batch.lines.count }
        while size > settings.queueSize, outbox.count > 1 {
            let oldest = outbox.removeFirst()
            size -= oldest.batch.lines.count
            counts.diskDropped += oldest.batch.points
        }
    }

    // MARK: Requests

    private func step(at now: Moment, isStopping: Bool) -> Moment? {
        delivery.hasGap = gap != nil
        let hasPoints = !outbox.isEmpty || (!isStopping && !spool.isEmpty)
        if isStopping, !hasPoints { return nil }
        switch delivery.next(at: now, hasPoints: hasPoints) {
        case .wait(let until): return until
        case .setUp: send(.setUp)
        case .fill: fill()
        case .write: write()
        }
        return nil
    }

    private func write() {
        if let (id, batch) = spool.first(points: settings.batchSize, bytes: RecorderSettings.longestBatch) {
            note(gapOf: batch)
            flight = Flight(entry: Entry(batch: batch), parts: [batch], spooled: id)
        } else if !outbox.isEmpty {
            let entry = outbox.removeFirst()
            flight = Flight(entry: entry, parts: [entry.batch])
        }
        guard let flight else {
            // The spool held nothing that could be read.
            return delivery.prepared()
        }
        send(.write(flight.parts[0]))
    }

    private func fill() {
        guard let gap, gap.from <= gap.to, !settings.downsamplings.isEmpty else {
            self.gap = nil
            return delivery.prepared()
        }
        // What came in then was measured a little before.
        let reach = settings.downsamplings.map { max($0.every, $0.resample ?? .zero) }.max() ?? .zero
        send(.fill(from: gap.from + -reach.inNanoseconds, to: gap.to))
    }

    private func settle(_ reply: Reply, at now: Moment) {
        switch reply {
        case .setUp(.unavailable(let reason)), .filled(.unavailable(let reason)): failed(reason, nil, at: now)
        case .setUp(.done(let changes, let refusals)):
            report.isSetUp(changes, refusals)
            guard outbox.isEmpty, spool.isEmpty else { return delivery.prepared() }
            if delivery.answered() { report.cameBack(waiting: 0) }
        case .filled(.done(_, let refusals)):
            report.filled(refusals)
            gap = nil
            delivery.prepared()
        case .wrote(let verdict): settle(verdict, at: now)
        }
    }

    private func settle(_ verdict: WriteVerdict, at now: Moment) {
        guard let part = flight?.parts.first else { return }
        if case .unavailable(let reason, let retryAfter) = verdict { return failed(reason, retryAfter, at: now) }
        counts.requestsAnswered += 1
        if delivery.answered() { report.cameBack(waiting: spool.points) }
        flight?.parts.removeFirst()
        switch verdict {
        case .written, .unavailable: counts.written += part.points
        case .refused(let points, let reason): refused(points, of: part, reason)
        case .tooLarge:
            if let (first, second) = part.halves {
                flight?.parts.insert(contentsOf: [first, second], at: 0)
            } else {
                refused(part.points, of: part, "InfluxDB answered 413 to a single point")
            }
        }
        guard let flying = flight, let next = flying.parts.first else { return landed() }
        _ = delivery.next(at: now, hasPoints: true)
        flight = flying
        send(.write(next))
    }

    private func refused(_ points: Int, of part: LineBatch, _ reason: String) {
        counts.refused += points
        counts.written += part.points - points
        report.refused(points, reason)
    }

    /// The batch is where it should be.
    private func landed() {
        guard let flying = flight else { return }
        flight = nil
        if let id = flying.spooled {
            spool.remove(through: id)
            if spool.isEmpty { report.drained(lost: spool.losses.overflow) }
        } else {
            safe = flying.entry.position ?? safe
        }
    }

    private func failed(_ reason: String, _ retryAfter: Duration?, at now: Moment) {
        counts.requestsFailed += 1
        if delivery.failed(reason, at: now, retryAfter: retryAfter, chance: .random(in: 0..<1)) { report.wentAway(reason) }
        // A part that was written already is written again with the rest.
        if let flying = flight, flying.spooled == nil { outbox.insert(flying.entry, at: 0) }
        flight = nil
    }

    // MARK: The journal's position

    private func save(at now: Moment) {
        guard let safe, safe != saved else { return saveAt = nil }
        guard let due = saveAt else { return saveAt = now + Self.saveInterval }
        guard due <= now else { return }
        folder.save(position: safe)
        saved = safe
        saveAt = nil
    }
}
