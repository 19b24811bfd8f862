import Dispatch
public import Foundation
public import Logging
public import RuleEngine
import Synchronization
import Threads

/// Every input of an engine, in order, on the disk before it counts.
///
/// `append` only copies; a thread of the journal's own writes what has gathered and synchronizes the disk once for all of it. What waits for the disk waits by position. When the disk is full nothing
/// is lost: the records wait here, nothing further is to be taken meanwhile (`hasRoom`), and it goes on when there is room.
public final class InputJournal: @unchecked Sendable {
    // @unchecked: `state` is only touched under `condition`; everything else is constant or safe by itself.

    public struct Settings: Sendable {
        /// How long segments before the oldest checkpoint are kept, and how many bytes of all.
        public var retain: Duration
        public var maximumSize: Int64
        public var segmentSize: Int

        public init(retain: Duration = .seconds(86_400), maximumSize: Int64 = 2 << 30, segmentSize: Int = 64 << 20) {
            self.retain = retain
            self.maximumSize = maximumSize
            self.segmentSize = segmentSize
        }
    }

    private struct State {
        var pending: [UInt8] = []
        var firstPending: UInt64 = 0
        var last: UInt64
        var durable: UInt64
        var failure: String?
        var isClosed = false
        var hasEnded = false
        var waiting: [(position: UInt64, resume: @Sendable () -> Void)] = []
        var spare: [UInt8] = []
    }

    /// Records may wait for the disk up to so many bytes before readings wait.
    private static let longestPending = 64 << 20

    let folder: JournalFolder
    let settings: Settings
    private let logger: Logger
    private let condition = MonotonicCondition()
    private var state: State

    /// - Parameter last: position of the last record that is there.
    public init(path: String, settings: Settings = Settings(), after last: UInt64, logger: Logger) throws(JournalFailure) {
        folder = try JournalFolder(path)
        self.settings = settings
        self.logger = logger
        state = State(last: last, durable: last)
        let thread = Thread { [weak self] in
            while let journal = self, journal.writeOnce() {}
        }
        thread.name = "journal"
        thread.start()
    }

    // MARK: Adding

    /// Takes an input in; its position. To be called in the order in which inputs are applied.
    public func append(_ input: EngineInput, at instant: Instant) -> UInt64 {
        condition.lock()
        defer { condition.unlock() }
        state.last += 1
        if state.pending.isEmpty { state.firstPending = state.last }
        JournalRecord.append(input, position: state.last, at: instant, to: &state.pending)
        condition.broadcast()
        return state.last
    }

    public var lastPosition: UInt64 { locked { $0.last } }

    /// Whether further readings may be taken.
    public var hasRoom: Bool { locked { $0.failure == nil && $0.pending.count < Self.longestPending } }

    /// Why nothing can be written; nil when all is well.
    public var unreadyReason: String? { locked { $0.failure } }

    private func locked<Result>(_ body: (State) -> Result) -> Result {
        condition.lock()
        defer { condition.unlock() }
        return body(state)
    }

    // MARK: Waiting

    /// Blocks until everything up to a position is on the disk; false when that takes too long.
    public func wait(for position: UInt64, atMost limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        condition.lock()
        defer { condition.unlock() }
        while state.durable < position {
            if !condition.wait(until: end) { return state.durable >= position }
        }
        return true
    }

    /// Returns when everything up to a position is on the disk, or when the journal has ended and it never will be.
    public func durable(_ position: UInt64) async {
        await withCheckedContinuation { continuation in
            condition.lock()
            let isOver = state.durable >= position || state.hasEnded
            if !isOver { state.waiting.append((position, { continuation.resume() })) }
            condition.unlock()
            if isOver { continuation.resume() }
        }
    }

    /// Writes what waits and ends the last segment. Nothing is to be appended afterwards.
    public func close() {
        condition.lock()
        defer { condition.unlock() }
        state.isClosed = true
        condition.broadcast()
        while !state.hasEnded { condition.wait() }
    }

    // MARK: The writing thread

    private func writeOnce() -> Bool {
        let writing = JournalWriting(folder, segmentSize: settings.segmentSize)
        while let next = nextRecords() {
            var records = next.bytes
            records.withUnsafeMutableBytes { JournalRecord.seal($0, safeUpTo: next.safe) }
            while let reason = records.withUnsafeBytes({ writing.write($0, first: next.first) }) {
                guard told(reason) else { return end(writing) }
                Thread.sleep(forTimeInterval: 0.5)
            }
            finished(records)
        }
        return end(writing)
    }

    private func nextRecords() -> (bytes: [UInt8], first: UInt64, safe: UInt64)? {
        condition.lock()
        defer { condition.unlock() }
        while state.pending.isEmpty {
            if state.isClosed { return nil }
            condition.wait()
        }
        var records = state.spare
        records.removeAll(keepingCapacity: true)
        swap(&records, &state.pending)
        state.spare = []
        return (records, state.firstPending, state.durable)
    }

    private func finished(_ records: [UInt8]) {
        condition.lock()
        if state.failure != nil { logger.notice("the journal is written again") }
        state.failure = nil
        // The records written are all those up to the first that has gathered meanwhile.
        let durable = state.pending.isEmpty ? state.last : state.firstPending - 1
        state.durable = durable
        if records.capacity <= 8 << 20 { state.spare = records }
        let due = state.waiting.filter { $0.position <= durable }
        state.waiting.removeAll { $0.position <= durable }
        condition.broadcast()
        condition.unlock()
        for one in due { one.resume() }
    }

    /// Says once that writing fails; false when the journal is closed, and what waits cannot be saved.
    private func told(_ reason: String) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        if state.failure == nil {
            logger.error("the journal cannot be written, nothing further is taken until it can: \(reason)")
        }
        state.failure = reason
        condition.broadcast()
        return !state.isClosed
    }

    private func end(_ writing: JournalWriting) -> Bool {
        writing.finish()
        condition.lock()
        state.hasEnded = true
        let left = state.waiting
        state.waiting = []
        condition.broadcast()
        condition.unlock()
        for one in left { one.resume() }
        return false
    }

    // MARK: Old segments

    /// When the oldest segment was last written to.
    public var oldestSegmentAt: Date? { folder.segments().first.flatMap { JournalFolder.modifiedAt($0.path) } }

    /// Removes segments that nothing needs any more: whole before the position of the oldest checkpoint, and too old or beyond the size.
    public func forgetSegments(before position: UInt64) {
        let now = Date()
        let segments = folder.segments()
        var total = segments.reduce(Int64(0)) { $0 + JournalFolder.size($1.path) }
        for (segment, next) in zip(segments, segments.dropFirst()) {
            guard next.first <= position + 1 else { return }
            let age = JournalFolder.modifiedAt(segment.path).map { now.timeIntervalSince($0) } ?? 0
            guard age > Double(settings.retain.components.seconds) || total > settings.maximumSize else { return }
            total -= JournalFolder.size(segment.path)
            unlink(segment.path)
        }
    }
}
